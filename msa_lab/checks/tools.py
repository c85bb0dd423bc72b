"""What the self-checks share: the failure they raise and the quiet room that they run in.

A check must not disturb the notebook it is called from: random state, warnings, working directory,
global names and standard error are afterwards as they were before.
"""

import ast
import functools
import inspect
import io
import linecache
import logging
import os
import random
import re
import sys
import sysconfig
import tempfile
import textwrap
import traceback
import warnings
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import torch

_MISSING = object()
_NOT_THE_STUDENTS = tuple(  # files whose lines are no help in a message
    str(folder) for folder in (Path(__file__).parent, sysconfig.get_path('stdlib'), '<frozen')
)


class CheckFailed(AssertionError):
    """What a student wrote does not do what its TODO asks for; the message says why, in Chinese."""

    def _render_traceback_(self):
        """What IPython shows: the message alone, with its **emphasis** in bold."""
        return ['CheckFailed: ' + re.sub(r'\*\*(.+?)\*\*', '\x1b[1m\\1\x1b[0m', str(self))]


def fail(number, message):
    """Raise CheckFailed for the TODO of that number."""
    raise CheckFailed(f'TODO {number}：{message}')


def self_check(number, title):
    """Make a check of a function that fails by raising: quiet, seeded, one line when it passes.

    Its attribute `quietly` runs the same without the quiet room and without the line.
    """

    def decorate(body):
        @functools.wraps(body)
        def quietly(*args, **kwargs):
            with _explained(number):
                body(*args, **kwargs)

        @functools.wraps(body)
        def check(*args, **kwargs):
            with isolated():
                quietly(*args, **kwargs)
            print(f'✓ TODO {number} {title}')

        check.quietly = quietly
        return check

    return decorate


@contextmanager
def _explained(number):
    """An exception from a student's code becomes a CheckFailed that says what and where."""
    try:
        yield
    except CheckFailed:
        raise
    except NotImplementedError as error:
        stub = re.search(r'TODO (\d+)', str(error))
        other = stub and stub[1] != str(number)
        said = f'TODO {number} 还没有完成'
        if other:  # given code that leads through another task
            said = f'TODO {stub[1]} 还没有完成，检查 TODO {number} 之前请先写好它'
        raise CheckFailed(said + _hint(error)) from error
    except (Exception, SystemExit) as error:
        text = ' '.join(str(error).split())[:400]
        said = f'TODO {number}：运行你的代码时出错，{type(error).__name__}: {text}'
        raise CheckFailed(said + _where(error)) from error


def _hint(error):
    """The comment that stands above a stub, as the end of a Chinese sentence."""
    stub = traceback.extract_tb(error.__traceback__)[-1]
    above = linecache.getline(stub.filename, stub.lineno - 1).strip()
    return f'。提示：{above.partition("：")[2]}' if above.startswith('# TODO') else ''


def _where(error):
    """The student's line at which an exception came up, as the end of a Chinese sentence."""
    if isinstance(error, SyntaxError):
        return ''
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        foreign = frame.filename.startswith(_NOT_THE_STUDENTS) or 'site-packages' in frame.filename
        if frame.line and not foreign:
            return f'。出错的一行：{frame.line}'
    return ''


@contextmanager
def isolated():
    """Seeded, on the CPU, in an empty directory, with everything printed swallowed.

    Gives the stream that collects standard output. Everything is put back at the end.
    """
    with ExitStack() as room:
        _keep_random_state(room)
        room.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')
        room.enter_context(np.errstate())
        room.enter_context(torch.inference_mode(False))
        room.enter_context(torch.enable_grad())
        room.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        room.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)  # the numbers are tiny: threads would only cost time
        if torch.get_default_device().type != 'cpu':
            room.enter_context(torch.device('cpu'))
        room.enter_context(mock.patch.object(torch.cuda, 'is_available', return_value=False))
        room.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Windows: open logs
        room.enter_context(chdir(room.enter_context(folder)))
        _silence_descriptor(room)
        room.enter_context(redirect_stderr(io.StringIO()))
        yield room.enter_context(redirect_stdout(io.StringIO()))


def _keep_random_state(room):
    """Seed every generator for the check; the caller's states come back when the room closes."""
    room.callback(random.setstate, random.getstate())
    room.callback(np.random.set_state, np.random.get_state())
    room.callback(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_initialized():
        room.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _silence_descriptor(room):
    """Throw away what compiled code writes to standard error past Python's `sys.stderr`."""
    try:
        sys.stderr.flush()
        saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except (OSError, AttributeError):  # a program without standard error
        return
    room.callback(os.close, saved)
    room.callback(os.dup2, saved, 2)
    os.dup2(nowhere, 2)
    os.close(nowhere)


@contextmanager
def replaced_globals(functions, **doubles):
    """Put doubles under these names into the globals of the functions; afterwards as before.

    Functions of one notebook share their globals, imported ones have those of their module.
    """
    spaces = {id(s): s for s in map(_globals_of, functions) if s is not None}.values()
    before = [(space, {name: space.get(name, _MISSING) for name in doubles}) for space in spaces]
    try:
        for space in spaces:
            space.update(doubles)
        yield
    finally:
        for space, values in before:
            for name, value in values.items():
                if value is _MISSING:
                    space.pop(name, None)
                else:
                    space[name] = value


def _globals_of(function):
    """The globals of a function, also behind a decorator or a partial; None for anything else."""
    function = inspect.unwrap(getattr(function, 'func', function))
    return getattr(function, '__globals__', None)


def without_stubs(function, number, **substitutes):
    """The function with the unfilled TODOs of other tasks taken out, so that its own can be run.

    `substitutes` are lines to put in their places, by name: `todo_4='feature = vision'`. Without
    such a stub, and where the source is not to be had, it is the function itself.
    """
    try:
        source = textwrap.dedent(inspect.getsource(function))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return function
    remover = _StubRemover(number, substitutes)
    tree = remover.visit(tree)
    definition = tree.body[0]
    if not remover.removed or not isinstance(definition, ast.FunctionDef):
        return function
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    made = {}
    code = compile(ast.fix_missing_locations(tree), function.__code__.co_filename, 'exec')
    exec(code, function.__globals__, made)
    return made[definition.name]


class _StubRemover(ast.NodeTransformer):
    """Replaces `raise NotImplementedError('TODO n ...')` of all tasks but one."""

    def __init__(self, number, substitutes):
        self.number, self.substitutes, self.removed = str(number), substitutes, False

    def visit_Raise(self, node):
        stub = re.search(r'NotImplementedError\(.*TODO (\d+)', ast.unparse(node))
        if not stub or stub[1] == self.number:
            return node
        self.removed = True
        line = self.substitutes.get(f'todo_{stub[1]}', 'pass')
        return [ast.copy_location(new, node) for new in ast.parse(line).body]


def near(value, expected, tolerance=1e-4):
    """Whether two tensors (or what becomes one) have one shape and the same numbers, about."""
    value, expected = (torch.as_tensor(x).detach().double() for x in (value, expected))
    if value.shape != expected.shape:
        return False
    return torch.allclose(value, expected, rtol=tolerance, atol=tolerance)


def shape_of(value, returned=True):
    """How to name a value in a message: the shape of a tensor, else its type.

    A None that came from a function (`returned`) is most often a forgotten `return`.
    """
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return f'形状 {tuple(value.shape)}'
    if value is None:
        return ' None（忘了 return？）' if returned else ' None'
    return f'类型 {type(value).__name__}'


def some_padding(steps, front):
    """A padding mask: True for the first `front[i]` steps of utterance i."""
    return torch.arange(steps) < torch.tensor(front).unsqueeze(1)


def standardised(x, weight=None, bias=None):
    """Mean 0 and standard deviation 1 over the last dimension, by hand and in double precision."""
    x = x.detach().double()
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
    x = x if weight is None else x * weight.detach().double()
    return x if bias is None else x + bias.detach().double()


def random_affine(norm):
    """Give a LayerNorm random weights, so that leaving them out shows; returns it.

    Whatever else stands in its place may lack the one or the other.
    """
    with torch.no_grad():
        if getattr(norm, 'weight', None) is not None:
            norm.weight.uniform_(0.5, 1.5)
        if getattr(norm, 'bias', None) is not None:
            norm.bias.uniform_(-0.5, 0.5)
    return norm
