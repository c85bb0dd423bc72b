"""The HTML page: formulas without LaTeX, nothing fetched from anywhere."""

import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from msa_lab.report.html_page import OfflineHTMLExporter


def page(*markdown):
    """The page of a notebook with these Markdown cells."""
    notebook = v4.new_notebook(cells=[v4.new_markdown_cell(text) for text in markdown])
    html, _ = OfflineHTMLExporter().from_notebook_node(notebook)
    return BeautifulSoup(html, 'html.parser')


@pytest.mark.parametrize(
    ('source', 'display', 'text'),
    [
        ('行内 $h_t=\\sigma(x)$ 公式', 'inline', 'ht=σ(x)'),
        ('$$\n\\frac{1}{N}\\sum_{i=1}^{N}p_i\n$$', 'block', '1N∑i=1Npi'),
        ('| a |\n| --- |\n| $y_i=0$ |', 'inline', 'yi=0'),
    ],
)
def test_formulas_become_mathml(source, display, text):
    (formula,) = page(source).find_all('math')
    assert formula['display'] == display
    assert formula.get_text() == text


def test_code_and_plain_dollars_stay():
    soup = page('`$HOME` 要花 5 美元')
    assert not soup.find_all('math')
    assert '$HOME' in soup.get_text()


def test_nothing_is_fetched():
    soup = page('# 标题', '$x$')
    assert not soup.find_all('script', src=True)
    assert not soup.find_all('link', href=lambda h: h and h.startswith('http'))
    assert not [s for s in soup.find_all('script') if 'import(' in s.get_text()]


def test_a_figure_is_described_for_readers_who_cannot_see_it():
    png = {'image/png': 'iVBORw0KGgo='}
    outputs = [v4.new_output('display_data', png)]
    sources = 'figures.confusion(y_true, y_pred, title)', 'plt.plot(x)'
    cells = [v4.new_code_cell(source, outputs=outputs) for source in sources]
    html, _ = OfflineHTMLExporter().from_notebook_node(v4.new_notebook(cells=cells))
    described, unknown = BeautifulSoup(html, 'html.parser').find_all('img')
    assert described['alt'].startswith('Confusion matrix of the seven classes')
    assert unknown['alt'] == 'figure'
