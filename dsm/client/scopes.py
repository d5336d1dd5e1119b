"""Scoped access: a view over bytes that the daemon has brought here and pinned.

The daemon keeps scopes apart, on all hosts. Here is only what belongs to this process: the view, and where there is
no userfaultfd the protection of the pages, which have no access outside scopes. A page is opened after the daemon's
grant and shut before its pin is given back, so it is never open without one.

How a view ends: a memoryview can be released, after which any use is a ValueError. What was made of it meanwhile, a
slice or an array, lives on and would be used without a pin. It keeps the root of the view alive (see `arrays`), which
should have died with the view, so it is noticed.
"""

from __future__ import annotations

import contextlib
import mmap
import threading
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from dsm.memory.mapping import Mapping
from dsm.memory.syscalls import PROTECTION_NONE


class Scope:
    """One scope of this process. Offsets and lengths in bytes."""

    def __init__(self, number: int, generation: int, offset: int, length: int, write: bool) -> None:
        self.number = number
        self.generation = generation
        self.offset = offset
        self.length = length
        self.write = write
        self.view: memoryview | None = None
        self._root: weakref.ref[Any] | None = None

    def __str__(self) -> str:
        kind = "write" if self.write else "read"
        return f"the view of a {kind} scope over bytes {self.offset:,} to {self.offset + self.length - 1:,}"

    def open_view(self, mapping: Mapping) -> tuple[memoryview, object]:
        """Return the view over exactly these bytes, and the root under it."""
        from dsm.client.arrays import make_root

        root: Any = make_root(mapping, self.offset, self.length, self.write)
        self._root = weakref.ref(root)
        self.view = memoryview(root)
        return self.view, root

    def release(self) -> bool:
        """End the view. False if something that was made of it is still alive."""
        view, self.view = self.view, None
        if view is not None:
            with contextlib.suppress(BufferError):  # it has an export of its own, and so the root is alive
                view.release()
        return self._root is None or self._root() is None


class Shutter:
    """The pages of a mapping that has no userfaultfd: without access, but for those of open scopes."""

    def __init__(self, page_size: int) -> None:
        self._page_size = page_size
        self._lock = threading.Lock()
        self._open: list[Scope] = []

    def open(self, mapping: Mapping, scope: Scope) -> None:
        """Give access to the pages of a scope. Scopes on one page are all for reading, or there is only one."""
        protection = mmap.PROT_READ | mmap.PROT_WRITE if scope.write else mmap.PROT_READ
        first, stop = self._pages(scope)
        with self._lock:
            mapping.protect(first, stop - first, protection)
            self._open.append(scope)

    def shut(self, mapping: Mapping, scope: Scope) -> None:
        """Take it away again from the pages that no other scope of this process has."""
        with self._lock:
            if scope not in self._open:
                return  # shut already, by an exit that was interrupted later
            self._open.remove(scope)
            for first, stop in uncovered(*self._pages(scope), map(self._pages, self._open)):
                mapping.protect(first, stop - first, PROTECTION_NONE)

    def _pages(self, scope: Scope) -> tuple[int, int]:
        first = scope.offset // self._page_size
        stop = -(-(scope.offset + scope.length) // self._page_size)
        return first * self._page_size, stop * self._page_size


def uncovered(first: int, stop: int, others: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The parts of [first, stop) that lie in none of the other ranges, in ascending order."""
    for other_first, other_stop in sorted(others):
        if other_first >= stop:
            break
        if other_first > first:
            yield first, other_first
        first = max(first, other_stop)
    if first < stop:
        yield first, stop
