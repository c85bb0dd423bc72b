"""Grade a folder of submissions: `python -m grading.grade DIR` (`make grade SUBMISSIONS=DIR`).

DIR holds one folder per student with EXP_MSA.ipynb in it. Results go to build/grades/, see
README.md in this folder.
"""

import os
import sys
import tempfile
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from grading import sandbox
from grading.feedback import question_page, student_page
from grading.jobs import FRESH, STARTUP_SECONDS, Jobs, kept_rows, load_checks_afresh, version
from grading.marks import Marks, marked, write_csv
from grading.release import make_course
from grading.submissions import find
from grading.tasks import ROOT, tasks
from msa_lab.data.synthetic import write_standin

SIZES = dict(videos=(16, 6, 8), utterances=(256, 96, 96))  # the stand-in that is graded on


def table(rows, marks):
    """The lines of grades.csv: points per task, what waits, what else there is, how it ended."""
    lines = []
    for row in rows:
        points = marks.points(row)
        line = {'student': row['student']}
        for key, task in tasks().items():
            known = points[key] is not None
            line[f'{task.name} ({task.points})'] = f'{points[key]:g}' if known else ''
        line['total'] = f'{sum(p or 0 for p in points.values()):g}'
        waiting = (task.name for key, task in tasks().items() if points[key] is None)
        line['waits for'] = '; '.join(waiting)
        line['also handed in'] = '; '.join(row['beside'])
        line['ended'] = row['ended']
        line['graded'] = 'yes' if row['points'] else 'no'
        line['seconds'] = row['seconds']
        lines.append(line)
    return lines


def run(submissions, out, limits, fresh=False, n_jobs=None):
    """The rows of the submissions, those that are still valid as they were kept.

    Whatever ends it early, Ctrl-C included, ends the workers too and keeps the finished rows.
    """
    with tempfile.TemporaryDirectory(prefix='msa-') as shared:
        jobs, data = Jobs(out, shared, limits), Path(shared, 'data.pkl')
        kept = {} if fresh else {s: row for s in submissions if (row := jobs.kept(s))}
        todo = [s for s in submissions if s not in kept]
        if any(s.notebook for s in todo):
            if not sandbox.available():
                print(f'WARNING: {sandbox.UNPROTECTED}')
            write_standin(data, **SIZES)
            try:
                sandbox.try_kernel(FRESH, data, limits, STARTUP_SECONDS)
            except RuntimeError as error:
                raise SystemExit(f'nothing was graded, no kernel can start: {error}') from error
            Path(shared, 'course').mkdir()
            make_course(Path(shared, 'course'), load_checks_afresh)
        with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
            try:
                futures = [pool.submit(jobs.grade, submission) for submission in todo]
                bar = tqdm(futures, 'submissions', file=sys.stdout, ncols=88, disable=not todo)
                graded = [future.result() for future in bar]
            except BaseException:
                jobs.stop()
                pool.shutdown(cancel_futures=True)
                raise
    return [*kept.values(), *graded]


def grade_all(folder, out=ROOT / 'build' / 'grades', limits=None, fresh=False, n_jobs=None):
    """Grade every submission in `folder`; returns their rows (see `grading.jobs`).

    The tables in `out` also keep the rows of earlier runs.
    """
    out = Path(out)
    submissions, loose = find(folder)
    earlier = kept_rows(out)
    students = {s.student for s in submissions}.union(earlier)
    Marks.read(out, students)  # what is wrong in them is said before anything is done
    for name in ('rows', 'feedback', 'written'):
        (out / name).mkdir(parents=True, exist_ok=True)
    graded = run(submissions, out, limits or sandbox.Limits(), fresh, n_jobs)
    for row in graded:
        earlier.pop(row['student'], None)
    rows = sorted((*earlier.values(), *graded), key=lambda row: row['student'])
    marks = Marks.read(out, students)  # again: somebody may have marked meanwhile
    marks.outdate(rows)
    for row in rows:
        page = out / 'feedback' / f'{row["student"]}.html'
        page.write_text(student_page(row, marks), encoding='utf-8')
    for key, task in marked().items():
        page = question_page(key, rows, marks)
        (out / 'written' / f'{task.name}.html').write_text(page, encoding='utf-8')
    lines = table(rows, marks)
    marks.write(out, rows)
    write_csv(lines, out / 'grades.csv')
    waiting = sum(line['waits for'] != '' for line in lines)
    print(f'{count(len(graded), "submission")}; {out}/grades.csv has {count(len(lines), "row")}, '
          f'{waiting} with written answers to read')  # fmt: skip
    for line in remarks(submissions, loose, graded, earlier, marks):
        print(line)
    return graded


def remarks(submissions, loose, graded, earlier, marks):
    """What an instructor should know about a run, a line each."""
    if earlier:
        yield (f'{count(len(earlier), "row")} kept from earlier runs, students not in this folder: '
               f'{some(earlier)}')  # fmt: skip
        now = version()
        if other := [name for name, row in earlier.items() if row.get('version') != now]:
            yield f'  graded with another version of the lab, grade them again: {some(other)}'
    if marks.old:
        old = (f'{s} {tasks()[key].name} (was {p})' for (s, key), p in sorted(marks.old.items()))
        yield f'{count(len(marks.old), "marked answer")} changed since: {", ".join(old)}'
    if loose:
        yield f'not in a folder of a student, so ignored: {", ".join(loose)}'
    missing = [s for s in submissions if not s.notebook]
    absent = {s.student for s in missing}
    for row in graded:
        if not row['points'] and not row['failed'] and row['student'] not in absent:
            yield f'cannot be read: {row["student"]} ({row["ended"]})'
    if failed := [row for row in graded if row['failed']]:
        said = (f'{row["student"]} ({row["ended"]})' for row in failed)
        number = '1 submission was' if len(failed) == 1 else f'{len(failed)} submissions were'
        yield f'{number} not graded: {", ".join(said)}; run the command again'
    if missing:
        there = (f'{s.student} (there is: {", ".join(s.others) or "no notebook"})' for s in missing)
        yield f'not found: {", ".join(there)}'


def count(number, what):
    """A number and what it counts, in words: `2 rows`."""
    return f'{number} {what}' if number == 1 else f'{number} {what}s'


def some(names):
    """The first names of many, as text."""
    names = sorted(names)
    return ', '.join(names[:8]) + (f' and {len(names) - 8} more' if len(names) > 8 else '')


def main():
    """The command line; the exit status is 1 if something has to be graded again."""
    if sys.platform == 'win32':
        raise SystemExit(
            'grading needs Linux or macOS (on Windows: WSL); `make student` runs anywhere'
        )
    parser = ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('submissions', help='a folder with one folder per student')
    parser.add_argument(
        '--out', default=ROOT / 'build' / 'grades', type=Path,
        help='where the results go; what earlier runs left there is kept',
    )  # fmt: skip
    parser.add_argument('--again', action='store_true', help='grade what has a valid grade too')
    for field in fields(sandbox.Limits):
        parser.add_argument(
            f'--{field.name.replace("_", "-")}', default=field.default, type=type(field.default),
            help=field.metadata['help'],
        )  # fmt: skip
    args = parser.parse_args()
    if not args.submissions:
        parser.error('which submissions? make grade SUBMISSIONS=dir')
    limits = {field.name: getattr(args, field.name) for field in fields(sandbox.Limits)}
    try:
        graded = grade_all(args.submissions, args.out, sandbox.Limits(**limits), args.again)
    except KeyboardInterrupt:
        print('\ninterrupted: what was finished is kept, the others are graded at the next run; '
              'the tables are as they were')  # fmt: skip
        return 130
    return int(any(row['failed'] for row in graded))


if __name__ == '__main__':
    sys.exit(main())
