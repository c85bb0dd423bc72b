"""The points that a human gives: written.csv for the written answers, changes.csv for corrections.

Why not nbgrader's formgrader, which keeps a `manual_score` in the gradebook database? It shows one
notebook at a time in a running server, and here each submission has a gradebook of its own, which
is thrown away. A table is edited in any spreadsheet, and the marks in it outlive every run.

Both tables lie in the output folder. What the program itself writes into written.csv is never a
number, so that it cannot be taken for somebody's mark. answers.json beside them says for which text
of the answer each mark was given.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from grading.rows import Row
from grading.tasks import Task, tasks
from msa_lab.files import atomic_write

NOTHING = '-'  # stands where there is nothing to read
CHANGED = '?'  # behind a mark that was given for an earlier text of the answer


def written_tasks() -> dict[str, Task]:
    """The written tasks that have points, by key (the `grade_id` of the cell)."""
    return {key: task for key, task in tasks().items() if task.written and task.points}


@dataclass
class Marks:
    """What humans have decided, by (student, key of the task).

    Attributes:
        valid: {(student, key): points}, the marks for the answers as they are now.
        outdated: {(student, key): text of the mark}, the marks for earlier texts of an answer.
        changes: {(student, key): (points, reason)}, the corrections of changes.csv.
        fingerprints: {student: {key: fingerprint}}, of the answers that the pages showed last.
        notes: {student: {column: text}}, the columns of written.csv that somebody has added.
    """

    valid: dict = field(default_factory=dict)
    outdated: dict = field(default_factory=dict)
    changes: dict = field(default_factory=dict)
    fingerprints: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)

    @classmethod
    def read(cls, out: Path, students: set[str]) -> 'Marks':
        """The marks in the folder `out`; SystemExit says in one line what is wrong with them.

        `students` are the names that may occur.
        """
        marks = cls()
        file = out / 'answers.json'
        if file.is_file():
            marks.fingerprints = json.loads(file.read_text(encoding='utf-8'))
        marks._read_written(out / 'written.csv', students)
        marks._read_changes(out / 'changes.csv', students)
        return marks

    def _read_written(self, path, students):
        keys = {task.name: key for key, task in written_tasks().items()}
        for line in read_csv(path, ['student'], students):
            student = line.pop('student')
            if student in self.notes:
                raise SystemExit(f'{path}: {student!r} has two rows; delete one')
            self.notes[student] = {}
            for title, text in line.items():
                key = keys.get(title.rsplit(' (', 1)[0])
                if key is None:
                    self.notes[student][title] = text
                elif text.endswith(CHANGED):
                    self.outdated[student, key] = text.removesuffix(CHANGED)
                elif text not in ('', NOTHING):
                    self.valid[student, key] = points_in(text, key, f'{path}: {student}')

    def _read_changes(self, path, students):
        keys = {task.name: key for key, task in tasks().items()}
        for line in read_csv(path, ['student', 'task', 'points', 'reason'], students):
            where = f'{path}: {line["student"]}'
            place = line['student'], keys.get(line['task'])
            if place[1] is None:
                raise SystemExit(f'{where}: no task {line["task"]!r}; one of {", ".join(keys)}')
            if place in self.changes:
                raise SystemExit(f'{where}, {line["task"]}: changed twice; delete one row')
            if not line['reason']:
                raise SystemExit(f'{where}, {line["task"]}: no reason; the student is shown it')
            self.changes[place] = points_in(line['points'], place[1], where), line['reason']

    def outdate(self, rows: Iterable[Row]) -> None:
        """Compare the answers in `rows` with those of the last run; marks of others are outdated.

        A row that was not graded has no answers, and its marks stay as they are.
        """
        for row in rows:
            if not row.points:
                continue
            now = {key: answer_fingerprint(row.answers.get(key, '')) for key in written_tasks()}
            before = self.fingerprints.get(row.student, now)
            for key in written_tasks():
                place = row.student, key
                if place in self.valid and before.get(key, now[key]) != now[key]:
                    self.outdated[place] = f'{self.valid.pop(place):g}'
            self.fingerprints[row.student] = now

    def points(self, row: Row) -> dict[str, float | None]:
        """The points of every task of a row by key, None where a human has still to read."""
        found = {}
        for key, task in tasks().items():
            place = row.student, key
            found[key] = row.points.get(key) or 0
            if place in self.changes:
                found[key], _ = self.changes[place]
            elif task.written and task.points and row.points:
                if place in self.valid:
                    found[key] = self.valid[place]
                elif place in self.outdated or key in row.waiting:
                    found[key] = None
        return found

    def sheet(self, rows: Iterable[Row]) -> list[dict[str, str]]:
        """The lines of written.csv as {column: text}: a blank where somebody must read."""
        lines = []
        for row in rows:
            line = {'student': row.student}
            for key, task in written_tasks().items():
                place = row.student, key
                cell = '' if key in row.waiting else NOTHING
                if place in self.valid:
                    cell = f'{self.valid[place]:g}'
                elif place in self.outdated:
                    cell = f'{self.outdated[place]}{CHANGED}'
                line[f'{task.name} ({task.points})'] = cell
            lines.append(line | self.notes.get(row.student, {}))
        return lines

    def write(self, out: Path, rows: Iterable[Row]) -> None:
        """Write written.csv, then answers.json: if only the first is written, nothing is lost."""
        write_csv(self.sheet(rows), out / 'written.csv')
        with atomic_write(out / 'answers.json') as file:
            file.write(json.dumps(self.fingerprints, ensure_ascii=False, indent=1).encode())


def answer_fingerprint(answer: str) -> str:
    """A fingerprint of the text of an answer; spaces and line breaks count only as word ends."""
    return hashlib.sha256(' '.join(answer.split()).encode()).hexdigest()[:16]


def points_in(text: str, key: str, where: str) -> float:
    """The points for a task in the text of a table's cell; SystemExit if they are none.

    `where` is the place of the cell in words, for the message.
    """
    task = tasks()[key]
    try:
        points = float(text)
    except ValueError:
        points = None
    if points is None or not 0 <= points <= task.points:
        raise SystemExit(
            f'{where}, {task.name}: {text} is not a number between 0 and {task.points}; '
            'correct it and run the command again'
        )
    return points


def read_csv(path: Path, columns: list[str], students: set[str]) -> list[dict[str, str]]:
    """The lines of a table as {column: text}; none if there is no file.

    SystemExit says in one line what is wrong: one of `columns` is missing, or a line is about
    somebody who is not one of the `students`.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    try:
        text = content.decode('utf-8-sig')
    except UnicodeDecodeError:  # a Chinese spreadsheet that saves in the encoding of its system
        text = content.decode('gb18030', errors='replace')
    table = csv.DictReader(io.StringIO(text), restval='')
    missing = [name for name in columns if name not in (table.fieldnames or ())]
    if missing:
        raise SystemExit(f'{path}: no column {", ".join(missing)}; columns are divided by commas')
    lines = [{k: v.strip() for k, v in line.items() if k} for line in table]
    lines = [line for line in lines if any(line.values())]
    unknown = [line['student'] for line in lines if line['student'] not in students]
    if unknown:
        raise SystemExit(
            f'{path}: no submission is called {", ".join(map(repr, unknown))}; correct the names '
            '(a spreadsheet turns 0012 into 12) or delete the rows, then run the command again'
        )
    return lines


def write_csv(lines: list[dict], path: Path) -> None:
    """Write lines, {column: value}, as a table: the whole file or none of it.

    It begins with a byte order mark, by which spreadsheets recognise UTF-8.
    """
    columns = dict.fromkeys(column for line in lines for column in line)
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval='', lineterminator='\n')
    table.writeheader()
    table.writerows(lines)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode('utf-8-sig'))
