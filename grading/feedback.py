"""The pages that people read: one per student, and one per written question for who marks it."""

from grading.marks import Marks, written_tasks
from grading.render import render_page
from grading.rows import Row
from grading.tasks import tasks


def student_page(row: Row, marks: Marks) -> str:
    """The feedback for one student as HTML.

    It shows the points of every task, the message of each self-check that failed with the code
    that it is about, the written answers, and the points that somebody has changed.
    """
    points, items = marks.points(row), []
    for key, task in tasks().items():
        earned = points[key]
        state = 'open' if earned is None else 'lost' if earned < task.points else 'full'
        _, reason = marks.changes.get((row.student, key), (None, ''))
        items.append(
            dict(
                key=key,
                task=task,
                earned=earned,
                state=state,
                reason=reason,
                messages=row.messages.get(key),
                code=row.code.get(key),
                answers=row.answers.get(key),
            )
        )
    return render_page(
        'student.html.j2',
        title=row.student,
        row=row,
        items=items,
        total=sum(p or 0 for p in points.values()),
        most=sum(task.points for task in tasks().values()),
        open=sum(p is None for p in points.values()),
    )


def question_page(key: str, rows: list[Row], marks: Marks) -> str:
    """All answers to the written task `key` as HTML, with its mark scheme, for who marks it."""
    task = written_tasks()[key]
    answers, unanswered = [], []
    for row in rows:
        place = row.student, key
        if text := row.answers.get(key):
            points = marks.points(row)[key]
            mark = '' if points is None else f'{points:g}'
            if place in marks.outdated:
                mark = f'was {marks.outdated[place]}'
            answers.append((row, text, mark))
        else:
            unanswered.append(row.student)
    return render_page(
        'question.html.j2', title=task.name, task=task, answers=answers, unanswered=unanswered
    )
