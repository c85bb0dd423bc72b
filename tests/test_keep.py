"""`make keep`: the executed notebook is kept without the sentences of the data."""

import nbformat
from nbformat.v4 import new_code_cell, new_notebook, new_output

from grading.keep import LINE, QUOTES, keep


def test_what_quotes_the_data_becomes_one_line_and_the_rest_stays(tmp_path):
    printed = new_output('stream', name='stdout', text='an invented sentence\n')
    figure = new_output('display_data', data={'image/png': 'AAAA', 'text/plain': 'Figure'})
    quoting = new_code_cell('show()', metadata={'tags': [QUOTES]}, outputs=[printed, figure])
    silent = new_code_cell('x = 1', metadata={'tags': [QUOTES]})
    other = new_code_cell('print(1)', outputs=[new_output('stream', name='stdout', text='1\n')])
    nbformat.write(new_notebook(cells=[quoting, silent, other]), tmp_path / 'executed.ipynb')
    keep(tmp_path / 'executed.ipynb', tmp_path / 'kept.ipynb')
    first, second, third = nbformat.read(tmp_path / 'kept.ipynb', as_version=4).cells
    assert [output.text for output in first.outputs] == [LINE]
    assert second.outputs == []
    assert third.outputs == other.outputs
    assert 'invented' not in (tmp_path / 'kept.ipynb').read_text(encoding='utf-8')
