"""An event loop whose clock jumps to the next timer, and the descriptors of a simulated machine.

Nothing here waits and nothing is read from outside, so a run is decided by what it draws. Ready callbacks run first in,
first out, as asyncio promises; timers of the same moment run in an order that depends on nothing but their times and
the order in which they were set.

`add_reader` and its like know no real descriptors. A simulated thing that can be read from or written to is opened
here, and gets the lowest number that is free, as POSIX has it: a number that is used after its thing was closed may
stand for another one.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
from collections.abc import Callable
from typing import Any, Protocol

FIRST_DESCRIPTOR = 3


class Stalled(AssertionError):
    """Nothing is left that could happen, and the run has not ended."""


class File(Protocol):
    """What a descriptor stands for."""

    def is_ready(self, writing: bool) -> bool:
        """Whether a read (or write) would not block."""


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._clock_resolution = 1e-9
        self._now = 0.0
        self._files: dict[int, Any] = {}
        self._free: list[int] = []
        self._watchers: dict[tuple[int, bool], Callable[[], object]] = {}
        self._due: set[tuple[int, bool]] = set()

    # --- what asyncio asks of its event loop ----------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Stalled("nothing is left that could happen")
        self._now += timeout
        return []

    def _process_events(self, events: list[Any]) -> None:
        """Nothing comes from outside."""

    def _write_to_self(self) -> None:
        """Nobody else runs."""

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        self._watch(fd, False, lambda: callback(*args))

    def remove_reader(self, fd: Any) -> bool:
        return self._watchers.pop((_number(fd), False), None) is not None

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        self._watch(fd, True, lambda: callback(*args))

    def remove_writer(self, fd: Any) -> bool:
        return self._watchers.pop((_number(fd), True), None) is not None

    # --- descriptors ----------------------------------------------------------------------------------------------

    def open(self, file: object) -> int:
        number = heapq.heappop(self._free) if self._free else FIRST_DESCRIPTOR + len(self._files)
        self._files[number] = file
        return number

    def file(self, number: int) -> Any:
        if number not in self._files:
            raise OSError(errno.EBADF, "no such descriptor is open")
        return self._files[number]

    def shut(self, number: int) -> None:
        del self._files[number]
        heapq.heappush(self._free, number)

    @property
    def open_files(self) -> list[object]:
        return list(self._files.values())

    def _watch(self, fd: Any, writing: bool, callback: Callable[[], object]) -> None:
        self._watchers[_number(fd), writing] = callback
        self.look(_number(fd))

    def look(self, number: int) -> None:
        """Something about a descriptor may have changed: call who watches it, if it is ready."""
        for key in ((number, False), (number, True)):
            if key in self._watchers and key not in self._due and self._files[number].is_ready(key[1]):
                self._due.add(key)
                self.call_soon(self._fire, key)

    def _fire(self, key: tuple[int, bool]) -> None:
        self._due.discard(key)
        callback = self._watchers.get(key)
        if callback is not None and key[0] in self._files and self._files[key[0]].is_ready(key[1]):
            callback()
            if key[0] in self._files:
                self.look(key[0])


def loop() -> VirtualLoop:
    """The loop of the run."""
    running = asyncio.get_running_loop()
    assert isinstance(running, VirtualLoop), "law: simulated things live on the simulated clock"
    return running


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())
