"""HTML from what students wrote: nothing of it runs, and nothing is fetched from elsewhere."""

import re
from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, pass_context
from markupsafe import Markup
from mistune import HTMLRenderer
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from msa_lab.report.html_page import OfflineHTMLExporter

STYLED = re.compile(  # code, strong, emphasis; the last only of Chinese, for `*args` is none
    r'`(?P<code>[^`\n]+)`|\*\*(?P<strong>[^*\s][^*\n]*)\*\*|\*(?P<em>[\u4e00-\u9fff][^*\n]*)\*'
)


def message_html(text: str) -> Markup:
    """The message of a check as HTML; all but code, strong and emphasised words is escaped."""
    styled = STYLED.sub(
        lambda m: f'<{m.lastgroup}>{m[m.lastgroup]}</{m.lastgroup}>', escape(text, quote=False)
    )
    return Markup(styled)


class AnswerRenderer(IPythonRenderer):
    """Markdown with all HTML escaped. Formulas stay source: what makes MathML does not escape."""

    block_code = HTMLRenderer.block_code

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """A note in place of an image, which is in the page of the whole notebook."""
        return f'[图 {text}：见整份笔记本]'


def answer_html(text: str) -> Markup:
    """A written answer in Markdown as HTML."""
    renderer = AnswerRenderer(escape=True, allow_harmful_protocols=False, exclude_anchor_links=True)
    return Markup(MarkdownWithMath(renderer=renderer).render(text))


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / 'templates'),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {'answer': answer_html, 'message': message_html, 'points': '{:g}'.format}


def render_page(template: str, **values: object) -> str:
    """The HTML of a file in `templates/` with the values filled in; they are escaped."""
    return TEMPLATES.get_template(template).render(values)


class SubmissionExporter(OfflineHTMLExporter):
    """The lab's page for notebooks of others: a broken formula stays text, no file is read in."""

    export_from_notebook = None

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        self.embed_images = False  # it would put any image of the instructor's disk into the page

    @pass_context
    def markdown2html(self, context: object, source: str) -> str:
        """The filter that turns a Markdown cell into HTML, or into its source if that fails."""
        try:
            return super().markdown2html(context, source)
        except Exception:  # latex2mathml has many, nbconvert one for an attachment that is gone
            return f'<pre>{escape(source)}</pre>'


def notebook_html(notebook: NotebookNode, title: str) -> str:
    """A notebook with its outputs as one HTML page; scripts in it do not run."""
    notebook = notebook.copy()
    kept = {k: v for k, v in notebook.metadata.items() if k in ('kernelspec', 'language_info')}
    notebook.metadata = type(notebook.metadata)(kept, title=title)
    page, _ = SubmissionExporter().from_notebook_node(notebook)
    return page.replace('<head>', f'<head>{render_page("policy.html.j2")}', 1)
