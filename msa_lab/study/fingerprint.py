"""A short key for everything that a result depends on: names, settings, data and code.

Code counts by what it does: a function or class is described by its compiled form and by that of
everything of ours that it uses. So a new comment keeps the key, and a changed helper changes it.

Of the model classes that a function may build, those that it does build count: a configurable model
names parts that most of its variants do without, and that may not even be defined yet. So
`fingerprint` does not follow such names, and a study adds the `module_classes` of a built model.
"""

import dis
import hashlib
import sys
import sysconfig
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import joblib
from torch import nn

STDLIB = Path(sysconfig.get_path('stdlib'))


def fingerprint(*values: Any) -> str:
    """A key of 12 hexadecimal digits; equal values give equal keys, in any process.

    A `Path` to a file stands for the content of the file, a function or class for its code. Python
    compiles a function in a module otherwise than the same one in a notebook's cell, so a study in
    a notebook has keys of its own.
    """
    return hashlib.sha256('\n'.join(_describe(values, set())).encode()).hexdigest()[:12]


def module_classes(model: nn.Module) -> list[type]:
    """The classes of a model and of all its sub-modules, in the order in which they stand there."""
    return list(dict.fromkeys(type(module) for module in model.modules()))


def _describe(value, seen):
    """Lines of text that stand for a value and for everything of ours that it refers to.

    `seen` is the set of functions and classes that were described already; they can be recursive.
    """
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return [repr(value)]
    if isinstance(value, (tuple, list)):
        return ['(', *(line for item in value for line in _describe(item, seen)), ')']
    if isinstance(value, (set, frozenset)):
        return ['{', *sorted('\n'.join(_describe(item, seen)) for item in value), '}']
    if isinstance(value, dict):
        return _describe(list(value.items()), seen)
    if isinstance(value, Path) and value.is_file():
        return [hashlib.sha256(value.read_bytes()).hexdigest()]
    if isinstance(value, partial):
        return _describe((value.func, value.args, value.keywords), seen)
    if isinstance(value, MethodType):
        return _describe((value.__func__, value.__self__), seen)
    if isinstance(value, property):
        return _describe((value.fget, value.fset), seen)
    if isinstance(value, cached_property):
        return _describe(value.func, seen)
    if isinstance(value, (staticmethod, classmethod)) or hasattr(value, '__wrapped__'):
        return _describe(value.__wrapped__, seen)
    if isinstance(value, type):
        return _describe_class(value, seen)
    if isinstance(value, FunctionType):
        return _describe_function(value, seen)
    if isinstance(value, CodeType):
        return [value.co_code.hex(), *_describe((value.co_consts, value.co_names), seen)]
    if isinstance(value, ModuleType):
        return [value.__name__]
    if _is_ours(type(value)):
        slots = {name: getattr(value, name) for name in getattr(value, '__slots__', ())}
        return _describe((type(value), getattr(value, '__dict__', slots)), seen)
    return [_full_name(type(value)), getattr(value, '__name__', None) or joblib.hash(value)]


def _describe_class(cls, seen):
    """A class of ours: its name, bases, methods and attributes; one of a library: its name."""
    if not _is_ours(cls):
        return [_full_name(cls)]
    if cls in seen:
        return ['class', cls.__name__]
    seen.add(cls)
    members = []
    for name, member in vars(cls).items():
        if not name.startswith('__') or (callable(member) and 'annotate' not in name):
            members.append((name, member))
    return ['class', cls.__name__, *_describe((cls.__bases__, members), seen)]


def _describe_function(function, seen):
    """A function of ours: its code, defaults and what it refers to; one of a library: its name."""
    if not _is_ours(function):
        return [_full_name(function)]
    if function in seen:
        return ['def', function.__name__]
    seen.add(function)
    code, variables = function.__code__, function.__globals__
    enclosed = [cell.cell_contents for cell in function.__closure__ or ()]
    referred = [variables[name] for name in _list_globals(code) if name in variables]
    referred = [value for value in referred if not _is_module_class(value)]
    defaults = (function.__defaults__, function.__kwdefaults__)
    return ['def', *_describe((code, defaults, enclosed, referred), seen)]


def _list_globals(code):
    """Names of the globals that the code, or code inside it, reads; sorted."""
    reads = ('LOAD_GLOBAL', 'LOAD_NAME')
    names = {step.argval for step in dis.get_instructions(code) if step.opname in reads}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(_list_globals(constant))
    return sorted(names)


def _is_module_class(value):
    """Whether a value is a class of models or of their parts."""
    return isinstance(value, type) and issubclass(value, nn.Module)


def _is_ours(definition):
    """Whether a function or class is part of neither Python nor an installed package."""
    if definition.__module__ == '__main__':
        return True
    file = getattr(sys.modules.get(definition.__module__), '__file__', None)
    if file is None:
        return definition.__module__ not in sys.modules
    parts = Path(file).parts
    return not ({'site-packages', 'dist-packages'} & set(parts) or STDLIB in Path(file).parents)


def _full_name(definition):
    return f'{definition.__module__}.{definition.__qualname__}'
