"""The node's session with the directory: joins, sends what the regions say, hands over what home says, joins again.

Everything said about pages within one turn of the event loop leaves as one message. When the session ends, for
whatever reason, its epoch is over: the node's copies are void, and it joins anew under a new epoch, with a pause that
grows from try to try and is drawn at random, so that the nodes of a cluster do not all come back at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Protocol

import grpc

from dsm.core.messages import FromHome, ToHome
from dsm.core.types import Epoch, RegionId
from dsm.errors import DirectoryUnavailable, DsmError, LimitExceeded, ProtocolError
from dsm.limits import CONNECT_SECONDS, RECONNECT_SECONDS_MAX, RECONNECT_SECONDS_MIN, SESSION_QUEUE_MESSAGES_MAX
from dsm.wire import rpc
from dsm.wire.runs import Run, RunBuilder
from dsm.wire.session import (
    FromHomeMessage,
    Hello,
    Notice,
    ToHomeMessage,
    Welcome,
    decode_from_home,
    encode_hello,
    encode_to_home,
)

log = logging.getLogger(__name__)


class Host(Protocol):
    """What the session needs of its node."""

    def hello(self) -> Hello: ...
    def joined_as(self, welcome: Welcome) -> None: ...
    def noticed(self, notice: Notice) -> None: ...
    def home_said(self, run: Run[FromHome]) -> None: ...
    def session_ended(self) -> None: ...


class DirectorySession:
    """One after the other, the sessions of a node."""

    def __init__(self, host: Host, channel: grpc.aio.Channel, address: str) -> None:
        self._host = host
        self._channel = channel
        self._address = address
        self._outgoing: RunBuilder[ToHome] = RunBuilder()
        self._something_to_say = asyncio.Event()
        self._epoch: Epoch | None = None
        self.last_error = "not joined yet"

    def send(self, region: RegionId, index: int, message: ToHome) -> None:
        """Say something about a page. Nothing, if no session is open: its end has made it meaningless."""
        if self._epoch is not None:
            self._outgoing.add(region, index, 1, message)
            self._something_to_say.set()

    async def run(self) -> None:
        """Join, and join again after each end, until cancelled."""
        pause = RECONNECT_SECONDS_MIN
        while True:
            joined = await self._one_session()
            log.warning("no session with the directory at %s: %s", self._address, self.last_error)
            pause = RECONNECT_SECONDS_MIN if joined else min(2 * pause, RECONNECT_SECONDS_MAX)
            await asyncio.sleep(random.uniform(0, pause))

    async def _one_session(self) -> bool:
        """Go through one session, from Hello to its end. Return whether the directory took the node in."""
        call = rpc.open_session(self._channel)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                welcome = await self._join(call)
            self._epoch = welcome.epoch
            self._host.joined_as(welcome)
            log.info("joined as node %d, epoch %d", welcome.node, welcome.epoch)
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self._write(call, welcome.epoch))
                try:
                    await self._read(call, welcome.epoch)
                finally:
                    writer.cancel()
        except* (DsmError, grpc.aio.AioRpcError, TimeoutError) as errors:
            self.last_error = _told(errors)
        finally:
            call.cancel()
            joined = self._epoch is not None
            self._end()
        return joined

    async def _join(self, call: rpc.Session) -> Welcome:
        await _written(call, encode_hello(self._host.hello()))
        answer = decode_from_home(_some(await call.read()))
        if not isinstance(answer, Welcome):
            raise ProtocolError(f"the directory answers Hello with {answer}")
        return answer

    async def _read(self, call: rpc.Session, epoch: Epoch) -> None:
        while True:
            message = _some(await call.read())
            if message.epoch != epoch:
                raise ProtocolError(f"the directory speaks to epoch {message.epoch}; this is {epoch}")
            said = decode_from_home(message)
            if isinstance(said, list):
                for run in said:
                    self._host.home_said(run)
            else:
                self._host.noticed(said)

    async def _write(self, call: rpc.Session, epoch: Epoch) -> None:
        while True:
            await self._something_to_say.wait()
            self._something_to_say.clear()
            if self._outgoing.pages > SESSION_QUEUE_MESSAGES_MAX:
                raise LimitExceeded(f"more than {SESSION_QUEUE_MESSAGES_MAX:,} messages wait for the directory")
            for message in encode_to_home(epoch, self._outgoing.take()):
                await _written(call, message)

    def _end(self) -> None:
        if self._epoch is not None:
            self._epoch = None
            self._host.session_ended()
        self._outgoing.take()
        self._something_to_say.clear()


def _some(message: FromHomeMessage | object) -> FromHomeMessage:
    if not isinstance(message, FromHomeMessage):
        raise DirectoryUnavailable("the directory ended the session")
    return message


async def _written(call: rpc.Session, message: ToHomeMessage) -> None:
    try:
        await call.write(message)
    except asyncio.InvalidStateError as error:  # the call is over; its reader may not have noticed yet
        raise DirectoryUnavailable("the session ended while the node wrote to it") from error


def _told(errors: BaseExceptionGroup[BaseException]) -> str:
    first = errors.exceptions[0]
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, grpc.aio.AioRpcError):
        return f"{first.code().name}: {first.details()}"
    return str(first) or type(first).__name__
