"""The lab in the browser that a student uses: JupyterLab, TensorBoard, the HTML page.

`pytest -k 'not browser'` leaves these out.
"""

import re
import zipfile
from contextlib import contextmanager

import nbformat
import pytest

from grading.release import release
from grading.tasks import NOTEBOOK, ROOT
from msa_lab.data import first_utterances
from msa_lab.report.html_page import OfflineHTMLExporter
from msa_utils import RunWriter, main
from tests.test_notebook import N_KEPT, assert_clean, code_cells, lab_in, pictures

pytest.importorskip('playwright', reason='needs Playwright: requirements-dev.txt has it')

from playwright.sync_api import expect

from images.browser import (
    LabNotebook,
    browser,
    chromium,
    jupyterlab,
    offline_page,
    tensorboard,
)

pytestmark = pytest.mark.skipif(not chromium(), reason='needs Chromium (apt install chromium)')


@pytest.fixture(scope='module')
def running():
    with browser() as started:
        yield started


@contextmanager
def run_all(running, folder, seconds):
    """*Run All Cells* in JupyterLab, profile `smoke`: the open notebook, and what it has saved."""
    with (
        jupyterlab(folder, MSA_PROFILE='smoke', MSA_DATA='synthetic') as address,
        offline_page(running) as page,
    ):
        lab = LabNotebook(page, address, NOTEBOOK)
        lab.run_all(seconds)
        lab.save()
        yield lab, nbformat.read(folder / NOTEBOOK, as_version=4)


def test_run_all_in_jupyterlab_ends_with_every_figure_on_the_screen(running, tmp_path):
    with run_all(running, lab_in(tmp_path / 'lab'), 300) as (lab, notebook):
        assert_clean(notebook)
        assert 'profile: smoke' in str(notebook)
        for cell in pictures(notebook):
            picture = lab.show(cell.id).locator('.jp-OutputArea img')
            picture.scroll_into_view_if_needed()
            assert picture.evaluate('img => img.complete && img.naturalWidth') > 300
            assert picture.bounding_box()['width'] > 300
        for cell in ('run-baseline', 'q21-run', 'q3-run'):
            text = lab.show(cell).locator('.jp-OutputArea').inner_text()
            assert text.count('100%') == 1, (cell, text)
        assert lab.page.locator('.jp-Notebook [data-mime-type*="error"]').count() == 0


def test_the_fill_in_edition_stops_at_its_first_todo_with_the_hint(running, tmp_path):
    with zipfile.ZipFile(release(tmp_path / 'student')) as packed:
        packed.extractall(tmp_path / 'home')
    with run_all(running, tmp_path / 'home' / 'student', 120) as (lab, notebook):
        cells = code_cells(notebook)
        failed = [c for c in cells if any(o.output_type == 'error' for o in c.outputs)]
        (stop,) = failed
        after = cells[cells.index(stop) + 1 :]
        assert all(cell.execution_count is None for cell in after)
        text = lab.show(stop.id).locator('.jp-OutputArea').inner_text()
        assert re.fullmatch('CheckFailed: TODO 1 还没有完成。提示：返回样本数.*', text.strip())


def test_tensorboard_has_both_losses_in_one_chart_and_the_model_graph(
    running, small_file, batch, workdir
):
    """Three epochs of the baseline, found among other runs by the filter that the lab names."""
    file = first_utterances(small_file, 33)
    for name in ('baseline-1', 'study/baseline-seed42'):
        model, _, _ = main(file, epochs=3, log_dir=f'runs/{name}')
    with RunWriter('runs/baseline-1') as writer:
        writer.add_graph(model.cpu(), batch)
    with tensorboard('runs', workdir) as address, offline_page(running) as page:
        page.goto(f'{address}/#timeseries')
        card = page.locator('scalar-card').first
        rows = card.locator('tb-data-table-content-row')
        expect(rows).to_have_count(4)
        page.get_by_role('textbox', name='Filter runs (regex)').press_sequentially('^baseline')
        expect(rows).to_have_count(2)
        assert card.inner_text().split()[0] == 'loss'
        for row, split in zip(rows.all_inner_texts(), ('train', 'valid'), strict=True):
            name, _, loss, step = row.split()[:4]
            assert name == f'baseline-1/{split}'
            assert 0 < float(loss) < 9
            assert step == '3'
        page.goto(f'{address}/#graphs')
        page.reload()
        page.locator('.nodelabel', has_text='MultimodalSenti').wait_for()
        assert page.refused == []


def brightness(page, element, style):
    """The red, green and blue of a computed colour, averaged, 0 to 255."""
    look = f'e => getComputedStyle(e).getPropertyValue({style!r})'
    colour = page.locator(element).first.evaluate(look)
    return sum(map(int, re.findall(r'\d+', colour)[:3])) / 3


@pytest.fixture(scope='module')
def html(complete, tmp_path_factory):
    """The committed notebook as a page: its address."""
    page, _ = OfflineHTMLExporter().from_notebook_node(complete, {'metadata': {'path': str(ROOT)}})
    file = tmp_path_factory.mktemp('page') / 'EXP_MSA.html'
    file.write_text(page, encoding='utf-8')
    return file.as_uri()


@pytest.mark.parametrize('width', [1280, 800])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_the_page_shows_formulas_and_figures_without_the_network(running, html, width, scheme):
    with offline_page(running, width, color_scheme=scheme) as page:
        page.goto(html)
        assert page.refused == []
        assert page.evaluate('document.documentElement.scrollWidth') <= width
        sizes = 'all => all.map(e => [e.getBoundingClientRect(), e.naturalWidth])'
        pictures = page.locator('main img').evaluate_all(sizes)
        assert len(pictures) == N_KEPT
        assert all(natural > 300 and box['width'] > 300 for box, natural in pictures)
        assert all(box['right'] <= width for box, _ in pictures)
        formulas = page.locator('main math').evaluate_all(sizes)
        assert len(formulas) >= 40
        assert all(box['height'] > 4 and box['right'] <= width for box, _ in formulas)
        dark = scheme == 'dark'
        assert (brightness(page, 'body', 'background-color') < 100) == dark
        for element in ('main p', 'main math', 'main td'):
            assert (brightness(page, element, 'color') > 150) == dark, element
        assert brightness(page, 'main img', 'background-color') == (255 if dark else 0)
        fraction = page.locator('mfrac').first
        above, below = (fraction.locator('> *').nth(i).bounding_box() for i in (0, 1))
        assert above['y'] + above['height'] <= below['y'] + 1  # set as a fraction, not in a row
