"""The screenshots of the lab: `python -m images.take_screenshots` (`make screenshots`).

JupyterLab on the committed notebook, a self-check that says what is wrong, TensorBoard on one
training of the baseline, the model graph in TensorBoard, and the HTML page in the dark. Takes two
minutes and needs Chromium. Names after the command take only these: `... take_screenshots graph`.
"""

import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from PIL import Image, ImageOps

from images.browser import LabNotebook, browser, chromium, jupyterlab, offline_page, tensorboard
from msa_lab.data.synthetic import write_standin
from msa_lab.report.html_page import OfflineHTMLExporter
from msa_utils import MultimodalSentimentAnalysisModel, RunWriter, make_loader
from msa_utils import main as train

ROOT = Path(__file__).parent.parent
NOTEBOOK = 'EXP_MSA.ipynb'
STAFF = ['@jupyter/nbgrader']  # what a student's JupyterLab has not got
WRONG = 'feature = vision[:, -1:] + text[:, -1:] + audio[:, -1:]  # (B, 1, 128)'


WIDTH = 1000  # pixels of the model graph
LARGEST = 250_000  # bytes of a picture in full colour

WRITE_FULL_NAMES = """(nodes) => {
    for (const node of nodes) {
        const label = node.querySelector(':scope > text.nodelabel');
        const box = node.querySelector(':scope > .nodeshape rect');
        if (!label || !box || node.classList.contains('expanded')) continue;
        label.textContent = node.dataset.name.split('/').pop();
        const room = 0.96 * box.width.baseVal.value / label.getComputedTextLength();
        const size = parseFloat(getComputedStyle(label).fontSize);
        label.style.fontSize = `${Math.min(size * room, 7.5)}px`;
    }
}"""


def save(file, page, width=None, **options):
    """A picture of the page, images/FILE, padded with white to `width` pixels if it is narrower.

    It is in full colour, because colours mean something in this lab, or in 256 when it is large.
    """
    picture = Image.open(io.BytesIO(page.screenshot(**options))).convert('RGB')
    if width:
        picture = ImageOps.pad(picture, (width, picture.height), color='white')
    path = ROOT / 'images' / file
    picture.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        # k-means moves the palette to the colours that are there: without it, small areas of one
        # colour, such as the curve of a modality, get the mean of several.
        few = picture.quantize(256, kmeans=2, dither=Image.Dither.NONE)
        few.save(path, optimize=True)
    print(f'{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB')


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
            save('screenshot-lab.png', page)
        with_a_mistake(folder / NOTEBOOK)
        with offline_page(running, 1280, 860) as page:
            lab = LabNotebook(page, address, NOTEBOOK)
            page.get_by_role('tab', name='File Browser').click()  # hides it
            lab.run_all(seconds=120)
            lab.show('check-4', 'end')
            page.wait_for_timeout(1000)
            save('screenshot-check.png', page)


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
        save('screenshot-tensorboard.png', page)


def take_page(running, folder):
    """The HTML page in the dark: a figure and a formula."""
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    html, _ = OfflineHTMLExporter().from_notebook_node(notebook, {'metadata': {'path': str(ROOT)}})
    (folder / 'page.html').write_text(html, encoding='utf-8')
    with offline_page(running, 1000, 800, color_scheme='dark') as page:
        page.goto((folder / 'page.html').as_uri())
        page.locator('[id="cell-id=framework"]').evaluate('cell => cell.scrollIntoView()')
        save('screenshot-page.png', page)


def take_graph(running, folder):
    """The model graph of the baseline, opened one level deep, cropped to the graph.

    TensorBoard cuts names that are wider than their box; here they are written in full.
    """
    write_standin(folder / 'standin.pkl')
    vision, text, audio, *_ = next(iter(make_loader(folder / 'standin.pkl', 'train')))
    with RunWriter(folder / 'runs/baseline') as writer:
        writer.add_graph(MultimodalSentimentAnalysisModel().eval(), [vision, text, audio])
    with (
        tensorboard(folder / 'runs', folder) as address,
        offline_page(running, 1600, 1300, device_scale_factor=1.25) as page,
    ):
        page.goto(f'{address}/#graphs&run=baseline%2Ftrain')
        model = page.locator('g.node[data-name="MultimodalSentimentAnalysisModel"]')
        model.wait_for()
        page.wait_for_timeout(2000)  # the graph moves to its place
        model.dblclick()
        page.locator('g.node[data-name$="[mm_lstm]"]').wait_for()
        page.get_by_text('Fit to screen').click()
        page.wait_for_timeout(2000)
        page.locator('svg#svg').click(position={'x': 1100, 'y': 600})  # nothing stays selected
        page.locator('g.node.meta').evaluate_all(WRITE_FULL_NAMES)
        page.wait_for_timeout(1000)
        x, y, width, height = page.locator('g#root').bounding_box().values()
        clip = {'x': x - 4, 'y': y - 4, 'width': width + 8, 'height': height + 8}
        save('ModelGraph.png', page, WIDTH, clip=clip)


TAKES = {
    'lab': take_lab,
    'tensorboard': take_tensorboard,
    'graph': take_graph,
    'page': take_page,
}


def main(names):
    """Take those of the names, or all."""
    if not chromium():
        raise SystemExit('no Chromium or Chrome: install one (apt install chromium) and try again')
    with browser() as running:
        for name in names or TAKES:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                TAKES[name](running, Path(folder))


if __name__ == '__main__':
    main(sys.argv[1:])
