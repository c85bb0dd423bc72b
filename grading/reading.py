"""Reading a notebook that was handed in, and mending what an editor or a server did to it.

Jupyter, VS Code, Colab and Kaggle open notebooks that nbformat calls invalid, and some of them drop
the names by which nbgrader knows a cell. What can be put right without guessing is put right in
memory, and a line says so; for the rest the student gets one sentence to act on.
"""

import ast
import copy
import io
import json
import re
import zipfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.corpus.words import generate_corpus_id

from grading.submissions import MAX_BYTES, notebooks_in_zip
from grading.tasks import NOTEBOOK

NONE = f'不是笔记本文件：请在 Jupyter 里打开自己的 {NOTEBOOK}，保存之后重新提交'


def grade_id(cell: NotebookNode) -> str:
    """The name that nbgrader knows a cell by, or ''."""
    return cell.metadata.get('nbgrader', {}).get('grade_id', '')


def read_submission(path: str | Path) -> tuple[NotebookNode, list[str]]:
    """The notebook as a student handed it in, and what was mended in it, in Chinese.

    `path` is a notebook, or a zip file with one in it. ValueError says in Chinese why there is none
    and what the student can do.
    """
    mended = []
    text = _decode(_read_bytes(Path(path)), mended)
    try:
        content = json.loads(text)
    except ValueError:
        if conflict := re.search(r'^<{7}( |$)', text, re.MULTILINE):
            line = text.count('\n', 0, conflict.start()) + 1
            raise ValueError(
                f'第 {line} 行有 Git 合并冲突的标记（<<<<<<<）：先解决冲突，'
                f'在 Jupyter 里打得开之后再提交'
            ) from None
        raise ValueError(NONE) from None
    try:
        _mend_fields(content, mended)
        notebook = nbformat.reads(json.dumps(content), as_version=4)
        _drop_invalid_outputs(notebook, mended)
        nbformat.validate(notebook)
    except Exception:  # whatever it holds, it is no notebook
        raise ValueError(NONE) from None
    seen = set()
    for cell in notebook.cells:  # both halves of a cell that was split have its name, and nbgrader
        if grade_id(cell) and grade_id(cell) in seen:  # would take the second half for the whole
            del cell.metadata['nbgrader']
        seen.add(grade_id(cell))
    return notebook, mended


def _read_bytes(path):
    """The bytes of a notebook, or of the one notebook of the lab in a zip file."""
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f'{path.name} 超过 {MAX_BYTES // 10**6} MB')
    content = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    notebooks = notebooks_in_zip(content)
    if len(notebooks) != 1:
        raise ValueError(f'压缩包里应当恰好有一份 {NOTEBOOK}，现在有 {len(notebooks)} 份')
    return notebooks[0]


def _decode(content, mended):
    """The text of a notebook in UTF-8, or in what an editor of Windows may make of it."""
    for start, codec, name in (
        (b'\xef\xbb\xbf', 'utf-8-sig', '字节序标记'),
        (b'\xff\xfe', 'utf-16', '编码 UTF-16'),
        (b'\xfe\xff', 'utf-16', '编码 UTF-16'),
        (b'', 'utf-8', ''),
        (b'', 'gb18030', '编码 GB18030'),
    ):
        if content.startswith(start):
            try:
                text = content.decode(codec)
            except UnicodeDecodeError:
                continue
            mended += [name] if name else []
            return text
    raise ValueError(NONE)


def _mend_fields(content, mended):
    """Add and remove, in place, what VS Code, Colab and other editors leave out or leave behind."""
    if content.get('nbformat') != 4:
        return
    cells, ids = content['cells'], set()
    if any('id' in cell for cell in cells):  # such a notebook has ids in all cells, or is invalid
        content['nbformat_minor'] = max(5, content.get('nbformat_minor', 0))
    for cell in cells:
        cell.setdefault('metadata', {})
        if content.get('nbformat_minor', 0) >= 5:
            if cell.get('id', '') in ids or not re.fullmatch(r'[\w-]{1,64}', cell.get('id', '')):
                cell['id'] = generate_corpus_id()
            ids.add(cell['id'])
        if cell['cell_type'] != 'code':
            extra = [name for name in ('outputs', 'execution_count') if name in cell]
            for name in extra:
                del cell[name]
            mended += ['文本单元格里多余的输出'] if extra else []
        elif not {'outputs', 'execution_count'} <= cell.keys():
            cell.setdefault('outputs', [])
            cell.setdefault('execution_count', None)
            mended.append('代码单元格缺少的输出')


def _drop_invalid_outputs(notebook, mended):
    """Empty, in place, the outputs that are invalid: grading makes them again."""
    for cell in notebook.cells:
        try:
            for output in cell.get('outputs', ()):
                nbformat.validate(output, ref='output', version=4, version_minor=5)
        except nbformat.ValidationError:
            cell.outputs = []
            mended.append('格式不对的输出')


def restore_names(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Give cells that lost their nbgrader metadata their names back, in place.

    A cell is recognised by its cell id, or else by what it defines, checks or answers, if exactly
    one cell does. Returns what was mended, in Chinese.
    """
    missing = {grade_id(cell): cell for cell in released.cells if grade_id(cell)}
    for cell in notebook.cells:
        missing.pop(grade_id(cell), None)
    found = 0
    for original in missing.values():
        unnamed = [
            cell
            for cell in notebook.cells
            if not grade_id(cell) and cell.cell_type == original.cell_type
        ]
        same = [cell for cell in unnamed if cell.get('id') == original.id]
        likely = same or [cell for cell in unnamed if _is_the_same(cell.source, original)]
        if len(likely) == 1:
            likely[0].metadata['nbgrader'] = copy.deepcopy(original.metadata['nbgrader'])
            found += 1
    return [f'{found} 个单元格丢失的名字'] if found else []


def _is_the_same(source, original):
    """Whether a cell checks, answers or defines what a released cell does."""
    if original.cell_type == 'markdown':
        return source.lstrip().startswith(original.source.split('）')[0])
    if not original.metadata['nbgrader']['solution']:
        return original.source.strip().splitlines()[-1] in source
    names = _defined(original.source)
    return bool(names) and names <= _defined(source)


def _defined(source):
    """The names that a cell defines at its top level; none if it is not Python."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError):
        return set(re.findall(r'^(?:class|def) (\w+)', source, re.MULTILINE))
    names = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in body:
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names
