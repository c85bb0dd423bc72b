"""One process per submission; its row is kept as long as submission, lab and grading are the same.

A row is what is known of a submission: `student`, `points` {key of the task: points, None where a
human reads} (empty if nothing was graded), `waiting` (those keys), `ended` (how it ended, in
Chinese), `failed` (whether that says nothing about the submission: such a row is never kept),
`beside` (what else was handed in), `seconds`, `version`, `key`, and what the feedback page shows.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import CancelledError
from dataclasses import asdict
from pathlib import Path

from grading import sandbox
from grading.tasks import NOTEBOOK, ROOT
from grading.worker import ungraded
from msa_lab.files.atomic import atomic_write

FRESH = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
for name in [name for name in sys.modules if name.split('.')[0] == 'msa_lab']:
    del sys.modules[name]
from msa_lab import checks
"""
STARTUP_SECONDS = 60


def load_checks_afresh(notebook):
    """Before every self-check of the graded source: the checks come from the instructor's disk."""
    for cell in notebook.cells:
        if cell.cell_type == 'code' and cell.metadata.get('nbgrader', {}).get('grade'):
            cell.source = FRESH + cell.source


def version():
    """What every grade depends on: the complete notebook, the checks and the grading."""
    code = (*(ROOT / 'msa_lab').rglob('*.py'), *(ROOT / 'grading').rglob('*.py'))
    digest = hashlib.sha256()
    for file in (ROOT / NOTEBOOK, *sorted(code)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def kept_rows(out):
    """The rows of all earlier runs, by student."""
    rows = (json.loads(p.read_text(encoding='utf-8')) for p in (out / 'rows').glob('*.json'))
    return {row['student']: row for row in rows}


class Jobs:
    """Grades submissions, from several threads if you like; `stop` ends what is running.

    `shared` is the folder with the course and data.pkl, `out` where rows and pages go.
    """

    def __init__(self, out, shared, limits):
        self.out, self.shared, self.limits = Path(out), Path(shared), limits
        self.version = version()
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    def key(self, submission):
        """What the grade of a submission depends on."""
        content = submission.notebook.read_bytes() if submission.notebook else b''
        name = f'{self.version} {submission.name} '
        return hashlib.sha256(name.encode() + content).hexdigest()

    def kept(self, submission):
        """The row of an earlier run if it is still valid, else None."""
        file = self._file(submission)
        row = json.loads(file.read_text(encoding='utf-8')) if file.is_file() else {}
        if row.get('key') == self.key(submission):
            return row | {'beside': submission.beside}
        return None

    def grade(self, submission):
        """The row of a submission, written to rows/; CancelledError when all was stopped."""
        key = self.key(submission)
        missing = ungraded(f'没有找到 {NOTEBOOK}')
        row = self._run(submission) if submission.notebook else missing
        if submission.name not in ('', NOTEBOOK):
            row['ended'] += f'（交来的文件是 {submission.name}）'
        row |= {'student': submission.student, 'beside': submission.beside}
        row |= {'version': self.version, 'key': '' if row['failed'] else key}
        with atomic_write(self._file(submission)) as file:
            file.write(json.dumps(row, ensure_ascii=False).encode())
        return row

    def stop(self):
        """End every worker and what it has started; nothing is written for their submissions."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                sandbox.end(process)

    def _file(self, submission):
        return self.out / 'rows' / f'{submission.student}.json'

    def _run(self, submission):
        with tempfile.TemporaryDirectory(prefix='msa-', ignore_cleanup_errors=True) as work:
            pages = self.out.resolve() / 'feedback'
            job = {
                'notebook': str(submission.notebook.resolve()),
                'course': str(self.shared / 'course'), 'lab': str(ROOT),
                'data': str(self.shared / 'data.pkl'), 'work': work,
                'page': str(pages / f'{submission.student}-notebook.html'),
                'submitted': str(pages / f'{submission.student}-submitted.html'),
                'result': f'{work}/result.json', 'limits': asdict(self.limits),
                'sandboxed': sandbox.available(), 'startup_seconds': STARTUP_SECONDS,
            }  # fmt: skip
            for page in (job['page'], job['submitted']):
                Path(page).unlink(missing_ok=True)
            Path(work, 'job.json').write_text(json.dumps(job), encoding='utf-8')
            result, log = Path(job['result']), Path(work, 'log')
            in_time = self._wait([sys.executable, '-m', 'grading.worker', f'{work}/job.json'], log)
            if not in_time:
                return ungraded('评分进程没有按时结束', failed=True)
            if not result.is_file():
                said = log.read_text(encoding='utf-8', errors='replace').strip().split('\n')[-1]
                return ungraded(f'评分进程中断：{said[:200]}', failed=True)
            return json.loads(result.read_text(encoding='utf-8'))

    def _wait(self, command, log):
        """Run a worker, in a session of its own so that Ctrl-C is ours; whether it ended in time.

        What it says goes to a file: a pipe would stay open as long as any kernel holds it.
        """
        with log.open('wb') as said, self.lock:
            if self.stopped:
                raise CancelledError
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
            )
            self.running.add(process)
        in_time = True
        try:
            process.wait(self.limits.seconds + 120)
        except subprocess.TimeoutExpired:
            in_time = False
            sandbox.end(process)
            process.wait()
        with self.lock:
            self.running.discard(process)
            if self.stopped:
                raise CancelledError
        return in_time
