"""Puts a fault into a shipped module, as if its author had written it, and takes it out again.

A mutant is a replacement in a module's source text. The text must be there exactly once, so that a mutant cannot rot
when its place changes. The changed source is compiled, and every function of the module is given its new code; so
whoever has imported a function or made an object before runs the mutant too, and nothing needs to be imported anew.

Caveat: what a module computes when it is imported (constants, dataclass fields, tables) stays as it was.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType, ModuleType


def changed_source(module: str, old: str, new: str) -> str:
    """Return the module's source with one place changed.

    Raises:
        AssertionError: the text is not there exactly once.
    """
    file = importlib.import_module(module).__file__
    assert file is not None
    source = Path(file).read_text()
    count = source.count(old)
    assert count == 1, f"a mutant of {module} has lost its place: its text is there {count} times: {old!r}"
    return source.replace(old, new)


@contextmanager
def planted(module: str, old: str, new: str) -> Iterator[None]:
    loaded = importlib.import_module(module)
    assert loaded.__file__ is not None
    codes = {
        code.co_qualname: code for code in _codes(compile(changed_source(module, old, new), loaded.__file__, "exec"))
    }
    functions = [function for function in _functions(loaded) if function.__code__.co_qualname in codes]
    right = [(function, function.__code__) for function in functions]
    try:
        for function in functions:
            function.__code__ = codes[function.__code__.co_qualname]
        yield
    finally:
        for function, code in right:
            function.__code__ = code


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Every function that a module defines, also in its classes and under decorators."""
    todo: list[object] = list(vars(module).values())
    while todo:
        thing = todo.pop()
        if isinstance(thing, property):
            todo += [part for part in (thing.fget, thing.fset) if part is not None]
        elif isinstance(thing, staticmethod | classmethod):
            todo.append(thing.__func__)
        elif inspect.isclass(thing) and thing.__module__ == module.__name__:
            todo += vars(thing).values()
        elif isinstance(thing, FunctionType) and thing.__module__ == module.__name__:
            if (wrapped := getattr(thing, "__wrapped__", None)) is not None:
                todo.append(wrapped)
            else:
                yield thing
