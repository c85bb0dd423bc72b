"""The lab as one HTML page that needs no network.

nbconvert's own page fetches MathJax and RequireJS from the internet; a student who is offline
would see raw LaTeX. Here every formula becomes MathML, which browsers draw themselves. Used as
`jupyter nbconvert --to msa_lab.report.html_page.OfflineHTMLExporter NOTEBOOK`.
"""

import inspect
import re
from html import escape

from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert.exporters import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

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
{{ super() | replace('<img', '<img alt="' ~ (cell | figure_in_words) ~ '"') }}
{%- endblock -%}
{%- block data_jpg -%}
{%- set words = output | get_metadata('alt', 'image/jpeg') or 'figure' -%}
{{ super() | replace('<img', '<img alt="' ~ words ~ '"') }}
{%- endblock -%}
"""


def figure_in_words(cell):
    """What the figure of a cell shows: the first line of the docstring of what draws it."""
    drawn = re.search(r'\bfigures\.(\w+)\(', cell.source)
    words = inspect.getdoc(getattr(figures, drawn[1], None)) if drawn else None
    return escape((words or 'figure').partition('\n')[0])


class MathMLRenderer(IPythonRenderer):
    """Markdown to HTML with LaTeX turned into MathML."""

    def block_math(self, body):
        return convert(body.strip(), display='block')

    def inline_math(self, body):
        return convert(body.strip())


class OfflineHTMLExporter(HTMLExporter):
    """nbconvert's lab page with its pictures inside and its scripts from elsewhere left out."""

    export_from_notebook = None

    def __init__(self, **kwargs):
        super().__init__(raw_template=TEMPLATE, embed_images=True, **kwargs)
        self.register_filter('figure_in_words', figure_in_words)

    @pass_context
    def markdown2html(self, context, source):
        """The filter that turns a Markdown cell into HTML."""
        renderer = MathMLRenderer(
            escape=False,
            attachments=context.get('cell', {}).get('attachments', {}),
            embed_images=self.embed_images,
            path=context.get('resources', {}).get('metadata', {}).get('path', ''),
            anchor_link_text=self.anchor_link_text,
        )
        return MarkdownWithMath(renderer=renderer).render(source)
