"""Calls to the node daemon from an asyncio event loop.

A transport belongs to the loop in which it was made. Finalizers may `post()` and `close()` from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from dsm.client.channel import Channel, Outcome, Reply, close_all
from dsm.client.transport import hang
from dsm.errors import DsmError, InvalidArgument
from dsm.limits import CALL_SECONDS, LOCAL_REPLY_GRACE_SECONDS


class _AioWaiter:
    def __init__(self, transport: AioTransport, future: asyncio.Future[Outcome]) -> None:
        self._transport = transport
        self._future = future

    def deliver(self, outcome: Outcome) -> None:
        self._transport.in_loop(lambda: self._settle(outcome))

    def _settle(self, outcome: Outcome) -> None:
        if not self._future.done():
            self._future.set_result(outcome)
        elif isinstance(outcome, Reply):  # cancelled
            close_all(outcome.fds)


class AioTransport:
    """Suspends the calling task."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.channel = Channel(sock, address)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._loop.add_reader(self.channel.fileno(), self._readable)

    async def call(
        self, op: str, fds: Sequence[int] = (), within: float = CALL_SECONDS, **arguments: object
    ) -> tuple[Any, tuple[int, ...]]:
        if asyncio.get_running_loop() is not self._loop:
            raise InvalidArgument("an asynchronous client was used in another event loop than the one that made it")
        future: asyncio.Future[Outcome] = self._loop.create_future()
        waited = within + LOCAL_REPLY_GRACE_SECONDS
        call = self.channel.start(op, arguments, fds, _AioWaiter(self, future))
        try:
            self._flush()
            async with asyncio.timeout(waited):
                outcome = await future
        except BaseException as error:
            self.channel.abandon(call)
            if future.done() and not future.cancelled() and isinstance(late := future.result(), Reply):
                close_all(late.fds)
            if isinstance(error, TimeoutError):
                raise hang(self.channel, op, waited) from None
            raise
        if isinstance(outcome, Reply):
            return outcome.value, outcome.fds
        raise outcome

    def post(self, op: str, **arguments: object) -> None:
        self.channel.post(op, **arguments)
        if self.channel.unsent:
            self.in_loop(self._flush)

    def close(self, reason: DsmError) -> None:
        self.channel.fail(reason)
        self.in_loop(self._stop)

    def in_loop(self, function: Callable[[], None]) -> None:
        """Call this in the loop's thread: now, if this is it."""
        if threading.get_ident() == self._thread:
            function()
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits in it
            self._loop.call_soon_threadsafe(function)

    def _readable(self) -> None:
        self.channel.receive()
        self._flush()

    def _flush(self) -> None:
        self.channel.pump()
        if self.channel.broken is not None:
            self._stop()
        elif self.channel.unsent:
            self._loop.add_writer(self.channel.fileno(), self._flush)
        elif not self._loop.is_closed():
            self._loop.remove_writer(self.channel.fileno())

    def _stop(self) -> None:
        if not self._loop.is_closed() and self.channel.fileno() >= 0:
            self._loop.remove_reader(self.channel.fileno())
            self._loop.remove_writer(self.channel.fileno())
