"""The page a student gets back: points, the message of each check that failed, and the code."""

from jinja2 import Environment

TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""
<!doctype html>
<html lang="zh">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ row.student }}</title>
<style>
  body { font-family: sans-serif; max-width: 52em; margin: 2em auto; padding: 0 1em;
         line-height: 1.7; color: #222; }
  table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: left; }
  td.n { text-align: right; } tr.lost td { background: #fdf0e6; } tr.open td { color: #666; }
  pre { background: #f5f5f5; padding: .8em; overflow-x: auto; line-height: 1.4; }
  blockquote { margin: .6em 0; padding: .4em 1em; background: #fdf0e6;
               border-left: 4px solid #D55E00; white-space: pre-wrap; }
  .answer { white-space: pre-wrap; border-left: 4px solid #ccc; padding-left: 1em; }
</style>
<h1>{{ row.student }}：{{ '%g'|format(total) }} / 100 分</h1>
<p>运行情况：<strong>{{ row.ended }}</strong>
{%- if open %}；还有 {{ open }} 道分析题待老师评阅，分数会再增加{% endif %}。</p>
{% if not row.points %}
<p>这份提交没有得到自动评分。请确认 <code>EXP_MSA.ipynb</code> 能在 JupyterLab 里打开，
从头运行到尾，改好后重新提交。</p>
{% else %}
<table>
<tr><th>任务</th><th>内容</th><th>得分</th><th>满分</th></tr>
{% for item in items %}
<tr class="{{ item.state }}"><td>{{ item.task.name }}</td>
<td>{% if item.messages or item.answers %}<a href="#{{ item.key }}">{{ item.task.title }}</a>
{%- else %}{{ item.task.title }}{% endif %}</td>
<td class="n">{{ '待评' if item.state == 'open' else '%g'|format(item.earned) }}</td>
<td class="n">{{ item.task.points }}</td></tr>
{% endfor %}
</table>
{% for item in items if item.messages %}
<h2 id="{{ item.key }}">{{ item.task.name }}　{{ item.task.title }}</h2>
<blockquote>{{ item.messages }}</blockquote>
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
<div class="answer">{{ item.answers }}</div>
{% endfor %}
<p><a href="{{ row.student|urlencode }}-notebook.html">整份笔记本在评分时的运行结果</a></p>
{% endif %}
</html>
""")


def render(row, tasks, written):
    """The page of one row as HTML.

    `tasks` is what `grading.release.tasks` returns, `written` {task name: points by a human}.
    """
    shown = []
    for key, task in tasks.items():
        earned = row['points'].get(key, 0)
        if task.written and key in row['waiting']:
            earned = written.get(task.name)
        state = 'open' if earned is None else 'lost' if earned < task.points else 'full'
        told = {name: row.get(name, {}).get(key) for name in ('messages', 'code', 'answers')}
        shown.append(dict(key=key, task=task, earned=earned, state=state, **told))
    total = sum(item['earned'] or 0 for item in shown)
    waits = sum(item['state'] == 'open' for item in shown)
    return TEMPLATE.render(row=row, items=shown, total=total, open=waits)
