"""Calls to the node daemon: what a transport is, and the one that blocks.

There is no reader thread. Of the threads that wait for a reply one leads: it reads the socket and delivers to all.
When it has its own reply it wakes one of the others, which finds the lead free and takes it.

    leader   F1        F2             1. every wait ends in _hand_over(), whether by reply, time-out or exception
    reads    waits     waits          2. the lead is free before the next one is woken
    leaves ─▶ leads    waits          3. who is woken and finds it taken waits on: somebody reads

The daemon enforces the deadline of an operation and names who stands in the way. The transport only waits a little
longer, so that a daemon which hangs is an error too.

Caveat: a signal handler or `__del__` that calls the daemon in the middle of a call of the same thread gets an error,
since that call holds the lead and cannot go on before the handler returns.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from dsm.client.channel import Call, Channel, Outcome, Reply, close_all
from dsm.client.shield import Shield
from dsm.errors import DsmError, NodeUnavailable
from dsm.limits import CALL_SECONDS, LOCAL_REPLY_GRACE_SECONDS

T = TypeVar("T")

_ROOM_SECONDS = 0.1  # how soon a thread that waits for room in the socket notices that the lead is free


class Transport(Protocol):
    """How the library calls its node daemon."""

    channel: Channel

    async def call(
        self, op: str, fds: Sequence[int] = (), within: float = CALL_SECONDS, **arguments: object
    ) -> tuple[Any, tuple[int, ...]]:
        """Return the value and descriptors of the reply, or raise the error in it.

        Args:
            op: the operation, with its arguments.
            fds: descriptors that go with it.
            within: seconds after which the daemon gives up by itself.

        Raises:
            NodeUnavailable: the daemon cannot be reached or does not answer.
        """

    def post(self, op: str, **arguments: object) -> None:
        """Call without waiting for the reply, or for anything. Never raises; for finalizers."""

    def close(self, reason: DsmError) -> None:
        """End the connection; calls under way and later ones get `reason`."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, as all are over a SyncTransport."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    coroutine.close()
    raise AssertionError("over a transport that blocks, nothing is awaited that suspends")


def hang(channel: Channel, op: str, waited: float) -> NodeUnavailable:
    """The error for a daemon that does not answer."""
    message = f"the node daemon at {channel.address} did not answer {op!r} within {waited:g} seconds"
    return NodeUnavailable(message, remedy="Look at its log, and start it again if it hangs")


class _SyncWaiter:
    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self.leaving = False
        self.awake = threading.Event()

    def deliver(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.awake.set()


class SyncTransport:
    """Blocks the calling thread. Any number of threads may call."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.channel = Channel(sock, address)
        self._lead = threading.Lock()
        self._leader: int | None = None
        self._arrivals = select.poll()
        self._arrivals.register(sock, select.POLLIN)

    async def call(
        self, op: str, fds: Sequence[int] = (), within: float = CALL_SECONDS, **arguments: object
    ) -> tuple[Any, tuple[int, ...]]:
        self._refuse_to_nest(op)
        waiter, waited = _SyncWaiter(), within + LOCAL_REPLY_GRACE_SECONDS
        call: Call | None = None
        with Shield() as shield:  # one for the call and for giving it up: a second Ctrl-C does not come between
            try:
                call = self.channel.start(op, arguments, fds, waiter)
                self._finish(call, waiter, time.monotonic() + waited, shield)
                shield.let_through()
                if isinstance(waiter.outcome, Reply):
                    return waiter.outcome.value, waiter.outcome.fds
                raise waiter.outcome or hang(self.channel, op, waited)
            except BaseException:
                if call is not None:
                    self._abandon(call, waiter)
                raise

    def post(self, op: str, **arguments: object) -> None:
        with Shield():
            self.channel.post(op, **arguments)

    def close(self, reason: DsmError) -> None:
        self.channel.fail(reason)

    def _finish(self, call: Call, waiter: _SyncWaiter, deadline: float, shield: Shield) -> None:
        try:
            self.channel.pump()
            while waiter.outcome is None and (left := deadline - time.monotonic()) > 0:
                if self._lead.acquire(blocking=False):
                    try:
                        self._leader = threading.get_ident()
                        self._read(waiter, deadline, shield)
                    finally:
                        self._leader = None
                        self._lead.release()
                elif not call.sent:
                    self._send(shield, min(left, _ROOM_SECONDS))
                else:
                    shield.wait(waiter.awake.wait, left)
                    waiter.awake.clear()
        finally:
            waiter.leaving = True
            self._hand_over()

    def _send(self, shield: Shield, seconds: float) -> None:
        """Wait for room in the socket, while another thread reads."""
        room = select.poll()
        room.register(self.channel.fileno(), select.POLLOUT)
        shield.wait(room.poll, seconds * 1000)
        self.channel.pump()

    def _read(self, waiter: _SyncWaiter, deadline: float, shield: Shield) -> None:
        while waiter.outcome is None and (left := deadline - time.monotonic()) > 0:
            # A daemon whose replies are not read may stop to read requests, so never wait for room alone.
            wanted = select.POLLIN | select.POLLOUT if self.channel.unsent else select.POLLIN
            self._arrivals.modify(self.channel.fileno(), wanted)
            if shield.wait(self._arrivals.poll, left * 1000):
                self.channel.receive()
                self.channel.pump()

    def _hand_over(self) -> None:
        for call in list(self.channel.calls.values()):
            if isinstance(call.waiter, _SyncWaiter) and not call.waiter.leaving:
                call.waiter.awake.set()
                return

    def _abandon(self, call: Call, waiter: _SyncWaiter) -> None:
        if isinstance(waiter.outcome, DsmError):
            return
        self.channel.abandon(call)
        if waiter.outcome is not None:
            close_all(waiter.outcome.fds)

    def _refuse_to_nest(self, op: str) -> None:
        if self._leader == threading.get_ident():
            message = f"{op!r} was called by a signal handler or finalizer in the middle of another call of this thread"
            raise NodeUnavailable(message, remedy="Only set a flag there, and act on it later", definite=True)
