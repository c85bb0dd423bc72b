"""What the lab needs and a student does not write, in seven folders.

data, files, models, speed, study, checks, report: each `__init__` says what lives there.
Nothing here imports the notebook or `msa_utils`: what it needs of them comes in as arguments.

`check_versions` is for the first cell of the notebook. Any Python 3 can read this file, so it has
no newer syntax and imports nothing but Python.
"""

import re
import sys
from pathlib import Path

PYTHON = (3, 10)
REQUIREMENTS = Path(__file__).resolve().parent.parent / 'requirements.txt'


def check_versions():
    """Raise ImportError, one line of Chinese, where Python or a package is missing or too old.

    The packages and their lowest versions are those of `requirements.txt`.
    """
    if sys.version_info < PYTHON:
        found = '.'.join(map(str, sys.version_info[:3]))
        needed = '.'.join(map(str, PYTHON))
        raise ImportError(
            f'Python 太旧：现在是 {found}，需要 {needed} 或更新的版本；请换一个环境（内核）再运行'
        )
    problems = list(find_problems(REQUIREMENTS))
    if problems:
        raise ImportError(
            '环境里缺少或太旧的包：{}；请在终端里运行 {} -m pip install -r requirements.txt，'
            '再重启内核'.format('、'.join(problems), Path(sys.executable).name)
        )


def find_problems(requirements):
    """A few words for each package of a file `NAME>=VERSION` that is missing or too old."""
    from importlib.metadata import PackageNotFoundError, version  # Python 3.8 and newer

    if not requirements.is_file():
        return
    for line in requirements.read_text(encoding='utf-8').splitlines():
        match = re.match(r'([\w-]+)>=([\d.]+)', line)
        if not match:
            continue
        name, needed = match.groups()
        try:
            found = version(name)
        except PackageNotFoundError:
            yield f'{name}（没有安装，需要 {needed}）'
            continue
        if _numbers(found) < _numbers(needed):
            yield f'{name}（现在是 {found}，需要 {needed}）'


def _numbers(version):
    """'2.1.2+cu121' -> (2, 1, 2)."""
    return tuple(map(int, re.match(r'\d+(\.\d+)*', version).group().split('.')))
