"""A Chromium driven by Playwright, and the local servers whose pages it looks at.

Nothing outside this machine can be reached from these pages: what a page asks of another host is
refused and kept in `page.refused`.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome')
QUIET = {  # settings of JupyterLab: no pop-ups
    'apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False},
}
THEMES = {'light': 'JupyterLab Light', 'dark': 'JupyterLab Dark'}


def chromium():
    """The path of a Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser():
    """A headless Chromium of this machine (Playwright's `Browser`)."""
    sandbox = [] if not hasattr(os, 'geteuid') or os.geteuid() else ['--no-sandbox']
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=sandbox)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def offline_page(running, width=1280, height=900, **options):
    """A page of the browser that reaches this machine alone; `page.refused` lists the rest."""
    context = running.new_context(viewport={'width': width, 'height': height}, **options)
    page = context.new_page()
    page.refused = []

    def decide(route):
        if route.request.url.startswith(('http://127.0.0.1:', 'file:', 'data:', 'blob:')):
            route.continue_()
        else:
            page.refused.append(route.request.url)
            route.abort()

    context.route('**/*', decide)
    try:
        yield page
    finally:
        context.close()


@contextmanager
def served(arguments, folder, patience=60, **env):
    """`python -m ARGUMENTS` run in `folder` with '{port}' filled in; yields its address.

    Raises RuntimeError, with the end of the server's output, when it does not answer.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', *(a.replace('{port}', str(port)) for a in arguments)]
    address, log = f'http://127.0.0.1:{port}', Path(folder) / '.server.log'
    with log.open('w') as output:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | env, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            for _ in range(patience * 10):
                try:
                    urllib.request.urlopen(address, timeout=10).close()
                    break
                except OSError:
                    time.sleep(0.1)
            else:
                raise RuntimeError(f'{command}: no answer\n{log.read_text()[-2000:]}')
            yield address
        finally:
            server.terminate()
            server.wait()


def tensorboard(run_dir, folder):
    """TensorBoard on `run_dir`, as `tensorboard --logdir` starts it."""
    return served(
        ['tensorboard.main', '--logdir', str(run_dir), '--port', '{port}', '--load_fast', 'false'],
        folder,
    )


@contextmanager
def jupyterlab(folder, theme='light', without=(), **env):
    """JupyterLab in `folder`, with settings of its own; yields its address.

    `without` names extensions of the browser's side that are turned off.
    """
    home = Path(folder) / '.jupyter'
    settings = QUIET | {'apputils-extension/themes': {'theme': THEMES[theme]}}
    for name, values in settings.items():
        file = home / 'settings' / '@jupyterlab' / f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    (home / 'labconfig').mkdir(exist_ok=True)
    disabled = {'disabledExtensions': dict.fromkeys(without, True)}
    (home / 'labconfig' / 'page_config.json').write_text(json.dumps(disabled))
    arguments = [
        'jupyterlab',
        '--no-browser',
        '--allow-root',
        '--ServerApp.port={port}',
        '--ServerApp.ip=127.0.0.1',
        '--IdentityProvider.token=',
        '--LabApp.expose_app_in_browser=True',
    ]
    env |= {
        'JUPYTER_CONFIG_DIR': str(home),
        'JUPYTERLAB_SETTINGS_DIR': str(home / 'settings'),
        'JUPYTERLAB_WORKSPACES_DIR': str(home / 'workspaces'),
        'IPYTHONDIR': str(home / 'ipython'),
    }
    with served(arguments, folder, **env) as address:
        yield address


class LabNotebook:
    """A notebook that is open in JupyterLab, in a page of `offline_page`."""

    WIDGET = 'window.jupyterapp.shell.currentWidget'

    def __init__(self, page, address, name):
        self.page = page
        page.goto(f'{address}/lab/tree/{name}')
        page.wait_for_selector('.jp-Notebook .jp-Cell', timeout=60_000)
        page.wait_for_function(f"{self.WIDGET}?.sessionContext?.session?.kernel?.status == 'idle'")

    def run_all(self, seconds):
        """Menu *Run*, *Run All Cells*; returns when the kernel has been idle for a second."""
        self.page.get_by_role('menuitem', name='Run', exact=True).click()
        self.page.get_by_text('Run All Cells', exact=True).click()
        self.page.wait_for_function(
            f"""() => {{
                const status = {self.WIDGET}.sessionContext.session.kernel.status;
                window.idleSince = status == 'idle' ? window.idleSince ?? Date.now() : undefined;
                return Date.now() - window.idleSince > 1000;
            }}""",
            timeout=seconds * 1000,
            polling=100,
        )

    def save(self):
        """Write the notebook to disk."""
        self.page.evaluate(f'{self.WIDGET}.context.save()')

    def show(self, cell, block='start'):
        """Scroll to a cell, by its id, and return it as a Playwright locator.

        `block` says where in the window it comes to stand: 'start', 'center' or 'end'.

        JupyterLab keeps only the cells near the window in the page.
        """
        index = self.page.evaluate(
            f"""async (id) => {{
                const notebook = {self.WIDGET}.content;
                const index = notebook.widgets.findIndex(cell => cell.model.id == id);
                notebook.activeCellIndex = index;
                await notebook.scrollToItem(index);
                return index;
            }}""",
            cell,
        )
        locator = self.page.locator(f'.jp-Cell[data-windowed-list-index="{index}"]')
        locator.wait_for()
        locator.evaluate('(cell, block) => cell.scrollIntoView({block})', block)
        return locator
