"""What a result depends on, as a short key: names, settings, data, and the code behind them.

Code counts by what it does: functions and classes are followed into everything of ours that they
call, in compiled form. So a new comment changes nothing and a changed line in a helper does.
"""

import dis
import hashlib
import sys
import sysconfig
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType

import joblib

STDLIB = Path(sysconfig.get_path('stdlib'))


def fingerprint(*things):
    """A key of 12 hexadecimal digits; equal things give equal keys, in any process.

    A `Path` stands for the content of the file, a function or class for its code.
    """
    return hashlib.sha256('\n'.join(_describe(things, set())).encode()).hexdigest()[:12]


def _describe(thing, seen):
    """Lines of text that stand for a thing and for all of ours that it refers to."""
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes)):
        return [repr(thing)]
    if isinstance(thing, (tuple, list)):
        return ['(', *(line for item in thing for line in _describe(item, seen)), ')']
    if isinstance(thing, (set, frozenset)):
        return ['{', *sorted('\n'.join(_describe(item, seen)) for item in thing), '}']
    if isinstance(thing, dict):
        return _describe(list(thing.items()), seen)
    if isinstance(thing, Path) and thing.is_file():
        with thing.open('rb') as file:
            return [hashlib.file_digest(file, 'sha256').hexdigest()]
    if isinstance(thing, partial):
        return _describe((thing.func, thing.args, thing.keywords), seen)
    if isinstance(thing, MethodType):
        return _describe((thing.__func__, thing.__self__), seen)
    if isinstance(thing, property):
        return _describe((thing.fget, thing.fset), seen)
    if isinstance(thing, cached_property):
        return _describe(thing.func, seen)
    if isinstance(thing, (staticmethod, classmethod)) or hasattr(thing, '__wrapped__'):
        return _describe(thing.__wrapped__, seen)
    if isinstance(thing, (FunctionType, type)):
        return _describe_definition(thing, seen)
    if isinstance(thing, CodeType):
        return [thing.co_code.hex(), *_describe((thing.co_consts, thing.co_names), seen)]
    if isinstance(thing, ModuleType):
        return [thing.__name__]
    if _is_ours(type(thing)):
        slots = {name: getattr(thing, name) for name in getattr(thing, '__slots__', ())}
        return _describe((type(thing), getattr(thing, '__dict__', slots)), seen)
    return [_name(type(thing)), getattr(thing, '__name__', None) or joblib.hash(thing)]


def _describe_definition(thing, seen):
    """A function or class: its name if it is a library's, its code and what that calls if ours."""
    if not _is_ours(thing) or thing in seen:
        return [_name(thing)]
    seen.add(thing)
    if isinstance(thing, type):
        members = [
            (name, member) for name, member in vars(thing).items()
            if not name.startswith('__') or (callable(member) and 'annotate' not in name)
        ]  # fmt: skip
        return ['class', thing.__name__, *_describe((thing.__bases__, members), seen)]
    cells = [cell.cell_contents for cell in thing.__closure__ or ()]
    defaults = (thing.__defaults__, thing.__kwdefaults__)
    referred = [thing.__globals__[name] for name in _globals_of(thing.__code__)
                if name in thing.__globals__]  # fmt: skip
    return ['def', *_describe((thing.__code__, defaults, cells, referred), seen)]


def _globals_of(code):
    """Names of the globals that the code, or code inside it, reads; sorted."""
    names = {
        i.argval for i in dis.get_instructions(code) if i.opname in ('LOAD_GLOBAL', 'LOAD_NAME')
    }
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names.update(_globals_of(constant))
    return sorted(names)


def _is_ours(thing):
    """Whether a function or class was written here, not in Python or an installed package."""
    if thing.__module__ == '__main__':
        return True
    file = getattr(sys.modules.get(thing.__module__), '__file__', None)
    if file is None:
        return thing.__module__ not in sys.modules
    parts = Path(file).parts
    return not ({'site-packages', 'dist-packages'} & set(parts) or STDLIB in Path(file).parents)


def _name(thing):
    return f'{thing.__module__}.{thing.__qualname__}'
