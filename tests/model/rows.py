"""Which rows of the protocol were ever taken. A row is a `return` in the modules of the step functions."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


class Rows:
    """Runs calls and remembers the lines of some modules that they go through."""

    def __init__(self, modules: Iterable[ModuleType]) -> None:
        self._sources = {str(module.__file__): Path(str(module.__file__)).read_text() for module in modules}
        self._lines: set[tuple[str, int]] = set()

    def traced(self, call: Callable[[], T]) -> T:
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            return call()
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename in self._sources else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self._lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._line

    def never_taken(self) -> list[str]:
        """Return "function: statement" of each row that no call has come to."""
        found = []
        for file, source in self._sources.items():
            for function in ast.walk(ast.parse(source)):
                if isinstance(function, ast.FunctionDef):
                    found += [
                        f"{function.name}: {ast.unparse(row)}"
                        for row in ast.walk(function)
                        if isinstance(row, ast.Return) and (file, row.lineno) not in self._lines
                    ]
        return found
