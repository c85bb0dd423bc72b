"""Notebooks that come back: what Jupyter opens is read and mended; the rest gets one sentence."""

import copy
import io
import json
import re
import zipfile

import nbformat
import pytest

from grading.reading import grade_id, read_submission, restore_names
from grading.release import release
from grading.submissions import find_submission
from grading.tasks import NOTEBOOK, tasks
from grading.worker import restore_graded_cells


@pytest.fixture(scope='module')
def fill_in(tmp_path_factory):
    """The fill-in edition, as a student has it, as plain JSON."""
    folder = tmp_path_factory.mktemp('release') / 'edition'
    release(folder)
    return json.loads((folder / NOTEBOOK).read_text(encoding='utf-8'))


@pytest.fixture
def handed_in(tmp_path, fill_in):
    """Read what `change` makes of the fill-in edition (JSON or bytes): notebook and mended lines.

    Names are restored too, and deleted graded cells put back, as the worker does it.
    """

    def read(change):
        content = copy.deepcopy(fill_in)
        content = change(content) or content
        if not isinstance(content, bytes):
            content = json.dumps(content, ensure_ascii=False).encode()
        path = tmp_path / NOTEBOOK
        path.write_bytes(content)
        notebook, mended = read_submission(path)
        released = nbformat.reads(json.dumps(fill_in), as_version=4)
        mended += restore_names(notebook, released)
        restore_graded_cells(notebook, released)
        return notebook, mended

    return read


def graded(notebook):
    """{name: source} of the cells that nbgrader knows, in order."""
    return {grade_id(cell): cell.source for cell in notebook.cells if grade_id(cell)}


def code(content):
    return [cell for cell in content['cells'] if cell['cell_type'] == 'code']


def text(content):
    return [cell for cell in content['cells'] if cell['cell_type'] == 'markdown']


def drop(cells, *names):
    for cell in cells:
        for name in names:
            cell.pop(name, None)


# Programs that save notebooks, by the metadata that they document, and what has to be mended.


def vs_code(content):
    """VS Code: its own metadata, Markdown cells with outputs, code cells without a count."""
    content['metadata']['language_info'] = {'name': 'python'}
    for cell in text(content):
        cell['outputs'] = []
    for cell in code(content):
        cell['metadata']['vscode'] = {'languageId': 'python'}
        del cell['execution_count']


def colab(content):
    """Colab: format 4.0, ids and its outputs in the metadata of cells."""
    content['nbformat_minor'] = 0
    content['metadata'] |= {'colab': {'provenance': []}, 'accelerator': 'GPU'}
    for cell in content['cells']:
        cell['metadata'] |= {'id': cell.pop('id')[:12]}
    for cell in code(content):
        cell['metadata']['outputId'] = '0b2c7a'


def kaggle(content):
    """Kaggle: format 4.4 and its own ids."""
    content['nbformat_minor'] = 4
    content['metadata']['kaggle'] = {'accelerator': 'none', 'dataSources': []}
    for cell in content['cells']:
        cell['metadata'] |= {'_uuid': cell.pop('id'), '_cell_guid': '79c7e3d0', 'trusted': True}


def old_jupyter(content):
    """Jupyter of 2019: format 4.2, cells have no ids, sources are one string."""
    content['nbformat_minor'] = 2
    for cell in content['cells']:
        del cell['id']
        cell['source'] = ''.join(cell['source'])


def ids_in_an_old_format(content):
    content['nbformat_minor'] = 4


def a_cell_that_was_copied_with_its_id(content):
    content['cells'].insert(3, copy.deepcopy(content['cells'][2]))


def code_without_outputs(content):
    drop(code(content), 'outputs', 'execution_count')


def no_metadata(content):
    drop([cell for cell in content['cells'] if not cell['metadata']], 'metadata')


def invalid_outputs(content):
    for cell in code(content):
        cell['outputs'] = [{'output_type': 'stream', 'text': 'no name'}]


def without_nbgrader(*which):
    def change(content):
        for cell in content['cells']:
            name = cell['metadata'].get('nbgrader', {}).get('grade_id')
            if name and (not which or name in which):
                del cell['metadata']['nbgrader']

    return change


def without_names(content):
    """Neither metadata nor ids, as from a notebook that was pasted cell by cell."""
    content['nbformat_minor'] = 4
    for cell in content['cells']:
        cell['metadata'] = {}
        del cell['id']


def encoded(codec):
    return lambda content: json.dumps(content, ensure_ascii=False).encode(codec)


def in_a_zip(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('a/EXP_MSA (1).ipynb', json.dumps(content))
        archive.writestr('a/other.ipynb', '{}')
        archive.writestr('__MACOSX/a/._EXP_MSA (1).ipynb', 'x')
    return file.getvalue()


OUTPUTS = ['文本单元格里多余的输出', '代码单元格缺少的输出']
MENDED = {
    'as it was released': (lambda content: None, []),
    'VS Code': (vs_code, OUTPUTS),
    'Colab': (colab, []),
    'Kaggle': (kaggle, []),
    'Jupyter of 2019': (old_jupyter, []),
    'ids in an old format': (ids_in_an_old_format, []),
    'a cell that was copied': (a_cell_that_was_copied_with_its_id, []),
    'code without outputs': (code_without_outputs, OUTPUTS[1:]),
    'cells without metadata': (no_metadata, []),
    'invalid outputs': (invalid_outputs, ['格式不对的输出']),
    'a check without its metadata': (without_nbgrader('check-4'), ['1 个单元格丢失的名字']),
    'an answer without its metadata': (without_nbgrader('q21-why'), ['1 个单元格丢失的名字']),
    'no nbgrader metadata at all': (without_nbgrader(), None),
    'no metadata and no ids': (without_names, None),
    'a byte order mark': (encoded('utf-8-sig'), ['字节序标记']),
    'GB18030': (encoded('gb18030'), ['编码 GB18030']),
    'UTF-16': (encoded('utf-16'), ['编码 UTF-16']),
    'a zip file': (in_a_zip, []),
}


@pytest.mark.parametrize('case', MENDED)
def test_what_jupyter_opens_is_graded_like_the_original(handed_in, case):
    change, lines = MENDED[case]
    original, _ = handed_in(lambda content: None)
    notebook, mended = handed_in(change)
    assert graded(notebook) == graded(original)
    assert len(notebook.cells) - len(original.cells) == (case == 'a cell that was copied')
    nbformat.validate(notebook)
    if lines is None:
        (line,) = mended
        assert line == f'{len(graded(original))} 个单元格丢失的名字'
    else:
        assert list(dict.fromkeys(mended)) == lines


def test_what_a_student_wrote_is_found_again_without_any_name(handed_in, fill_in):
    """A solution by what it defines, a check by its call, an answer by its question."""

    def change(content):
        without_names(content)
        for cell in content['cells']:
            source = ''.join(cell['source'])
            if 'raise NotImplementedError' in source:
                cell['source'] = source.replace('raise NotImplementedError', 'mine = 1; raise')
            if source.startswith('**分析 2.1'):
                cell['source'] = source.replace('（在这里写下你的分析。）', '我的分析')

    notebook, _ = handed_in(change)
    sources = graded(notebook)
    assert list(sources) == list(graded(handed_in(lambda content: None)[0]))
    assert '我的分析' in sources['q21-why']
    changed = [name for name, source in sources.items() if 'mine = 1' in source]
    assert set(changed) >= {'mosi-dataset', 'self-attention', 'improved-model'}


def test_a_check_that_became_text_is_put_back(handed_in):
    def change(content):
        (cell,) = (cell for cell in content['cells'] if cell['id'] == 'check-4')
        cell |= {'cell_type': 'markdown', 'metadata': {}}
        drop([cell], 'outputs', 'execution_count')

    notebook, _ = handed_in(change)
    (check,) = (cell for cell in notebook.cells if grade_id(cell) == 'check-4')
    assert check.cell_type == 'code'
    assert [name for name in graded(notebook) if name in tasks()] == list(tasks())


CONFLICT = b'{\n "cells": [\n<<<<<<< HEAD\n {},\n=======\n {"a": 1},\n>>>>>>> theirs\n ]\n}'
NO_NOTEBOOK = {
    'nothing': b'',
    'a pickle': b'\x80\x04K\x01.',
    'a program': b'print("hello")',
    'other JSON': b'{"a": 1}',
    'cells that are a number': b'{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    'a cell without a source': (
        b'{"cells": [{"cell_type": "code"}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
    ),
    'half a notebook': b'{"cells": [{"cell_type": "markdown", "source": "a',
}


@pytest.mark.parametrize('case', NO_NOTEBOOK)
def test_what_is_no_notebook_gets_a_sentence_to_act_on(tmp_path, case):
    path = tmp_path / NOTEBOOK
    path.write_bytes(NO_NOTEBOOK[case])
    with pytest.raises(ValueError, match='保存之后重新提交') as caught:
        read_submission(path)
    assert not re.search(r'[A-Za-z]+Error|Traceback', str(caught.value))


def test_a_merge_conflict_is_named_with_its_line(tmp_path):
    path = tmp_path / NOTEBOOK
    path.write_bytes(CONFLICT)
    with pytest.raises(ValueError, match='第 3 行有 Git 合并冲突的标记'):
        read_submission(path)


def test_a_zip_file_alone_is_a_submission(tmp_path, fill_in):
    folder = tmp_path / 'student'
    folder.mkdir()
    (folder / 'my work.zip').write_bytes(in_a_zip(fill_in))
    found = find_submission(folder)
    assert found.name == 'my work.zip'
    assert len(read_submission(found.notebook)[0].cells) == len(fill_in['cells'])
    (folder / 'EXP_MSA.ipynb').write_text('{}', encoding='utf-8')  # a notebook goes first
    assert find_submission(folder).name == 'EXP_MSA.ipynb'


def test_two_notebooks_in_a_zip_file_are_not_guessed_at(tmp_path, fill_in):
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w') as archive:
        for name in ('a.ipynb', 'b.ipynb'):
            archive.writestr(name, json.dumps(fill_in))
    with pytest.raises(ValueError, match=r'应当恰好有一份 EXP_MSA\.ipynb，现在有 2 份'):
        read_submission(path)
