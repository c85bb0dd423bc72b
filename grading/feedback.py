"""The pages that people read: one per student, and for the marker one per written question."""

from jinja2 import DictLoader, Environment

from grading.marks import marked
from grading.render import POLICY, answer_html, message_html
from grading.tasks import tasks

HEAD = """
<!doctype html>
<html lang="zh">
<meta charset="utf-8">
{{ policy }}
<meta name="viewport" content="width=device-width">
<title>{{ title }}</title>
<style>
  body { font-family: sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em;
         line-height: 1.7; color: #222; }
  table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: left; }
  td.n { text-align: right; } tr.lost td { background: #fdf0e6; } tr.open td { color: #666; }
  pre { background: #f5f5f5; padding: .8em; overflow-x: auto; line-height: 1.4; }
  code { background: #0000000d; padding: 0 .2em; } pre code { background: none; padding: 0; }
  blockquote { margin: .6em 0; padding: .4em 1em; background: #fdf0e6;
               border-left: 4px solid #D55E00; }
  blockquote.message { white-space: pre-wrap; }
  .answer { border-left: 4px solid #ccc; padding-left: 1em; overflow-x: auto; }
  .answer :is(h1, h2, h3) { font-size: 1em; }
</style>
"""
STUDENT = """
{% include 'head' %}
<h1>{{ title }}：{{ total|points }} / {{ most|points }} 分</h1>
<p>运行情况：<strong>{{ row.ended }}</strong>
{%- if open %}；还有 {{ open }} 道分析题待老师评阅，分数会再增加{% endif %}。</p>
{% if row.failed %}
<p>这次评分没有成功，老师会重新评分。</p>
{% elif not row.points %}
<p>这份提交没有得到自动评分。请确认 <code>EXP_MSA.ipynb</code> 能在 JupyterLab 里打开，
从头运行到尾，改好后重新提交。</p>
{% endif %}
{% for item in items if item.reason %}
<blockquote>{{ item.task.name }} 由老师改为 {{ item.earned|points }} 分：{{ item.reason }}
</blockquote>
{% endfor %}
{% if row.points %}
<table>
<tr><th>任务</th><th>内容</th><th>得分</th><th>满分</th></tr>
{% for item in items %}
<tr class="{{ item.state }}"><td>{{ item.task.name }}</td>
<td>{% if item.messages or item.answers %}<a href="#{{ item.key }}">{{ item.task.title }}</a>
{%- else %}{{ item.task.title }}{% endif %}</td>
<td class="n">{% if item.state == 'open' %}待评{% else %}{{ item.earned|points }}{% endif %}</td>
<td class="n">{{ item.task.points }}</td></tr>
{% endfor %}
</table>
{% for item in items if item.messages %}
<h2 id="{{ item.key }}">{{ item.task.name }}　{{ item.task.title }}</h2>
<blockquote class="message">{{ item.messages|message }}</blockquote>
{% for source in item.code %}
<pre>{{ source }}</pre>
{% else %}
<p>提交里没有找到这个任务的代码格。</p>
{% endfor %}
{% endfor %}
{% if row.errors %}
<h2>还有哪些格出了错</h2>
<p>这些格不单独计分。前面的任务改好之后，它们多半也就好了。</p>
{% for error in row.errors %}
<pre>{{ error }}</pre>
{% endfor %}
{% endif %}
{% for item in items if item.answers %}
<h2 id="{{ item.key }}">{{ item.task.name }}　{{ item.task.title }}</h2>
<div class="answer">{{ item.answers|answer }}</div>
{% endfor %}
<p>整份笔记本：<a href="{{ row.student|urlencode }}-submitted.html">你提交时的样子</a>，
<a href="{{ row.student|urlencode }}-notebook.html">评分时的运行结果</a>（用 <code>smoke</code>
档和替身数据运行，里面的数字没有意义，只看哪些格出错）。</p>
{% endif %}
</html>
"""
QUESTION = """
{% include 'head' %}
<h1>{{ title }}: {{ answers|length }} answers</h1>
<p>Put the points (0 to {{ task.points }}) into <code>written.csv</code>,
column <code>{{ title }} ({{ task.points }})</code>.</p>
<details><summary>Question, reference answer and mark scheme</summary>
<div class="answer">{{ task.scheme|answer }}</div></details>
{% for row, text, mark in answers %}
<h2>{{ row.student }}{% if mark %}: {{ mark }}{% endif %}</h2>
<p><a href="../feedback/{{ row.student|urlencode }}-submitted.html">notebook as handed in</a>
{%- if row.beside %}; also handed in: {{ row.beside|join(', ') }}{% endif %}</p>
<div class="answer">{{ text|answer }}</div>
{% endfor %}
{% if silent %}
<p>Nothing to read from: {{ silent|join(', ') }}.</p>
{% endif %}
</html>
"""
PAGES = Environment(
    loader=DictLoader({'head': HEAD, 'student': STUDENT, 'question': QUESTION}),
    autoescape=True, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
PAGES.filters |= {'answer': answer_html, 'message': message_html, 'points': '{:g}'.format}
PAGES.globals['policy'] = POLICY


def student_page(row, marks):
    """The page of one row as HTML: points, what each failed check said, code, answers, changes."""
    points, items = marks.points(row), []
    for key, task in tasks().items():
        earned = points[key]
        state = 'open' if earned is None else 'lost' if earned < task.points else 'full'
        _, reason = marks.changes.get((row['student'], key), (None, ''))
        told = {name: row.get(name, {}).get(key) for name in ('messages', 'code', 'answers')}
        items.append(dict(key=key, task=task, earned=earned, state=state, reason=reason, **told))
    return PAGES.get_template('student').render(
        title=row['student'], row=row, items=items,
        total=sum(p or 0 for p in points.values()),
        most=sum(task.points for task in tasks().values()),
        open=sum(p is None for p in points.values()),
    )  # fmt: skip


def question_page(key, rows, marks):
    """All answers to one written question as HTML, with its mark scheme, for who marks it."""
    task = marked()[key]
    answers, silent = [], []
    for row in rows:
        place = row['student'], key
        if text := row.get('answers', {}).get(key):
            points = marks.points(row)[key]
            mark = '' if points is None else f'{points:g}'
            if place in marks.old:
                mark = f'was {marks.old[place]}'
            answers.append((row, text, mark))
        else:
            silent.append(row['student'])
    return PAGES.get_template('question').render(
        title=task.name, task=task, answers=answers, silent=silent
    )
