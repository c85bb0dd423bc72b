"""The notebook as one HTML page that needs no network.

The page that nbconvert writes loads MathJax and RequireJS from the internet, so a student who is
offline sees raw LaTeX. Here every formula becomes MathML, which browsers draw themselves. Use it as
`jupyter nbconvert --to msa_lab.report.html_page.OfflineHTMLExporter NOTEBOOK`.
"""

import inspect
import re
from html import escape
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from msa_lab.report import figures

TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block notebook_css -%}
{{ super() }}
<style>
@media screen and (prefers-color-scheme: dark) {
{% include 'lab/static/theme-dark.css' %}
  img { background: white; }
}
  :root { --jp-cell-prompt-width: 76px; }
  .jp-Notebook { max-width: 1080px; margin: 0 auto; }
  .jp-RenderedHTMLCommon { line-height: 1.7; }
  .jp-InputArea-editor { overflow-x: auto; }
  math { font-family: 'STIX Two Math', 'Cambria Math', math; font-size: 1.08em; }
  math[display='block'] { margin: 0.8em 0; }
  .jp-RenderedHTMLCommon table { display: block; overflow-x: auto; }
  .jp-RenderedHTMLCommon thead { word-break: keep-all; }
</style>
{%- endblock -%}
{%- block data_png -%}
{{ super() | replace('<img', '<img alt="' ~ (cell | describe_figure) ~ '"') }}
{%- endblock -%}
{%- block data_jpg -%}
{%- set description = output | get_metadata('alt', 'image/jpeg') or 'figure' -%}
{{ super() | replace('<img', '<img alt="' ~ description ~ '"') }}
{%- endblock -%}
"""


def describe_figure(cell: NotebookNode) -> str:
    """What the figure of a code cell shows, for readers who cannot see it: its `alt` text.

    It is the first line of the docstring of the function in `msa_lab.report.figures` that the cell
    calls, with HTML's special characters escaped; 'figure' if the cell calls none.
    """
    call = re.search(r'\bfigures\.(\w+)\(', cell.source)
    docstring = inspect.getdoc(getattr(figures, call[1], None)) if call else None
    return escape((docstring or 'figure').partition('\n')[0])


class MathMLRenderer(IPythonRenderer):
    """nbconvert's renderer from Markdown to HTML, which turns LaTeX into MathML."""

    def block_math(self, body: str) -> str:
        """A formula on lines of its own, `$$...$$`."""
        return convert(body.strip(), display='block')

    def inline_math(self, body: str) -> str:
        """A formula within a line, `$...$`."""
        return convert(body.strip())


class OfflineHTMLExporter(HTMLExporter):
    """nbconvert's HTML page with formulas as MathML, pictures embedded, and no script to load."""

    export_from_notebook = None  # not in the "Save and Export" menu of JupyterLab

    def __init__(self, **kwargs: Any):
        super().__init__(raw_template=TEMPLATE, embed_images=True, **kwargs)
        self.register_filter('describe_figure', describe_figure)

    @pass_context
    def markdown2html(self, context: Context, source: str) -> str:
        """Turn the source of a Markdown cell into HTML; the template calls this as a filter."""
        renderer = MathMLRenderer(
            escape=False,
            attachments=context.get('cell', {}).get('attachments', {}),
            embed_images=self.embed_images,
            path=context.get('resources', {}).get('metadata', {}).get('path', ''),
            anchor_link_text=self.anchor_link_text,
        )
        return MarkdownWithMath(renderer=renderer).render(source)
