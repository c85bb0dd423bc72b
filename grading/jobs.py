"""One worker process per submission; its row is kept as long as nothing it depends on changes.

The rows lie in the folder rows/ of the results, one JSON file per student: see `grading.rows.Row`.
"""

import hashlib
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import CancelledError
from dataclasses import replace
from pathlib import Path

from nbformat import NotebookNode

from grading import sandbox
from grading.rows import Job, Row
from grading.sandbox import Limits
from grading.submissions import Submission
from grading.tasks import NOTEBOOK, ROOT
from msa_lab.files import atomic_write

RELOAD_CHECKS = f"""import sys
sys.path.insert(0, {str(ROOT)!r})
for name in [name for name in sys.modules if name.split('.')[0] == 'msa_lab']:
    del sys.modules[name]
from msa_lab import checks
"""
STARTUP_SECONDS = 60


def reload_checks(notebook: NotebookNode) -> None:
    """Make every self-check of a notebook load the checks from the instructor's disk first.

    All of `msa_lab` is loaded again, for the checks use its other folders too. So what a
    submission has done to these modules does not change its grade.
    """
    for cell in notebook.cells:
        if cell.cell_type == 'code' and cell.metadata.get('nbgrader', {}).get('grade'):
            cell.source = RELOAD_CHECKS + cell.source


def version(root: Path = ROOT) -> str:
    """A fingerprint of what every grade depends on: the notebook, `msa_lab` and `grading`.

    The HTML templates are left out: they change no grade, and every run writes the pages of all
    students again, those with a kept grade included.
    """
    code = (*(root / 'msa_lab').rglob('*.py'), *(root / 'grading').rglob('*.py'))
    fingerprint = hashlib.sha256()
    for file in (root / NOTEBOOK, *sorted(code)):
        fingerprint.update(file.read_bytes())
    return fingerprint.hexdigest()


def kept_rows(out: Path) -> dict[str, Row]:
    """The rows that earlier runs left in the folder `out`, by student."""
    rows = map(Row.read, (out / 'rows').glob('*.json'))
    return {row.student: row for row in rows if row and row.student}


class Grader:
    """Grades submissions, from several threads at once if you like.

    `out` is the folder for rows and pages, `shared` the folder with the course and data.pkl.
    """

    def __init__(self, out: Path, shared: Path, limits: Limits) -> None:
        self.out, self.shared, self.limits = Path(out), Path(shared), limits
        self.version = version()
        self.running, self.stopped, self.lock = set(), False, threading.Lock()

    def key(self, submission: Submission) -> str:
        """A fingerprint of everything that the grade of a submission depends on."""
        content = submission.notebook.read_bytes() if submission.notebook else b''
        name = f'{self.version} {submission.name} '
        return hashlib.sha256(name.encode() + content).hexdigest()

    def kept(self, submission: Submission) -> Row | None:
        """The row of an earlier run if it is still valid, else None."""
        row = Row.read(self._file(submission))
        if row and row.key == self.key(submission):
            return replace(row, beside=submission.beside)
        return None

    def grade(self, submission: Submission) -> Row:
        """Grade a submission: its row, which is also written to the folder rows/.

        Raises CancelledError if `stop` was called.
        """
        key = self.key(submission)
        row = self._run(submission) if submission.notebook else Row(f'没有找到 {NOTEBOOK}')
        renamed = submission.name not in ('', NOTEBOOK)
        row = replace(
            row,
            ended=row.ended + (f'（交来的文件是 {submission.name}）' if renamed else ''),
            student=submission.student,
            beside=submission.beside,
            version=self.version,
            key='' if row.failed else key,
        )
        with atomic_write(self._file(submission)) as file:
            file.write(row.to_json().encode())
        return row

    def stop(self) -> None:
        """End every worker and what it has started; nothing is written for their submissions."""
        with self.lock:
            self.stopped = True
            for process in self.running:
                sandbox.end(process)

    def _file(self, submission):
        return self.out / 'rows' / f'{submission.student}.json'

    def _run(self, submission):
        """The row that the worker process of a submission writes, or one that says why not."""
        with tempfile.TemporaryDirectory(prefix='msa-', ignore_cleanup_errors=True) as work:
            job = self._job(submission, work)
            for page in (job.submitted_page, job.graded_page):
                Path(page).unlink(missing_ok=True)
            file, log, result = Path(work, 'job.json'), Path(work, 'log'), Path(job.result)
            file.write_text(job.to_json(), encoding='utf-8')
            in_time = self._wait([sys.executable, '-m', 'grading.worker', str(file)], log)
            if not in_time:
                return Row('评分进程没有按时结束', failed=True)
            if not result.is_file():
                lines = log.read_text(encoding='utf-8', errors='replace').strip().split('\n')
                return Row(f'评分进程中断：{lines[-1][:200]}', failed=True)
            return Row.read(result)

    def _job(self, submission, work):
        pages = self.out.resolve() / 'feedback'
        return Job(
            notebook=str(submission.notebook.resolve()),
            course=str(self.shared / 'course'),
            lab=str(ROOT),
            data=str(self.shared / 'data.pkl'),
            work=work,
            result=str(Path(work, 'result.json')),
            submitted_page=str(pages / f'{submission.student}-submitted.html'),
            graded_page=str(pages / f'{submission.student}-notebook.html'),
            limits=self.limits,
            sandboxed=sandbox.available(),
            startup_seconds=STARTUP_SECONDS,
        )

    def _wait(self, command, log):
        """Run a command and return whether it ended in time.

        It runs in a new session, so that Ctrl-C reaches only this process. Its error output goes to
        the file `log`: a pipe would stay open as long as any kernel holds it.
        """
        with log.open('wb') as output, self.lock:
            if self.stopped:
                raise CancelledError
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=output, start_new_session=True
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
