"""How a self-check fails: `CheckFailed`, and the decorator that makes a check of a function."""

import functools
import linecache
import re
import sysconfig
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from msa_lab.checks.isolation import isolated, leftover_names

STDLIB = sysconfig.get_path('stdlib')


class CheckFailed(AssertionError):
    """What a student wrote does not do what its TODO asks for; the message says why, in Chinese."""

    def _render_traceback_(self):
        """What IPython shows: the message alone, with its **emphasis** in bold."""
        return ['CheckFailed: ' + re.sub(r'\*\*(.+?)\*\*', '\x1b[1m\\1\x1b[0m', str(self))]


def fail(number: int | str, message: str) -> NoReturn:
    """Raise CheckFailed for the TODO of that number."""
    raise CheckFailed(f'TODO {number}：{message}')


def self_check(number: int | str, title: str) -> Callable:
    """Decorate a function that raises when a solution is wrong; it becomes a self-check.

    The check runs isolated and prints one line with number and title when the function returns.
    An exception of the student's code becomes a CheckFailed that says what happened and where. If
    that code reads a tensor or an array that another cell of the notebook has left behind, the
    message names it.
    """

    def decorate(body):
        @functools.wraps(body)
        def check(*args, **kwargs):
            with _naming_leftovers(args), isolated(), _explained(number):
                body(*args, **kwargs)
            print(f'✓ TODO {number} {title}')

        return check

    return decorate


@contextmanager
def _explained(number):
    """Turn an exception of a student's code into a CheckFailed that says what and where."""
    try:
        yield
    except CheckFailed:
        raise
    except NotImplementedError as error:
        stub = re.search(r'TODO ([\d.]+)', str(error))
        message = f'TODO {number} 还没有完成'
        if stub and stub[1] != str(number):  # given code that leads through another task
            message = f'TODO {stub[1]} 还没有完成，检查 TODO {number} 之前请先写好它'
        raise CheckFailed(message + _hint(error)) from error
    except (Exception, SystemExit) as error:
        text = ' '.join(str(error).split())[:400]
        if type(error) is NameError and error.name:
            text += f'（`{error.name}` 还没有定义：检查拼写；如果它是上面给好的，先运行那一格）'
        message = f'TODO {number}：运行你的代码时出错，{type(error).__name__}: {text}'
        raise CheckFailed(message + _where(error)) from error


@contextmanager
def _naming_leftovers(solutions):
    """Add to a failure the names of tensors and arrays that the student's code reads outside."""
    try:
        yield
    except CheckFailed as error:
        names = sorted({name for solution in solutions for name in leftover_names(solution)})
        if names:
            listed = '、'.join(f'`{name}`' for name in names)
            error.args = (
                f'{error}（你的代码读了别的单元格留下的变量 {listed}：是不是该用参数？）',
            )
        raise


def _hint(error):
    """The comment that stands above a stub, as the end of a Chinese sentence."""
    stub = traceback.extract_tb(error.__traceback__)[-1]
    above = linecache.getline(stub.filename, stub.lineno - 1).strip()
    return f'。提示：{above.partition("：")[2]}' if above.startswith('# TODO') else ''


def _where(error):
    """The student's line that raised an exception, as the end of a Chinese sentence."""
    if isinstance(error, SyntaxError):
        return ''
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.line and not _is_foreign(frame.filename):
            return f'。出错的一行：{frame.line}'
    return ''


def _is_foreign(filename):
    """Whether a file is the lab's, Python's or an installed one, wherever the lab was loaded."""
    foreign = {'msa_lab', 'site-packages', 'dist-packages'}
    return filename.startswith((STDLIB, '<frozen')) or bool(foreign & set(Path(filename).parts))
