"""Running a student's code without disturbing the notebook that it stands in.

Random state, warnings, working directory, global names and standard error are afterwards as they
were before.
"""

import ast
import dis
import inspect
import io
import logging
import os
import random
import re
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from unittest import mock

import numpy as np
import torch

_MISSING = object()
GLOBALS = 'LOAD_GLOBAL', 'LOAD_NAME'


@contextmanager
def isolated() -> Iterator[None]:
    """Run the `with` block seeded, on the CPU, in an empty directory, without any output.

    Whatever the block changes of the interpreter's state is restored at its end.
    """
    with ExitStack() as stack:
        _keep_random_state(stack)
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter('ignore')
        stack.enter_context(np.errstate())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.callback(torch.set_default_dtype, torch.get_default_dtype())
        torch.set_default_dtype(torch.float32)
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)  # the numbers are tiny: threads would only cost time
        if torch.empty(0).device.type != 'cpu':
            stack.enter_context(torch.device('cpu'))
        stack.enter_context(mock.patch.object(torch.cuda, 'is_available', return_value=False))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Windows: open logs
        stack.enter_context(folder)
        stack.callback(os.chdir, os.getcwd())
        os.chdir(folder.name)
        _silence_descriptor(stack)
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.enter_context(redirect_stdout(io.StringIO()))
        yield


def _keep_random_state(stack):
    """Seed every random generator; the caller's states come back when the stack closes."""
    stack.callback(random.setstate, random.getstate())
    stack.callback(np.random.set_state, np.random.get_state())
    stack.callback(torch.set_rng_state, torch.get_rng_state())
    if torch.cuda.is_initialized():
        stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


def _silence_descriptor(stack):
    """Discard what compiled code writes to file descriptor 2, past Python's `sys.stderr`."""
    try:
        sys.stderr.flush()
        saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except (OSError, AttributeError):  # a program without standard error
        return
    stack.callback(os.close, saved)
    stack.callback(os.dup2, saved, 2)
    os.dup2(nowhere, 2)
    os.close(nowhere)


@contextmanager
def replaced_globals(functions: Iterable[Callable], **doubles) -> Iterator[None]:
    """Put doubles under these names into the globals of the functions while the block runs.

    Functions of one notebook share their globals; an imported one has those of its module.
    """
    namespaces = {id(n): n for n in map(_globals_of, functions) if n is not None}.values()
    before = [(n, {name: n.get(name, _MISSING) for name in doubles}) for n in namespaces]
    try:
        for namespace in namespaces:
            namespace.update(doubles)
        yield
    finally:
        for namespace, values in before:
            for name, value in values.items():
                if value is _MISSING:
                    namespace.pop(name, None)
                else:
                    namespace[name] = value


def _globals_of(function):
    """The globals of a function, also behind a decorator or a partial; None for anything else."""
    function = inspect.unwrap(getattr(function, 'func', function))
    return getattr(function, '__globals__', None)


def leftover_names(solution: Callable) -> set[str]:
    """Global names of tensors and arrays that a function, or a method of a class, reads."""
    functions = vars(solution).values() if inspect.isclass(solution) else [solution]
    names = set()
    for function in functions:
        variables = _globals_of(function) or {}
        for code in _codes(getattr(function, '__code__', None)):
            read = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBALS}
            names |= {name for name in read if _is_data(variables.get(name))}
    return names


def _is_data(value):
    """Whether a value is a tensor or an array, or a list of some."""
    if isinstance(value, (list, tuple)) and value:
        return all(map(_is_data, value))
    return isinstance(value, (torch.Tensor, np.ndarray))


def _codes(code):
    """A code object and those of the functions inside it; nothing for None."""
    if code is not None:
        yield code
        for constant in code.co_consts:
            if inspect.iscode(constant):
                yield from _codes(constant)


def without_stubs(function: Callable, number: int | str, **substitutes: str) -> Callable:
    """The function without the unfilled TODOs of other tasks, so that TODO `number` can be run.

    `substitutes` are lines to put in their places, by name: `todo_4='feature = vision'`. A
    function without such a stub, or whose source cannot be read, is returned as it is.
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
    definitions = {}
    code = compile(ast.fix_missing_locations(tree), function.__code__.co_filename, 'exec')
    exec(code, function.__globals__, definitions)
    return definitions[definition.name]


class _StubRemover(ast.NodeTransformer):
    """Replaces `raise NotImplementedError('TODO n ...')` of all tasks but one."""

    def __init__(self, number, substitutes):
        self.number, self.substitutes, self.removed = str(number), substitutes, False

    def visit_Raise(self, node):
        stub = re.search(r'NotImplementedError\(.*TODO ([\d.]+)', ast.unparse(node))
        if not stub or stub[1] == self.number:
            return node
        self.removed = True
        line = self.substitutes.get(f'todo_{stub[1]}', 'pass')
        return [ast.copy_location(new, node) for new in ast.parse(line).body]
