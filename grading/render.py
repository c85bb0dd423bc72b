"""HTML from what students wrote: nothing of it runs, and nothing is fetched from elsewhere."""

import re
from html import escape

from jinja2 import pass_context
from markupsafe import Markup
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from msa_lab.report.html_page import OfflineHTMLExporter

POLICY = Markup(
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:\">"
)
MARKS = re.compile(  # code, strong, emphasis; the last only of Chinese, for `*args` is none
    r'`(?P<code>[^`\n]+)`|\*\*(?P<strong>[^*\s][^*\n]*)\*\*|\*(?P<em>[\u4e00-\u9fff][^*\n]*)\*'
)


def message_html(text):
    """What a check says, as HTML: the lab's own words, and inside them perhaps a student's."""
    return Markup(MARKS.sub(lambda m: f'<{m.lastgroup}>{m[m.lastgroup]}</{m.lastgroup}>',
                            escape(text, quote=False)))  # fmt: skip


class AnswerRenderer(IPythonRenderer):
    """Markdown with all HTML escaped. Formulas stay source: what makes MathML does not escape."""

    block_code = HTMLRenderer.block_code

    def image(self, text, url, title=None):
        return f'[图 {text}：见整份笔记本]'


def answer_html(text):
    """A written answer, Markdown, as HTML."""
    renderer = AnswerRenderer(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
    return Markup(MarkdownWithMath(renderer=renderer).render(text))


class SubmissionExporter(OfflineHTMLExporter):
    """The lab's page for notebooks of others: a broken formula stays text, no file is read in."""

    export_from_notebook = None

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embed_images = False  # it would put any image of the instructor's disk into the page

    @pass_context
    def markdown2html(self, context, source):
        try:
            return super().markdown2html(context, source)
        except Exception:  # latex2mathml has many, nbconvert one for an attachment that is gone
            return f'<pre>{escape(source)}</pre>'


def notebook_html(notebook, title):
    """A notebook with its outputs as one page; scripts in it do not run."""
    notebook = notebook.copy()
    kept = {k: v for k, v in notebook.metadata.items() if k in ('kernelspec', 'language_info')}
    notebook.metadata = type(notebook.metadata)(kept, title=title)
    page, _ = SubmissionExporter().from_notebook_node(notebook)
    return page.replace('<head>', f'<head>{POLICY}', 1)
