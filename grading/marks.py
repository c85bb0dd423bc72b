"""The points that a human gives: written.csv for the written answers, changes.csv for corrections.

Both lie in the output folder and are edited in a spreadsheet. What the program itself writes into
written.csv is never a number, so that it cannot be taken for somebody's mark. answers.json beside
them says for which text of the answer each mark was given.
"""

import csv
import hashlib
import io
import json
from dataclasses import dataclass, field

from grading.tasks import tasks
from msa_lab.files.atomic import atomic_write

NOTHING = '-'  # stands where there is nothing to read
CHANGED = '?'  # behind a mark that was given for an earlier text of the answer


def marked():
    """The written tasks that have points, by key."""
    return {key: task for key, task in tasks().items() if task.written and task.points}


@dataclass
class Marks:
    """What humans have decided, by (student, key of the task).

    `given` are marks for the answers as they are, `old` marks for earlier ones, `changes` pairs
    (points, reason). `shown` is {student: {key: fingerprint of the answer that was last shown}}, and
    `notes` {student: {column: text}} the columns of written.csv that somebody has added.
    """

    given: dict = field(default_factory=dict)
    old: dict = field(default_factory=dict)
    changes: dict = field(default_factory=dict)
    shown: dict = field(default_factory=dict)
    notes: dict = field(default_factory=dict)

    @classmethod
    def read(cls, out, students):
        """The marks in the folder `out`; SystemExit says in one line what is wrong with them.

        `students` are the names that may occur.
        """
        marks = cls()
        shown = out / 'answers.json'
        if shown.is_file():
            marks.shown = json.loads(shown.read_text(encoding='utf-8'))
        by_name = {task.name: key for key, task in marked().items()}
        path = out / 'written.csv'
        for line in read_csv(path, ['student'], students):
            student = line.pop('student')
            if student in marks.notes:
                raise SystemExit(f'{path}: {student!r} has two rows; delete one')
            marks.notes[student] = {}
            for title, text in line.items():
                key = by_name.get(title.rsplit(' (', 1)[0])
                if key is None:
                    marks.notes[student][title] = text
                elif text.endswith(CHANGED):
                    marks.old[student, key] = text.removesuffix(CHANGED)
                elif text not in ('', NOTHING):
                    marks.given[student, key] = points_in(text, key, f'{path}: {student}')
        by_name = {task.name: key for key, task in tasks().items()}
        path = out / 'changes.csv'
        for line in read_csv(path, ['student', 'task', 'points', 'reason'], students):
            where = f'{path}: {line["student"]}'
            place = line['student'], by_name.get(line['task'])
            if place[1] is None:
                raise SystemExit(f'{where}: no task {line["task"]!r}; one of {", ".join(by_name)}')
            if place in marks.changes:
                raise SystemExit(f'{where}, {line["task"]}: changed twice; delete one row')
            if not line['reason']:
                raise SystemExit(f'{where}, {line["task"]}: no reason; the student is shown it')
            marks.changes[place] = points_in(line['points'], place[1], where), line['reason']
        return marks

    def outdate(self, rows):
        """Take note of the answers in `rows`; a mark whose answer has changed becomes an old one.

        A row that was not graded shows no answer, and its marks stay as they are.
        """
        for row in rows:
            if not row['points']:
                continue
            student = row['student']
            now = {key: answer_fingerprint(row['answers'].get(key, '')) for key in marked()}
            before = self.shown.get(student, now)
            for key in marked():
                if (student, key) in self.given and before.get(key, now[key]) != now[key]:
                    self.old[student, key] = f'{self.given.pop((student, key)):g}'
            self.shown[student] = now

    def points(self, row):
        """{key: points} of every task of a row, None where a human has still to read."""
        found = {}
        for key, task in tasks().items():
            place = row['student'], key
            found[key] = row['points'].get(key) or 0
            if place in self.changes:
                found[key], _ = self.changes[place]
            elif task.written and task.points and row['points']:
                if place in self.given:
                    found[key] = self.given[place]
                elif place in self.old or key in row['waiting']:
                    found[key] = None
        return found

    def sheet(self, rows):
        """The lines of written.csv: a blank where somebody must read."""
        lines = []
        for row in rows:
            line = {'student': row['student']}
            for key, task in marked().items():
                place = row['student'], key
                cell = '' if key in row['waiting'] else NOTHING
                if place in self.given:
                    cell = f'{self.given[place]:g}'
                elif place in self.old:
                    cell = f'{self.old[place]}{CHANGED}'
                line[f'{task.name} ({task.points})'] = cell
            lines.append(line | self.notes.get(row['student'], {}))
        return lines

    def write(self, out, rows):
        """Write written.csv, then answers.json: if only the first is written, nothing is lost."""
        write_csv(self.sheet(rows), out / 'written.csv')
        with atomic_write(out / 'answers.json') as file:
            file.write(json.dumps(self.shown, ensure_ascii=False, indent=1).encode())


def answer_fingerprint(answer):
    """What tells one text of an answer from another; how its lines are broken does not matter."""
    return hashlib.sha256(' '.join(answer.split()).encode()).hexdigest()[:16]


def points_in(text, key, where):
    """The points that a cell says for a task; SystemExit if they are none."""
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


def read_csv(path, columns, students):
    """The lines of a table as {column: text}; none if there is no file.

    SystemExit says in one line what is wrong: a column that is missing, a student nobody knows.
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


def write_csv(lines, path):
    """Whole or not at all; with a mark so that spreadsheets read the Chinese."""
    columns = dict.fromkeys(column for line in lines for column in line)
    text = io.StringIO()
    table = csv.DictWriter(text, columns, restval='', lineterminator='\n')
    table.writeheader()
    table.writerows(lines)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode('utf-8-sig'))
