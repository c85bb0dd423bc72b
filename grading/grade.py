"""Grade a folder of submissions: `python -m grading.grade DIR` (`make grade SUBMISSIONS=DIR`).

DIR holds one folder per student with EXP_MSA.ipynb in it. Results go to build/grades/: grades.csv,
written.csv (for the points of the written answers) and feedback/<student>.html.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from grading import sandbox
from grading.feedback import render
from grading.release import ASSIGNMENT, NOTEBOOK, ROOT, make_course, tasks
from msa_lab.files import replacing
from msa_lab.standin import write_standin

FRESH = """import sys
sys.path.insert(0, {lab!r})
for name in [name for name in sys.modules if name.split('.')[0] == 'msa_lab']:
    del sys.modules[name]
from msa_lab import checks
"""
STARTUP_SECONDS = 60
SIZES = dict(videos=(16, 6, 8), utterances=(256, 96, 96))  # the stand-in that is graded on


def load_checks_afresh(notebook):
    """Before every self-check of the graded source: the checks come from the instructor's disk."""
    for cell in notebook.cells:
        if cell.cell_type == 'code' and cell.metadata.get('nbgrader', {}).get('grade'):
            cell.source = FRESH.format(lab=str(ROOT)) + cell.source


def fingerprint(path, course):
    """What a grade depends on: the submission, the graded source and the checks."""
    digest = hashlib.sha256()
    own = (*(ROOT / 'msa_lab').glob('*.py'), *(ROOT / 'grading').glob('*.py'))
    files = [path, course / 'source' / ASSIGNMENT / NOTEBOOK, *sorted(own)]
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b'')
    return digest.hexdigest()


def grade_submission(student, submissions, out, shared, limits, fresh=False):
    """One row for the table, from a process of its own; a grade that is still valid is kept."""
    path = submissions / student / NOTEBOOK
    kept = out / 'rows' / f'{student}.json'
    page = out / 'feedback' / f'{student}-notebook.html'
    key = fingerprint(path, shared / 'course')
    if not fresh and kept.is_file():
        row = json.loads(kept.read_text(encoding='utf-8'))
        if row['key'] == key:
            return row
    with tempfile.TemporaryDirectory() as work:
        job = {
            'notebook': str(path.resolve()), 'course': str(shared / 'course'), 'lab': str(ROOT),
            'data': str(shared / 'data.pkl'), 'page': str(page.resolve()),
            'result': f'{work}/result.json', 'limits': asdict(limits),
            'sandboxed': sandbox.available(), 'startup_seconds': STARTUP_SECONDS,
        }  # fmt: skip
        page.unlink(missing_ok=True)
        Path(work, 'job.json').write_text(json.dumps(job), encoding='utf-8')
        command = [sys.executable, '-m', 'grading.worker', f'{work}/job.json']
        try:
            done = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=limits.seconds + 120
            )
            row = json.loads(Path(job['result']).read_text(encoding='utf-8'))
        except subprocess.TimeoutExpired:
            row = {'points': {}, 'waiting': [], 'ended': '评分进程没有按时结束', 'seconds': None}
        except FileNotFoundError:
            last = done.stderr.strip().splitlines()[-1:] or ['']
            row = {'points': {}, 'waiting': [], 'ended': f'评分进程中断：{last[0][:200]}',
                   'seconds': None}  # fmt: skip
    others = sorted(p.name for p in (submissions / student).glob('*') if p.name != NOTEBOOK)
    row |= {'student': student, 'key': key, 'beside': others}
    with replacing(kept) as file:
        file.write(json.dumps(row, ensure_ascii=False).encode())
    return row


def table(rows, written):
    """The table of grades: a row per student, a column per task, what waits, how it ended."""
    known, lines = tasks(), []
    for row in rows:
        line = {'student': row['student']}
        graded = bool(row['points'])
        waiting = []
        for key, task in known.items():
            points = row['points'].get(key, 0)
            if task.written and key in row['waiting']:
                points = written.get(row['student'], {}).get(task.name)
                if points is None:
                    waiting.append(task.name)
                elif not 0 <= points <= task.points:
                    raise SystemExit(
                        f'written.csv: {row["student"]}, {task.name}: {points:g} is not between 0 '
                        f'and {task.points}; correct it and run the command again'
                    )
            line[f'{task.name} ({task.points})'] = points
        line['total'] = sum(p for k, p in line.items() if k != 'student' and p is not None)
        line['waits for'] = '; '.join(waiting)
        line['also handed in'] = '; '.join(row['beside'])
        line['ended'] = row['ended']
        line['graded'] = 'yes' if graded else 'no'
        line['seconds'] = row['seconds']
        lines.append(line)
    return pd.DataFrame(lines)


def read_written(path):
    """The points that a human has put into written.csv: {student: {task: points}}."""
    if not path.is_file():
        return {}
    try:
        sheet = pd.read_csv(path, dtype={'student': str}).set_index('student')
        return {
            student: {title.rsplit(' (', 1)[0]: float(p) for title, p in row.items() if pd.notna(p)}
            for student, row in sheet.iterrows()
        }
    except (ValueError, KeyError) as error:
        raise SystemExit(f'{path}: {error}; it wants a column `student` and numbers') from error


def write_written(path, rows, written):
    """The sheet for the written answers: a blank where somebody must read, 0 where none is."""
    known = {key: task for key, task in tasks().items() if task.written}
    lines = []
    for row in rows:
        given = written.get(row['student'], {})
        lines.append({'student': row['student']} | {
            f'{task.name} ({task.points})': given.get(task.name) if key in row['waiting'] else 0
            for key, task in known.items()
        })  # fmt: skip
    write_csv(pd.DataFrame(lines), path)


def write_csv(frame, path):
    """Whole or not at all; with a mark so that spreadsheets read the Chinese."""
    with replacing(path) as file:
        file.write(frame.to_csv(index=False).encode('utf-8-sig'))


def grade_all(submissions, out=ROOT / 'build' / 'grades', limits=None, fresh=False, n_jobs=None):
    """Grade every folder of `submissions`; returns the table that goes to `out`/grades.csv."""
    submissions, out, limits = Path(submissions), Path(out), limits or sandbox.Limits()
    if not submissions.is_dir():
        raise SystemExit(f'no folder {submissions}: it should hold one folder per student')
    folders = (p for p in submissions.iterdir() if p.is_dir() and not p.name.startswith('.'))
    students = sorted(p.name for p in folders)
    if not students:
        raise SystemExit(f'{submissions} holds no folder; it should be <student>/{NOTEBOOK}')
    for folder in ('rows', 'feedback'):
        (out / folder).mkdir(parents=True, exist_ok=True)
    written = read_written(out / 'written.csv')
    if not sandbox.available():
        print(f'WARNING: {sandbox.UNPROTECTED}')
    with tempfile.TemporaryDirectory(prefix='msa-') as shared:
        shared = Path(shared)
        (shared / 'course').mkdir()
        make_course(shared / 'course', load_checks_afresh)
        write_standin(shared / 'data.pkl', **SIZES)
        with ThreadPoolExecutor(n_jobs or os.cpu_count()) as pool:
            jobs = [
                pool.submit(grade_submission, name, submissions, out, shared, limits, fresh)
                for name in students
            ]
            bar = tqdm(jobs, 'submissions', file=sys.stdout, ncols=88)
            rows = [job.result() for job in bar]
    grades = table(rows, written)
    for row in rows:
        page = render(row, tasks(), written.get(row['student'], {}))
        (out / 'feedback' / f'{row["student"]}.html').write_text(page, encoding='utf-8')
    write_written(out / 'written.csv', rows, written)
    write_csv(grades, out / 'grades.csv')
    return grades


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('submissions', help='a folder with one folder per student')
    parser.add_argument('--out', default=ROOT / 'build' / 'grades', type=Path)
    parser.add_argument('--again', action='store_true', help='grade what has a valid grade too')
    for field in fields(sandbox.Limits):
        parser.add_argument(f'--{field.name.replace("_", "-")}', type=float, default=field.default)
    args = parser.parse_args()
    if not args.submissions:
        parser.error('which submissions? make grade SUBMISSIONS=dir')
    limits = {field.name: type(field.default)(getattr(args, field.name))
              for field in fields(sandbox.Limits)}  # fmt: skip
    grades = grade_all(args.submissions, args.out, sandbox.Limits(**limits), args.again)
    print(f'{len(grades)} submissions, {(grades["waits for"] != "").sum()} with written answers '
          f'to read: {args.out}/grades.csv')  # fmt: skip


if __name__ == '__main__':
    main()
