"""Grade a folder of submissions: `python -m grading.grade DIR` (`make grade SUBMISSIONS=DIR`).

DIR holds one folder per student with EXP_MSA.ipynb in it. Results go to build/grades/: grades.csv,
written.csv (for the points of the written answers) and feedback/<student>.html.
"""

import argparse
import hashlib
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from grading import sandbox
from grading.release import NOTEBOOK, ROOT, make_course
from msa_lab.standin import write_standin

FRESH = """import sys
sys.path.insert(0, {lab!r})
for name in [name for name in sys.modules if name.split('.')[0] == 'msa_lab']:
    del sys.modules[name]
from msa_lab import checks
"""
STARTUP_SECONDS = 60
SIZES = dict(videos=(16, 6, 8), utterances=(256, 96, 96))  # the stand-in that is graded on
PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8"><title>{student}</title>
<body style="font-family: sans-serif; max-width: 45em; margin: 3em auto; line-height: 1.7">
<h1>{student}</h1><p>这份提交没有得到自动评分：<strong>{ended}</strong></p>
<p>请检查提交的 <code>{notebook}</code> 能不能在 JupyterLab 里从头运行到尾，改好后重新提交。</p>
"""


def load_checks_afresh(notebook):
    """Before every self-check of the graded source: the checks come from the instructor's disk."""
    for cell in notebook.cells:
        if cell.cell_type == 'code' and cell.metadata.get('nbgrader', {}).get('grade'):
            cell.source = FRESH.format(lab=str(ROOT)) + cell.source


def tasks():
    """Every graded cell: {grade_id: (what the table calls it, points, written by hand)}."""
    cells = json.loads((ROOT / NOTEBOOK).read_text(encoding='utf-8'))['cells']
    found = {}
    for cell in cells:
        info = cell['metadata'].get('nbgrader', {})
        if info.get('grade'):
            name = re.match(r'(?:# 自检|\*\*分析) ([\d.]+)', ''.join(cell['source']))[1]
            kind = '分析' if info['solution'] else 'TODO'
            found[info['grade_id']] = (f'{kind} {name}', info['points'], info['solution'])
    return found


def fingerprint(path, course):
    """What a grade depends on: the submission, the graded source and the checks."""
    digest = hashlib.sha256()
    files = [path, course / 'source' / 'msa' / NOTEBOOK, *sorted((ROOT / 'msa_lab').glob('*.py'))]
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b'')
    return digest.hexdigest()


def grade_submission(student, submissions, out, shared, limits, fresh=False):
    """One row for the table, from a process of its own; a grade that is still valid is kept."""
    path = submissions / student / NOTEBOOK
    kept, feedback = out / 'rows' / f'{student}.json', out / 'feedback' / f'{student}.html'
    key = fingerprint(path, shared / 'course')
    if not fresh and kept.is_file() and feedback.is_file():
        row = json.loads(kept.read_text(encoding='utf-8'))
        if row['key'] == key:
            return row
    with tempfile.TemporaryDirectory() as work:
        job = {
            'notebook': str(path.resolve()), 'course': str(shared / 'course'), 'lab': str(ROOT),
            'data': str(shared / 'data.pkl'), 'feedback': str(feedback.resolve()),
            'result': f'{work}/result.json', 'limits': asdict(limits),
            'sandboxed': sandbox.available(), 'startup_seconds': STARTUP_SECONDS,
        }  # fmt: skip
        feedback.unlink(missing_ok=True)
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
    if not feedback.is_file():
        names = {k: html.escape(v) for k, v in (('student', student), ('ended', row['ended']))}
        feedback.write_text(PAGE.format(**names, notebook=NOTEBOOK), encoding='utf-8')
    beside = (p for p in sorted((submissions / student).glob('*')) if p.name != NOTEBOOK)
    row |= {'student': student, 'key': key, 'beside': [p.name for p in beside]}
    kept.write_text(json.dumps(row, ensure_ascii=False), encoding='utf-8')
    return row


def table(rows, written):
    """The table of grades: a row per student, a column per task, what waits, how it ended."""
    known, lines = tasks(), []
    for row in rows:
        line = {'student': row['student']}
        graded = bool(row['points'])
        waiting = []
        for name, (title, most, by_hand) in known.items():
            points = row['points'].get(name, 0)
            if by_hand and name in row['waiting']:
                points = written.get((row['student'], title))
                if points is None:
                    waiting.append(title)
                elif not 0 <= points <= most:
                    raise SystemExit(
                        f'written.csv: {row["student"]}, {title}: {points:g} is not between 0 '
                        f'and {most}; correct it and run the command again'
                    )
            line[f'{title} ({most})'] = points
        line['total'] = sum(p for k, p in line.items() if k != 'student' and p is not None)
        line['waits for'] = '; '.join(waiting)
        line['also handed in'] = '; '.join(row['beside'])
        line['ended'] = row['ended']
        line['graded'] = 'yes' if graded else 'no'
        line['seconds'] = row['seconds']
        lines.append(line)
    return pd.DataFrame(lines)


def read_written(path):
    """The points that a human has put into written.csv: {(student, task): points}."""
    if not path.is_file():
        return {}
    try:
        sheet = pd.read_csv(path, dtype={'student': str}).set_index('student')
        return {
            (student, title.rsplit(' (', 1)[0]): float(points)
            for title, column in sheet.items() for student, points in column.items()
            if pd.notna(points)
        }  # fmt: skip
    except (ValueError, KeyError) as error:
        raise SystemExit(f'{path}: {error}; it wants a column `student` and numbers') from error


def write_written(path, rows, written):
    """The sheet for the written answers: a blank where somebody must read, 0 where none is."""
    known = {name: task for name, task in tasks().items() if task[2]}
    lines = []
    for row in rows:
        line = {'student': row['student']}
        for name, (title, most, _) in known.items():
            blank = written.get((row['student'], title))
            line[f'{title} ({most})'] = blank if name in row['waiting'] else 0
        lines.append(line)
    write_csv(pd.DataFrame(lines), path)


def write_csv(frame, path):
    """Beside it first, then renamed; with a mark so that spreadsheets read the Chinese."""
    beside = path.with_name(path.name + '.tmp')
    frame.to_csv(beside, index=False, encoding='utf-8-sig')
    os.replace(beside, path)


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
