"""Marks and tables: nothing that an instructor has typed is lost, guessed or counted twice.

Here submissions are not run: a test says what their rows are.
"""

import csv
import json
from dataclasses import replace

import pytest

from grading import feedback, grade, marks
from grading.feedback import question_page, student_page
from grading.jobs import version
from grading.marks import Marks
from grading.render import answer_html, message_html
from grading.rows import Row
from grading.submissions import find_submission, find_submissions
from grading.tasks import NOTEBOOK, tasks

AUTOMATIC = {key: task.points for key, task in tasks().items() if not task.written}
FULL = sum(AUTOMATIC.values())
MOST_Q1, MOST_4 = (tasks()[key].points for key in ('q1-reading', 'check-4'))
Q1, Q1_COLUMN = '分析 1', f'分析 1 ({MOST_Q1})'


def row_of(student, **answers):
    """A row with every automatic point and these answers, `_` for `-` in the keys of the tasks."""
    answers = {key.replace('_', '-'): text for key, text in answers.items()}
    points = dict.fromkeys(tasks(), 0) | AUTOMATIC | dict.fromkeys(answers)
    return Row(
        ended='正常结束',
        points=points,
        waiting=list(answers),
        answers=answers,
        seconds=1.0,
        student=student,
        version=version(),
    )


def no_row(student, ended='内核没有启动', failed=True):
    """The row of a submission that was not graded."""
    return replace(row_of(student), points={}, answers={}, ended=ended, failed=failed)


class Desk:
    """An instructor's desk: folders of submissions, a folder of results, a spreadsheet."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.out, self.rows = folder / 'out', {}
        self.meanwhile = lambda: None  # what somebody does while submissions are graded

    def hand_in(self, row, folder='in'):
        self.rows[row.student] = row
        path = self.folder / folder / row.student / NOTEBOOK
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def run(self, submissions, out, *_):
        self.meanwhile()
        rows = [self.rows[submission.student] for submission in submissions]
        for row in rows:
            (out / 'rows' / f'{row.student}.json').write_text(row.to_json())
        return rows

    def grade(self, folder='in'):
        """Run the command; what it printed."""
        self.capsys.readouterr()
        grade.grade_all(self.folder / folder, self.out)
        return self.capsys.readouterr().out

    def table(self, name):
        with (self.out / name).open(encoding='utf-8-sig', newline='') as file:
            return {line['student']: line for line in csv.DictReader(file)}

    def type(self, student, column, text, encoding='utf-8-sig'):
        """What a spreadsheet does: read all of written.csv, change a cell, write it."""
        table = self.table('written.csv')
        table[student][column] = text
        columns = list(dict.fromkeys(c for line in table.values() for c in line))
        with (self.out / 'written.csv').open('w', encoding=encoding, newline='') as file:
            sheet = csv.DictWriter(file, columns, restval='')
            sheet.writeheader()
            sheet.writerows(table.values())

    def change(self, *lines):
        text = '\n'.join(('student,task,points,reason', *lines))
        (self.out / 'changes.csv').write_text(text, encoding='utf-8')

    def everything(self):
        return {p: p.read_bytes() for p in self.out.rglob('*') if p.is_file()}


@pytest.fixture
def desk(tmp_path, capsys, monkeypatch):
    desk = Desk(tmp_path, capsys)
    monkeypatch.setattr(grade, 'grade_submissions', desk.run)
    return desk


# written.csv


def test_a_mark_is_added_and_kept(desk):
    desk.hand_in(replace(row_of('张三', q1_reading='过拟合。'), beside=('更好的模型.ipynb',)))
    desk.hand_in(no_row('broken', '不是笔记本文件', failed=False))
    assert 'cannot be read: broken (不是笔记本文件)' in desk.grade()
    grades = desk.table('grades.csv')
    assert list(grades) == ['broken', '张三']
    assert grades['broken']['total'] == '0'
    assert grades['broken']['graded'] == 'no'
    assert grades['张三']['total'] == str(FULL)
    assert grades['张三']['waits for'] == Q1
    assert grades['张三']['also handed in'] == '更好的模型.ipynb'
    assert desk.table('written.csv')['张三'][Q1_COLUMN] == ''
    desk.type('张三', Q1_COLUMN, '5.5')
    for _ in range(2):
        desk.grade()
        assert desk.table('grades.csv')['张三']['total'] == str(FULL + 5.5)
        assert desk.table('grades.csv')['张三']['waits for'] == ''


def test_what_the_program_wrote_is_never_read_as_a_mark(desk):
    desk.hand_in(row_of('li'))
    desk.grade()
    assert desk.table('written.csv')['li'][Q1_COLUMN] == '-'
    desk.hand_in(row_of('li', q1_reading='现在写了。'))
    desk.grade()
    assert desk.table('written.csv')['li'][Q1_COLUMN] == ''
    assert desk.table('grades.csv')['li']['waits for'] == Q1


@pytest.mark.parametrize(
    'row', [no_row('li'), no_row('li', '不是笔记本文件', failed=False)], ids=['failed', 'broken']
)
def test_a_mark_survives_a_run_without_the_answer(desk, row):
    whole = row_of('li', q1_reading='过拟合。')
    desk.hand_in(whole)
    desk.grade()
    desk.type('li', Q1_COLUMN, '5')
    desk.hand_in(row)
    desk.grade()
    assert desk.table('written.csv')['li'][Q1_COLUMN] == '5'
    assert desk.table('grades.csv')['li']['graded'] == 'no'
    desk.hand_in(whole)
    desk.grade()
    assert desk.table('grades.csv')['li']['total'] == str(FULL + 5)


@pytest.mark.parametrize('after', ['另一个回答。', None])
def test_a_mark_for_an_earlier_answer_is_told_and_not_counted(desk, after):
    desk.hand_in(row_of('li', q1_reading='过拟合。'))
    desk.grade()
    desk.type('li', Q1_COLUMN, '5')  # for what the page showed, and then comes another answer
    desk.hand_in(row_of('li', **({'q1_reading': after} if after else {})))
    for _ in range(2):
        assert f'1 marked answer changed since: li {Q1} (was 5)' in desk.grade()
        assert desk.table('written.csv')['li'][Q1_COLUMN] == '5?'
        assert desk.table('grades.csv')['li']['waits for'] == Q1
        assert desk.table('grades.csv')['li']['total'] == str(FULL)
    assert '待评' in (desk.out / 'feedback' / 'li.html').read_text(encoding='utf-8')
    desk.type('li', Q1_COLUMN, '5')  # read again, and it is worth the same
    assert 'changed since' not in desk.grade()
    assert desk.table('grades.csv')['li']['total'] == str(FULL + 5)


def test_new_line_breaks_are_no_new_answer(desk):
    desk.hand_in(row_of('li', q1_reading='过拟合。\n\n时机。'))
    desk.grade()
    desk.type('li', Q1_COLUMN, '5')
    desk.hand_in(row_of('li', q1_reading='过拟合。 \r\n时机。\n'))
    assert 'changed since' not in desk.grade()


def test_what_is_typed_during_a_run_is_kept(desk):
    desk.hand_in(row_of('li', q1_reading='过拟合。'))
    desk.grade()
    desk.meanwhile = lambda: desk.type('li', Q1_COLUMN, '4')
    desk.grade()
    assert desk.table('grades.csv')['li']['total'] == str(FULL + 4)


def test_a_late_folder_adds_rows_and_replaces_who_is_in_both(desk):
    for name in ('li', 'wang'):
        desk.hand_in(row_of(name, q1_reading=name))
    desk.grade()
    desk.type('li', Q1_COLUMN, '5')
    desk.type('wang', Q1_COLUMN, '6')
    desk.hand_in(row_of('late', q1_reading='late'), 'late')
    desk.hand_in(row_of('wang', q1_reading='better'), 'late')
    output = desk.grade('late')
    assert '2 submissions; ' in output
    assert 'grades.csv has 3 rows' in output
    assert '1 row kept from earlier runs, students not in this folder: li' in output
    assert 'another version' not in output
    grades = desk.table('grades.csv')
    assert list(grades) == ['late', 'li', 'wang']
    assert grades['li']['total'] == str(FULL + 5)
    marks = {name: line[Q1_COLUMN] for name, line in desk.table('written.csv').items()}
    assert marks == {'late': '', 'li': '5', 'wang': '6?'}


def test_kept_rows_of_another_version_are_told(desk):
    desk.hand_in(replace(row_of('li'), version='older'))
    desk.grade()
    desk.hand_in(row_of('late'), 'late')
    assert 'graded with another version of the lab, grade them again: li' in desk.grade('late')


def test_row_files_of_another_version_do_not_stop_the_run(desk):
    """Unknown fields are left out, missing ones get defaults; a broken file counts as none."""
    for name in ('li', 'wang'):
        desk.hand_in(row_of(name))
    desk.grade()
    rows = desk.out / 'rows'
    older = json.loads((rows / 'li.json').read_text()) | {'mood': 'good', 'version': 'older'}
    del older['errors']
    (rows / 'li.json').write_text(json.dumps(older))
    for name, text in (('a', '[1]'), ('b', '{"student": "b"}'), ('c', ''), ('d', '\xff')):
        (rows / f'{name}.json').write_text(text, encoding='latin-1')
    desk.hand_in(row_of('late'), 'late')
    assert 'with another version of the lab, grade them again: li' in desk.grade('late')
    grades = desk.table('grades.csv')
    assert list(grades) == ['late', 'li', 'wang']
    assert grades['li']['total'] == str(FULL)


def test_a_name_that_nobody_has_stops_before_anything_is_written(desk):
    desk.hand_in(row_of('0012', q1_reading='过拟合。'))
    desk.grade()
    desk.type('0012', Q1_COLUMN, '5')
    sheet = desk.out / 'written.csv'
    sheet.write_text(sheet.read_text('utf-8-sig').replace('0012', '12'), 'utf-8-sig')
    before = desk.everything()
    desk.meanwhile = pytest.fail
    with pytest.raises(SystemExit, match=r"written.csv: no submission is called '12'; correct"):
        desk.grade()
    assert desk.everything() == before


@pytest.mark.parametrize(
    ('text', 'says'),
    [
        ('70', f'70 is not a number between 0 and {MOST_Q1}'),
        ('x', 'x is not'),
        ('nan', 'nan is not'),
    ],
)
def test_a_mark_out_of_range_is_named(desk, text, says):
    desk.hand_in(row_of('li', q1_reading='过拟合。'))
    desk.grade()
    desk.type('li', Q1_COLUMN, text)
    before = desk.everything()
    with pytest.raises(SystemExit, match=f'li, {Q1}: {says}'):
        desk.grade()
    assert desk.everything() == before


def test_what_spreadsheets_do_is_understood(desk):
    for name in ('li', '王'):
        desk.hand_in(row_of(name, q1_reading='过拟合。'))
    desk.grade()
    desk.type('王', '备注', '抄 li 的？', encoding='gb18030')  # a column of one's own
    desk.grade()
    desk.type('li', Q1_COLUMN, ' 5 ')
    with (desk.out / 'written.csv').open('a', encoding='utf-8') as file:
        file.write(',,,\n')
    desk.grade()
    assert desk.table('written.csv')['王']['备注'] == '抄 li 的？'
    assert desk.table('written.csv')['li'][Q1_COLUMN] == '5'
    (desk.out / 'written.csv').write_text('student;x\nli;5\n')
    with pytest.raises(SystemExit, match='no column student; columns are divided by commas'):
        desk.grade()
    (desk.out / 'written.csv').write_text('student,x\nli,5\nli,6\n')
    with pytest.raises(SystemExit, match="'li' has two rows"):
        desk.grade()


# Points that change


def test_a_change_is_applied_last_and_its_reason_is_shown(desk):
    desk.hand_in(row_of('li', q1_reading='过拟合。'))
    desk.hand_in(no_row('wang', '不是笔记本文件', failed=False))
    desk.grade()
    desk.change(
        'li,TODO 4,2.5,写法<b>不同</b>，算对一半', f'li,{Q1},7,口试', 'wang,TODO 1,3,看过纸稿'
    )
    desk.grade()
    grades = desk.table('grades.csv')
    assert grades['li'][f'TODO 4 ({MOST_4})'] == '2.5'
    assert grades['li']['total'] == str(FULL - MOST_4 + 2.5 + 7)
    assert grades['li']['waits for'] == ''
    assert grades['wang']['total'] == '3'
    page = (desk.out / 'feedback' / 'li.html').read_text(encoding='utf-8')
    assert 'TODO 4 由老师改为 2.5 分：写法&lt;b&gt;不同&lt;/b&gt;，算对一半' in page
    assert '看过纸稿' in (desk.out / 'feedback' / 'wang.html').read_text(encoding='utf-8')


@pytest.mark.parametrize(
    ('line', 'says'),
    [
        ('zhao,TODO 4,2,x', "no submission is called 'zhao'"),
        ('li,TODO 99,5,x', "li: no task 'TODO 99'; one of TODO 1, "),
        ('li,TODO 10.4,2,x', "li: no task 'TODO 10.4'; one of TODO 1, .*TODO 10.1, "),
        ('li,TODO 4,6,x', f'li, TODO 4: 6 is not a number between 0 and {MOST_4}'),
        ('li,TODO 4,2,', 'li, TODO 4: no reason'),
        ('li,TODO 4,2,x\nli,TODO 4,1,x', 'li, TODO 4: changed twice'),
    ],
)
def test_a_mistake_in_the_changes_stops_before_anything_is_written(desk, line, says):
    desk.hand_in(row_of('li'))
    desk.grade()
    desk.change(line)
    before = desk.everything()
    desk.meanwhile = pytest.fail
    with pytest.raises(SystemExit, match=f'changes.csv: {says}'):
        desk.grade()
    assert desk.everything() == before


def test_a_question_without_points_waits_for_nobody_and_100_is_no_constant(desk, monkeypatch):
    fewer = tasks() | {'q1-reading': replace(tasks()['q1-reading'], points=0)}
    for module in (grade, feedback, marks):
        monkeypatch.setattr(module, 'tasks', lambda: fewer)
    desk.hand_in(row_of('li', q1_reading='过拟合。'))
    desk.grade()
    assert desk.table('grades.csv')['li']['waits for'] == ''
    assert not [column for column in desk.table('written.csv')['li'] if Q1 in column]
    page = (desk.out / 'feedback' / 'li.html').read_text(encoding='utf-8')
    assert f'{FULL} / {100 - MOST_Q1} 分' in page


# What was handed in


def notebook_of_the_lab(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(' '.join(f'"grade_id": "{key}"' for key in tasks()))


@pytest.mark.parametrize('name', ['EXP_MSA (1).ipynb', 'zhao/EXP_MSA.ipynb', 'EXP_MSA.ipynb'])
def test_the_one_notebook_of_the_lab_is_found(tmp_path, name):
    notebook_of_the_lab(tmp_path / name)
    (tmp_path / 'better.ipynb').write_text('"grade_id": "check-15"')
    (tmp_path / '.ipynb_checkpoints').mkdir()
    notebook_of_the_lab(tmp_path / '.ipynb_checkpoints' / 'EXP_MSA-checkpoint.ipynb')
    found = find_submission(tmp_path)
    assert found.notebook == tmp_path / name
    assert found.name == name
    assert found.beside == ('better.ipynb',)


def test_of_two_or_none_no_notebook_is_chosen(tmp_path):
    (tmp_path / NOTEBOOK).mkdir()
    (tmp_path / 'a.ipynb').write_text('a')
    assert find_submission(tmp_path).notebook is None
    notebook_of_the_lab(tmp_path / 'b' / 'b.ipynb')
    notebook_of_the_lab(tmp_path / 'c' / 'c.ipynb')
    found = find_submission(tmp_path)
    assert found.notebook is None
    assert found.others == ('a.ipynb', 'b/b.ipynb', 'c/c.ipynb')


def test_what_was_not_found_or_lies_loose_is_said_last(desk):
    desk.hand_in(no_row('zhao', '没有找到', failed=False))
    (desk.folder / 'in' / 'zhao' / NOTEBOOK).rename(desk.folder / 'in' / 'zhao' / 'a.ipynb')
    (desk.folder / 'in' / 'wang.zip').touch()
    desk.hand_in(no_row('sun', '没有找到', failed=False))
    (desk.folder / 'in' / 'sun' / NOTEBOOK).unlink()
    lines = desk.grade().splitlines()
    assert lines[-1] == 'not found: sun (there is: no notebook), zhao (there is: a.ipynb)'
    assert lines[-2] == 'not in a folder of a student, so ignored: wang.zip'


def test_a_folder_without_submissions_is_said(tmp_path):
    with pytest.raises(SystemExit, match='no folder'):
        find_submissions(tmp_path / 'nowhere')
    with pytest.raises(SystemExit, match='holds no folder'):
        find_submissions(tmp_path)


# The pages


def test_answers_and_messages_are_drawn_and_nothing_of_them_runs():
    answer = '**粗** `a_b`\n\n<script>1</script>\n\n- $x<y$ ![图](a.png) [l](javascript:1)'
    drawn = answer_html(answer)
    assert '<strong>粗</strong> <code>a_b</code>' in drawn
    assert '<li>$x&lt;y$' in drawn
    for harmful in ('<script', '<img', 'javascript:'):
        assert harmful not in drawn
    message = '`feature` 应是 *序列* 之和，**不是** f(*args, **kwargs)、__init__、<b>'
    assert message_html(message) == (
        '<code>feature</code> 应是 <em>序列</em> 之和，<strong>不是</strong> '
        'f(*args, **kwargs)、__init__、&lt;b&gt;'
    )


def test_one_question_is_read_on_one_page(desk):
    for name, text in (('li', '**过拟合**'), ('wang', '时机')):
        desk.hand_in(row_of(name, q1_reading=text))
    desk.hand_in(row_of('sun'))
    desk.grade()
    desk.type('li', Q1_COLUMN, '5')
    desk.hand_in(row_of('wang', q1_reading='时机和样本量'))
    desk.type('wang', Q1_COLUMN, '3')
    desk.grade()
    page = (desk.out / 'written' / f'{Q1}.html').read_text(encoding='utf-8')
    assert '<h2>li: 5</h2>' in page
    assert '<h2>wang: was 3</h2>' in page
    assert '<strong>过拟合</strong>' in page
    assert '<strong>评分标准</strong>' in page
    assert 'BEGIN SOLUTION' not in page
    assert '../feedback/li-submitted.html' in page
    assert 'Nothing to read from: sun.' in page
    assert len(list((desk.out / 'written').iterdir())) == 8


def test_a_failure_of_the_grading_is_not_blamed_on_the_student():
    assert '老师会重新评分' in student_page(no_row('li'), Marks())
    assert '改好后重新提交' in student_page(no_row('li', '不是笔记本文件', failed=False), Marks())
    assert 'li' in question_page('q1-reading', [no_row('li')], Marks())


# The command


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run the command line on a folder; `result` is what the grading gives or raises."""

    def run(result, *arguments):
        def grade_all(*_):
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(grade, 'grade_all', grade_all)
        monkeypatch.setattr('sys.argv', ['grade', str(tmp_path), *arguments])
        return grade.main()

    return run


def test_the_exit_status_says_whether_to_run_it_again(command, capsys):
    assert command([row_of('li'), no_row('wang', '不是笔记本文件', failed=False)]) == 0
    assert command([row_of('li'), no_row('wang')]) == 1
    assert command(KeyboardInterrupt()) == 130
    assert 'interrupted: ' in capsys.readouterr().out


def test_what_has_to_be_graded_again_is_said(desk):
    desk.hand_in(no_row('li'))
    assert '1 submission was not graded: li (内核没有启动); run the command ag' in desk.grade()
    desk.hand_in(no_row('wang'))
    assert '2 submissions were not graded: li (' in desk.grade()
    assert desk.table('grades.csv')['li']['graded'] == 'no'


def test_help_says_units_and_defaults(command, capsys):
    with pytest.raises(SystemExit):
        command(None, '--help')
    output = ' '.join(capsys.readouterr().out.split())
    assert '--memory MEMORY GiB of memory (default: 4.0)' in output
    assert '--disk DISK GiB of files (default: 0.5)' in output
    assert output.count('(default: ') == 7


def test_without_a_folder_one_line_says_what_to_type(monkeypatch, capsys):
    """`make grade` passes an empty SUBMISSIONS on."""
    monkeypatch.setattr('sys.argv', ['grade', ''])
    with pytest.raises(SystemExit) as stopped:
        grade.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == 'which submissions? make grade SUBMISSIONS=dir\n'


def test_windows_is_told_what_it_needs(command, monkeypatch):
    monkeypatch.setattr(grade.sys, 'platform', 'win32')
    with pytest.raises(SystemExit, match=r'needs Linux or macOS .on Windows: WSL.; `make student`'):
        command(None)
