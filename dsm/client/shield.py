"""Keeps Ctrl-C out of the moments in which half a frame is read or written, or a scope is begun or ended.

KeyboardInterrupt may come between any two bytecodes. In the wait for a reply, where nearly all time is spent, that is
harmless: nothing is lost, and the call is abandoned. Between `recvmsg` and the end of what it starts it would lose
bytes of the stream and with them the connection, and the regions of a notebook with it. So while a call is under way
SIGINT has a handler that only takes a note, except where `wait()` and `let_through()` say that it may go through.

A shield within a shield is the outer one: a call shields itself and what gives it up, the begin of a scope also the
way of its number to the view, the end of a scope all of it.

What is guaranteed: after one interrupt, at any moment, connection and daemon are as if the call had not been made or
had been completed, and a scope has ended when its view is dropped at the latest. Before a shield is up, in the first
bytecodes of `__exit__` or of a finalizer, Python lets nobody keep an interrupt out. So one there leaves the end of the
scope to the finalizer of its view, and a second one that hits just that finalizer, which Python reports as ignored,
leaves it pinned until the client is closed.

Only the main thread of a process gets KeyboardInterrupt; elsewhere this does nothing. Handlers that were not set from
Python raise nothing and are left alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Shield:
    """A context manager, entered once."""

    def __init__(self) -> None:
        self._previous: Callable[[int, FrameType | None], object] | None = None
        self._open = False
        self._noted: tuple[int, FrameType | None] | None = None

    def __enter__(self) -> Shield:  # noqa: PYI034  # not always itself
        """Return the shield that counts, which is the outer one if there is one."""
        if threading.current_thread() is not threading.main_thread():
            return self
        previous = signal.getsignal(signal.SIGINT)
        if isinstance(outer := getattr(previous, "__self__", None), Shield):
            return outer
        if callable(previous):
            self._previous = previous
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self.let_through()

    def wait(self, wait: Callable[[float], T], seconds: float) -> T:
        """Call `wait(seconds)`, which a KeyboardInterrupt may leave."""
        self._open = True
        try:
            self.let_through()
            return wait(seconds)
        finally:
            self._open = False

    def let_through(self) -> None:
        """Here an interrupt that was noted may raise."""
        if self._noted is not None and self._previous is not None:
            noted, self._noted = self._noted, None
            was_open, self._open = self._open, False  # what is done about this one is not to be interrupted by another
            self._previous(*noted)
            self._open = was_open

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = (number, frame)
        if self._open:
            self.let_through()
