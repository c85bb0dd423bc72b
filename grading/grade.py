"""Grade a folder of submissions: `python -m grading.grade DIR` (`make grade SUBMISSIONS=DIR`).

DIR holds one folder per student with EXP_MSA.ipynb in it. Results go to build/grades/, see
README.md in this folder.
"""

import os
import sys
import tempfile
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from grading import sandbox
from grading.feedback import question_page, student_page
from grading.jobs import RELOAD_CHECKS, STARTUP_SECONDS, Grader, kept_rows, reload_checks, version
from grading.marks import Marks, write_csv, written_tasks
from grading.release import make_course
from grading.rows import Row
from grading.sandbox import Limits
from grading.submissions import Submission, find_submissions
from grading.tasks import ROOT, tasks
from msa_lab.data.synthetic import write_standin

SIZES = dict(videos=(16, 6, 8), utterances=(256, 96, 96))  # the stand-in that is graded on
OUT = ROOT / 'build' / 'grades'


def grades_table(rows: Iterable[Row], marks: Marks) -> list[dict]:
    """The lines of grades.csv as {column: value}: points per task, the total, how it ended."""
    lines = []
    for row in rows:
        points = marks.points(row)
        line = {'student': row.student}
        for key, task in tasks().items():
            known = points[key] is not None
            line[f'{task.name} ({task.points})'] = f'{points[key]:g}' if known else ''
        line['total'] = f'{sum(p or 0 for p in points.values()):g}'
        waiting = (task.name for key, task in tasks().items() if points[key] is None)
        line['waits for'] = '; '.join(waiting)
        line['also handed in'] = '; '.join(row.beside)
        line['ended'] = row.ended
        line['graded'] = 'yes' if row.points else 'no'
        line['seconds'] = row.seconds
        lines.append(line)
    return lines


def prepare(shared: Path, limits: Limits) -> None:
    """Write what all submissions share into a folder: the data file and nbgrader's course.

    SystemExit says in one line that no kernel can start on this machine.
    """
    if not sandbox.available():
        print(f'WARNING: {sandbox.UNPROTECTED}')
    write_standin(shared / 'data.pkl', **SIZES)
    try:
        sandbox.try_kernel(RELOAD_CHECKS, shared / 'data.pkl', limits, STARTUP_SECONDS)
    except RuntimeError as error:
        raise SystemExit(f'nothing was graded, no kernel can start: {error}') from error
    (shared / 'course').mkdir()
    make_course(shared / 'course', reload_checks)


def grade_submissions(
    submissions: list[Submission],
    out: Path,
    limits: Limits,
    again: bool = False,
    n_jobs: int | None = None,
) -> list[Row]:
    """Grade submissions, `n_jobs` at once (by default one per core); returns a row for each.

    A row of an earlier run that is still valid is kept, unless `again` is true. Whatever ends the
    run early, Ctrl-C included, ends the workers too and keeps the finished rows.
    """
    with tempfile.TemporaryDirectory(prefix='msa-') as shared:
        grader = Grader(out, Path(shared), limits)
        kept = {} if again else {s: row for s in submissions if (row := grader.kept(s))}
        todo = [s for s in submissions if s not in kept]
        if any(s.notebook for s in todo):
            prepare(Path(shared), limits)
        with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
            try:
                futures = [pool.submit(grader.grade, submission) for submission in todo]
                bar = tqdm(futures, 'submissions', file=sys.stdout, ncols=88, disable=not todo)
                graded = [future.result() for future in bar]
            except BaseException:
                grader.stop()
                pool.shutdown(cancel_futures=True)
                raise
    return [*kept.values(), *graded]


def grade_all(
    folder: str | Path,
    out: str | Path = OUT,
    limits: Limits | None = None,
    again: bool = False,
    n_jobs: int | None = None,
) -> list[Row]:
    """Grade every submission in `folder` and write tables and pages to `out`; returns the rows.

    The tables also keep the rows of earlier runs, of students who are not in `folder`. The other
    arguments are those of `grade_submissions`. SystemExit says in one line what stopped it.
    """
    out = Path(out)
    submissions, loose = find_submissions(folder)
    earlier = kept_rows(out)
    students = {s.student for s in submissions}.union(earlier)
    Marks.read(out, students)  # what is wrong in them is reported before anything is done
    for name in ('rows', 'feedback', 'written'):
        (out / name).mkdir(parents=True, exist_ok=True)
    graded = grade_submissions(submissions, out, limits or Limits(), again, n_jobs)
    for row in graded:
        earlier.pop(row.student, None)
    rows = sorted((*earlier.values(), *graded), key=lambda row: row.student)
    marks = Marks.read(out, students)  # again: somebody may have marked meanwhile
    marks.outdate(rows)
    write_pages(out, rows, marks)
    lines = grades_table(rows, marks)
    marks.write(out, rows)
    write_csv(lines, out / 'grades.csv')
    waiting = sum(line['waits for'] != '' for line in lines)
    print(
        f'{counted(len(graded), "submission")}; {out}/grades.csv has {counted(len(lines), "row")}, '
        f'{waiting} with written answers to read'
    )
    for line in remarks(submissions, loose, graded, earlier, marks):
        print(line)
    return graded


def write_pages(out: Path, rows: list[Row], marks: Marks) -> None:
    """Write a feedback page for each student and a page for each written question."""
    for row in rows:
        page = out / 'feedback' / f'{row.student}.html'
        page.write_text(student_page(row, marks), encoding='utf-8')
    for key, task in written_tasks().items():
        page = question_page(key, rows, marks)
        (out / 'written' / f'{task.name}.html').write_text(page, encoding='utf-8')


def remarks(
    submissions: list[Submission],
    loose: list[str],
    graded: list[Row],
    earlier: dict[str, Row],
    marks: Marks,
) -> Iterator[str]:
    """What an instructor should know about a run, a line each.

    `loose` are files beside the students' folders, `earlier` rows that only earlier runs have.
    """
    if earlier:
        rows = counted(len(earlier), 'row')
        names = list_names(earlier)
        yield f'{rows} kept from earlier runs, students not in this folder: {names}'
        now = version()
        if other := [name for name, row in earlier.items() if row.version != now]:
            names = list_names(other)
            yield f'  graded with another version of the lab, grade them again: {names}'
    if marks.outdated:
        old = sorted(marks.outdated.items())
        answers = counted(len(old), 'marked answer')
        details = (f'{student} {tasks()[key].name} (was {mark})' for (student, key), mark in old)
        yield f'{answers} changed since: {", ".join(details)}'
    if loose:
        yield f'not in a folder of a student, so ignored: {", ".join(loose)}'
    missing = [s for s in submissions if not s.notebook]
    absent = {s.student for s in missing}
    for row in graded:
        if not row.points and not row.failed and row.student not in absent:
            yield f'cannot be read: {row.student} ({row.ended})'
    if failed := [f'{row.student} ({row.ended})' for row in graded if row.failed]:
        number = '1 submission was' if len(failed) == 1 else f'{len(failed)} submissions were'
        yield f'{number} not graded: {", ".join(failed)}; run the command again'
    if missing:
        there = (f'{s.student} (there is: {", ".join(s.others) or "no notebook"})' for s in missing)
        yield f'not found: {", ".join(there)}'


def counted(number: int, noun: str) -> str:
    """A number and what it counts, as text: `1 row`, `2 rows`."""
    return f'{number} {noun}' if number == 1 else f'{number} {noun}s'


def list_names(names: Iterable[str], most: int = 8) -> str:
    """The names in order as text; of more than `most` only the first, and how many more."""
    names = sorted(names)
    rest = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + rest


def argument_parser() -> ArgumentParser:
    """The arguments of the command line; the limits are options of the same names."""
    parser = ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=ArgumentDefaultsHelpFormatter
    )
    parser.add_argument('submissions', help='a folder with one folder per student')
    help_out = 'where the results go; what earlier runs left there is kept'
    parser.add_argument('--out', default=OUT, type=Path, help=help_out)
    parser.add_argument('--again', action='store_true', help='grade what has a valid grade too')
    for field in fields(Limits):
        option, value = f'--{field.name.replace("_", "-")}', field.default
        parser.add_argument(option, default=value, type=type(value), help=field.metadata['help'])
    return parser


def main() -> int:
    """The command line; returns the exit status, 1 if something has to be graded again."""
    if sys.platform == 'win32':
        raise SystemExit(
            'grading needs Linux or macOS (on Windows: WSL); `make student` runs anywhere'
        )
    parser = argument_parser()
    args = parser.parse_args()
    if not args.submissions:
        parser.exit(2, 'which submissions? make grade SUBMISSIONS=dir\n')
    limits = Limits(**{field.name: getattr(args, field.name) for field in fields(Limits)})
    try:
        graded = grade_all(args.submissions, args.out, limits, args.again)
    except KeyboardInterrupt:
        print(
            '\ninterrupted: what was finished is kept, the others are graded at the next run; '
            'the tables are as they were'
        )
        return 130
    return int(any(row.failed for row in graded))


if __name__ == '__main__':
    sys.exit(main())
