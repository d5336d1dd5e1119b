"""The session of one node, as the directory sees it: what it hears, what waits to be sent to it, and how it ends.

Whatever happens within one turn of the event loop leaves together: `tell` and `say` only append and wake the writer,
which encodes everything that waits and writes it. So a burst becomes few messages, and nothing here ever waits
while page records are being changed.

A session ends for one reason, the first that comes up: its node closed the stream, said what it cannot say, is too
slow, was replaced, or the directory stops. `end` may be called from anywhere, also while another node's message is
being handled: it only sets the reason, and what follows from the end happens in the session's own task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import grpc

from dsm.core.membership import Member
from dsm.core.messages import FromHome, ToHome
from dsm.core.types import RegionId
from dsm.errors import DsmError, LimitExceeded, ProtocolError, SessionLost
from dsm.limits import SESSION_QUEUE_MESSAGES_MAX
from dsm.wire.rpc import EOF, SessionContext
from dsm.wire.runs import Run, RunBuilder
from dsm.wire.session import (
    FromHomeMessage,
    Hello,
    Notice,
    decode_to_home,
    encode_from_home,
    encode_notice,
)

Receive = Callable[["Session", Run[ToHome]], None]


class Session:
    """One epoch of one node."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self._waiting: list[Notice | RunBuilder[FromHome]] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._ended: asyncio.Future[DsmError | None] = asyncio.get_running_loop().create_future()

    def tell(self, notice: Notice) -> None:
        """Send something that is not about a page, after everything said before."""
        self._waiting.append(notice)
        self._count(1)

    def say(self, region: RegionId, first: int, count: int, message: FromHome) -> None:
        """Send something about a run of pages, after everything said before."""
        if not self._waiting or not isinstance(self._waiting[-1], RunBuilder):
            self._waiting.append(RunBuilder())
        builder = self._waiting[-1]
        assert isinstance(builder, RunBuilder)
        before = len(builder)
        builder.add(region, first, count, message)
        self._count(len(builder) - before)

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > SESSION_QUEUE_MESSAGES_MAX:
            self._waiting.clear()
            self._size = 0
            slow = f"node {self.member.name!r} let more than {SESSION_QUEUE_MESSAGES_MAX:,} messages wait"
            self.end(LimitExceeded(slow))
        self._wake.set()

    def end(self, reason: DsmError | None) -> None:
        """End the session; None if its node wanted it. Only the first reason counts."""
        if not self._ended.done():
            self._ended.set_result(reason)

    async def run(self, context: SessionContext, receive: Receive) -> None:
        """Carry messages both ways until the session ends.

        Raises:
            DsmError: the reason, if there is one.
        """
        async with asyncio.TaskGroup() as tasks:
            loops = [tasks.create_task(self._read(context, receive)), tasks.create_task(self._write(context))]
            reason = await self._ended
            for loop in loops:
                loop.cancel()
        if reason is not None:
            raise reason

    async def _read(self, context: SessionContext, receive: Receive) -> None:
        try:
            # The loop ends when the node does, or when the session did while a message was being handled.
            while not self._ended.done() and (message := await context.read()) is not EOF:
                if message.epoch != self.member.epoch:
                    raise SessionLost(f"a message of epoch {message.epoch} in epoch {self.member.epoch}")
                said = decode_to_home(message)
                if isinstance(said, Hello):
                    raise ProtocolError("a second Hello in one session")
                for run in said:
                    receive(self, run)
        except DsmError as error:
            self.end(error)
        self.end(None)

    async def _write(self, context: SessionContext) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            for message in self._take():
                try:
                    await context.write(message)
                except grpc.aio.InternalError:
                    return  # the connection is gone; gRPC is about to cancel the call, and with it this session

    def _take(self) -> Iterator[FromHomeMessage]:
        waiting, self._waiting, self._size = self._waiting, [], 0
        for part in waiting:
            if isinstance(part, RunBuilder):
                yield from encode_from_home(self.member.epoch, part.take())
            else:
                yield encode_notice(self.member.epoch, part)
