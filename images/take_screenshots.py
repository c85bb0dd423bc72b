"""The screenshots of docs/pictures.md: `python -m images.take_screenshots` (`make screenshots`).

JupyterLab on the committed notebook, a self-check that says what is wrong, TensorBoard on one
training of the baseline, and the HTML page in the dark. Takes two minutes and needs Chromium.
"""

import re
import shutil
import tempfile
from pathlib import Path

import nbformat
from PIL import Image

from images.browser import LabNotebook, browser, chromium, jupyterlab, offline_page, tensorboard
from msa_lab.data.synthetic import write_standin
from msa_lab.report.html_page import OfflineHTMLExporter
from msa_utils import main as train

ROOT = Path(__file__).parent.parent
NOTEBOOK = 'EXP_MSA.ipynb'
STAFF = ['@jupyter/nbgrader']  # what a student's JupyterLab has not got
WRONG = 'feature = vision[:, -1:] + text[:, -1:] + audio[:, -1:]  # (B, 1, 128)'


def save(name, page, **options):
    """A picture of the page, images/screenshot-NAME.png, in 128 colours: a few dozen kB."""
    file = ROOT / 'images' / f'screenshot-{name}.png'
    page.screenshot(path=file, **options)
    with Image.open(file) as picture:
        picture.convert('RGB').quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f'{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB')


def copy_lab(folder):
    """The lab as a student has it."""
    for name in ('msa_lab', 'images'):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / NOTEBOOK, folder)


def with_a_mistake(path):
    """A student's notebook: all TODOs done, and TODO 4 adds the last states alone."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.source = re.sub(r'### BEGIN SOLUTION (\d+) ', r'# TODO \1：', cell.source)
        cell.source = re.sub(r'\n *### END SOLUTION', '', cell.source)
        cell.source = cell.source.replace('feature = vision + text + audio  # (B, T, 128)', WRONG)
        if cell.cell_type == 'code':
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, path)


def take_lab(running, folder):
    """The executed notebook, and a self-check of the one with a mistake."""
    copy_lab(folder)
    with jupyterlab(folder, without=STAFF, MSA_PROFILE='smoke', MSA_DATA='synthetic') as address:
        with offline_page(running, 1280, 860) as page:
            lab = LabNotebook(page, address, NOTEBOOK)
            for _ in range(2):  # the figures above take their place while one scrolls
                lab.show('utterance', 'center')
                page.wait_for_timeout(1000)
            save('lab', page)
        with_a_mistake(folder / NOTEBOOK)
        with offline_page(running, 1280, 860) as page:
            lab = LabNotebook(page, address, NOTEBOOK)
            page.get_by_role('tab', name='File Browser').click()  # hides it
            lab.run_all(seconds=120)
            lab.show('check-4', 'end')
            page.wait_for_timeout(1000)
            save('check', page)


def take_tensorboard(running, folder):
    """Both loss curves of the baseline, without smoothing."""
    write_standin(folder / 'standin.pkl')
    train(
        folder / 'standin.pkl',
        checkpoint=folder / 'best_model.pth',
        log_dir=folder / 'runs/baseline',
    )
    with tensorboard(folder / 'runs', folder) as address, offline_page(running, 1280, 640) as page:
        page.goto(f'{address}/?smoothing=0#timeseries')
        page.locator('scalar-card tb-data-table-content-row').nth(1).wait_for()
        page.get_by_role('button', name='Toggle full size mode').first.click()
        page.wait_for_timeout(2000)
        save('tensorboard', page)


def take_page(running, folder):
    """The HTML page in the dark: a figure and a formula."""
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    html, _ = OfflineHTMLExporter().from_notebook_node(notebook, {'metadata': {'path': str(ROOT)}})
    (folder / 'page.html').write_text(html, encoding='utf-8')
    with offline_page(running, 1000, 800, color_scheme='dark') as page:
        page.goto((folder / 'page.html').as_uri())
        page.locator('[id="cell-id=framework"]').evaluate('cell => cell.scrollIntoView()')
        save('page', page)


def main():
    """Take them all."""
    if not chromium():
        raise SystemExit('no Chromium or Chrome: install one (apt install chromium) and try again')
    with browser() as running:
        for take in (take_lab, take_tensorboard, take_page):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                take(running, Path(folder))


if __name__ == '__main__':
    main()
