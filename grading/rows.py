"""What a worker process is asked to do with one submission, and what is known of it afterwards."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from grading.sandbox import Limits


@dataclass(frozen=True)
class Job:
    """Everything that the worker process of one submission needs to know. Paths are strings.

    Attributes:
        notebook: the notebook that was handed in.
        course: nbgrader's course folder, which the worker copies.
        lab: the folder that holds `msa_lab` and `images`.
        data: the data file that the notebook trains on.
        work: an empty folder for what the worker writes.
        result: the file that the worker writes the `Row` to.
        submitted_page: the HTML page of the notebook as it was handed in.
        graded_page: the HTML page of the notebook as it ran while grading.
        limits: what the submission may use.
        sandboxed: whether the kernel is locked in with bubblewrap.
        startup_seconds: how long the kernel may take to start.
    """

    notebook: str
    course: str
    lab: str
    data: str
    work: str
    result: str
    submitted_page: str
    graded_page: str
    limits: Limits
    sandboxed: bool
    startup_seconds: int

    def to_json(self) -> str:
        """The job as the text of a JSON file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> 'Job':
        """The job in the text of a JSON file that `to_json` has made."""
        values = json.loads(text)
        return cls(**values | {'limits': Limits(**values['limits'])})


@dataclass(frozen=True)
class Row:
    """What is known of one submission. A task is named by the `grade_id` of its graded cell.

    The worker fills in the fields down to `seconds`, `grading.jobs.Grader` the others.

    Attributes:
        ended: how the run ended, in Chinese, for the student.
        failed: whether the grading itself went wrong, so that `ended` says nothing about the
            submission. Such a submission is graded again by the next run.
        points: {task: points}, None for a written answer that a human has to read. It is empty
            if nothing was graded.
        waiting: the written tasks that a human has to read.
        messages: {task: message of the self-check}, of the tasks that lost points.
        code: {task: sources of the cells in which it is solved}, of the tasks that lost points.
        answers: {task: Markdown of the answer}, of the written tasks in `waiting`.
        errors: at most five cells that are not graded and failed: source and error message.
        seconds: how long the grading took, None if no worker was started.
        student: the name of the student's folder.
        beside: names of the other files that were handed in.
        version: the version of lab and grading, see `grading.jobs.version`.
        key: a fingerprint of what the grade depends on, '' if the grading failed.
    """

    ended: str
    failed: bool = False
    points: dict = field(default_factory=dict)
    waiting: list = field(default_factory=list)
    messages: dict = field(default_factory=dict)
    code: dict = field(default_factory=dict)
    answers: dict = field(default_factory=dict)
    errors: list = field(default_factory=list)
    seconds: float | None = None
    student: str = ''
    beside: tuple = ()
    version: str = ''
    key: str = ''

    def to_json(self) -> str:
        """The row as the text of a JSON file."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def read(cls, path: Path) -> 'Row | None':
        """The row in a JSON file, or None if there is no file or no row in it.

        Another version of the grading may have written the file: fields that are unknown here are
        left out, and fields that are missing get their defaults.
        """
        known = {field.name for field in fields(cls)}
        try:
            values = json.loads(path.read_bytes())
            return cls(**{name: value for name, value in values.items() if name in known})
        except (FileNotFoundError, ValueError, AttributeError, TypeError):
            return None
