"""Keeps Ctrl-C out of the moments in which half a frame is read or written.

KeyboardInterrupt may come between any two bytecodes. In the wait for a reply, where nearly all time is spent, that is
harmless: nothing is lost, and the call is abandoned. Between `recvmsg` and the end of what it starts it would lose
bytes of the stream and with them the connection, and the regions of a notebook with it. So while a call is under way
SIGINT has a handler that only takes a note, except where `wait()` says that it may go through.

One interrupt at any moment is safe so. A second one within the microseconds in which the first is dealt with may leave
a scope to its deadline or to garbage collection.

Only the main thread of a process gets KeyboardInterrupt; elsewhere this does nothing. Handlers that were not set from
Python raise nothing and are left alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self, TypeVar

T = TypeVar("T")


class Shield:
    """A context manager, for one call."""

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._open = False
        self._noted: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._pass_on()

    def wait(self, wait: Callable[[float], T], seconds: float) -> T:
        """Call `wait(seconds)`, which a KeyboardInterrupt may leave."""
        self._open = True
        try:
            self._pass_on()
            return wait(seconds)
        finally:
            self._open = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = (number, frame)
        if self._open:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._noted is not None and self._previous is not None:
            noted, self._noted = self._noted, None
            was_open, self._open = self._open, False  # what is done about this one is not to be interrupted by another
            self._previous(*noted)
            self._open = was_open
