"""The fill-in edition: `python -m grading.release` (`make student`) writes build/student/, zipped.

The complete notebook is the source. Its cells carry nbgrader's metadata; what a student writes
stands between `### BEGIN SOLUTION n hint` and `### END SOLUTION`, and cells tagged
`complete-edition` are left out. nbgrader does the rest.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbgrader.apps import NbGraderAPI
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
    SaveCells,
)
from traitlets.config import Config

from grading.tasks import NOTEBOOK, ROOT

ASSIGNMENT = 'msa'
COMPLETE_ONLY = 'complete-edition'
README = """# 多模态情感分析实验（填空版）

1. 安装 Python 3.11 以上版本，在本目录运行：

   ```
   python3 -m venv .venv
   .venv/bin/python -m pip install -r requirements.txt
   .venv/bin/python -m jupyterlab EXP_MSA.ipynb
   ```

   Windows 上把 `.venv/bin` 写成 `.venv\\Scripts`，把 `python3` 写成 `py`。
2. 数据：有真实的 CMU-MOSI 数据文件，就以 `mosi_raw.pkl` 为名放在笔记本旁边，
   或者用环境变量 `MSA_DATA` 指明它在哪里；没有的话，第一次运行时自动生成合成的替身数据。
3. 从上到下执行。遇到 `TODO`，把 `raise NotImplementedError(...)` 换成你的代码，再运行后面的自检。
4. 写分析之前，先把 `standard` 档完整运行一遍（环境变量 `MSA_PROFILE=standard`，或者在配置单元里
   写 `PROFILE = 'standard'`；两个 CPU 核约 25 分钟）。评分时用 `smoke` 档重新运行，你屏幕上的输出
   不会保留，所以请把你自己得到的数字写进文字里。
5. 分析写在标着“（在这里写下你的分析。）”的单元里，把这一行换成你的文字。不要删掉任何单元。
6. 提交 `EXP_MSA.ipynb` 这一个文件；思考题 3 如果另有笔记本，放在同一个目录里一起交。
"""


class FillIn(ClearSolutions):
    """Every solution becomes its TODO: the hint as a comment, and an error that says its number."""

    def preprocess_cell(self, cell, resources, cell_index):
        marks = re.compile(r'^( *)### BEGIN SOLUTION (\d+) (.*)$', re.MULTILINE)
        cell.source = marks.sub(r'\1# TODO \2：\3\n\1### BEGIN SOLUTION', cell.source)
        if cell.cell_type == 'markdown':
            self.text_stub = '（在这里写下你的分析。）'
        self.code_stub = {'python': 'raise NotImplementedError()'}
        cell, resources = super().preprocess_cell(cell, resources, cell_index)
        stub = re.compile(r'^( *# TODO (\d+)：.*\n *raise NotImplementedError)\(\)$', re.MULTILINE)
        cell.source = stub.sub(r"\1('TODO \2 还没有完成')", cell.source)
        return cell, resources


def course_config(folder):
    """nbgrader's configuration of a course in `folder`."""
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.course_id = ASSIGNMENT
    config.GenerateAssignment.preprocessors = [
        LockCells, FillIn, ClearOutput, CheckCellMetadata, ComputeChecksums, SaveCells,
    ]  # fmt: skip
    return config


def nbgrader_api(config):
    """nbgrader's API; it calls `alembic`, which lies beside this Python."""
    beside = str(Path(sys.executable).parent)
    if beside not in os.environ['PATH'].split(os.pathsep):
        os.environ['PATH'] = os.pathsep.join((beside, os.environ['PATH']))
    return NbGraderAPI(config=config)


def make_course(folder, prepare=lambda notebook: None):
    """A course of nbgrader in `folder`: its gradebook and, under release/, the fill-in notebook.

    `prepare(notebook)` may change the source in place. Returns the fill-in notebook's path.
    """
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    notebook.cells = [c for c in notebook.cells if COMPLETE_ONLY not in c.metadata.get('tags', [])]
    prepare(notebook)
    source = Path(folder) / 'source' / ASSIGNMENT / NOTEBOOK
    source.parent.mkdir(parents=True)
    nbformat.write(notebook, source)
    answer = nbgrader_api(course_config(folder)).generate_assignment(ASSIGNMENT)
    if not answer['success']:
        if 'KeyboardInterrupt' in answer['error']:  # nbgrader catches that too
            raise KeyboardInterrupt
        raise RuntimeError(f'nbgrader could not make the fill-in edition: {answer}')
    return Path(folder) / 'release' / ASSIGNMENT / NOTEBOOK


def copy_lab(folder):
    """What the notebook needs beside it, without what gives a solution away."""
    skip = shutil.ignore_patterns('__pycache__')
    shutil.copytree(ROOT / 'msa_lab', folder / 'msa_lab', ignore=skip)
    (folder / 'images').mkdir()
    shutil.copy(ROOT / 'images' / 'GeneralFramework.jpg', folder / 'images')


def release(folder=ROOT / 'build' / 'student'):
    """Write the fill-in edition to `folder` and to a zip beside it; returns the zip's path."""
    folder = Path(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as course:
        shutil.copy(make_course(course), folder)
    copy_lab(folder)
    shutil.copy(ROOT / 'requirements.txt', folder)
    (folder / 'README.md').write_text(README, encoding='utf-8')
    return Path(shutil.make_archive(str(folder), 'zip', folder.parent, folder.name))


if __name__ == '__main__':
    print(release())
