"""A node that says what a test tells it to, over a real session."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import grpc

from dsm.core.messages import FromHome, ToHome
from dsm.core.types import RegionId, RequestId, first_request
from dsm.errors import DsmError
from dsm.wire import rpc
from dsm.wire.calls import DirectoryCalls
from dsm.wire.directory import Caller
from dsm.wire.failures import error_of
from dsm.wire.runs import Run
from dsm.wire.session import Hello, Notice, Welcome, decode_from_home, encode_hello, encode_to_home

PATIENCE_SECONDS = 10.0

Heard = Notice | Run[FromHome]


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Ask again and again until it holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            pass


class FakeNode:
    def __init__(self, address: str, name: str) -> None:
        self.name = name
        self.channel = rpc.channel(address)
        self.calls = DirectoryCalls(self.channel)
        self.session = rpc.open_session(self.channel)
        self.welcome: Welcome
        self._unread: deque[Heard] = deque()
        self._requests = 0

    async def join(self, held: tuple[int, ...] = ()) -> FakeNode:
        hello = Hello(self.name, "10.0.0.1:1", "10.0.0.1:2", "test", tuple(map(RegionId, held)))
        await self.session.write(encode_hello(hello))
        welcome = await self.heard()
        assert isinstance(welcome, Welcome)
        self.welcome = welcome
        return self

    @property
    def caller(self) -> Caller:
        return Caller(self.welcome.node, self.welcome.epoch)

    def request(self) -> RequestId:
        """Return a request number of its own that it never used."""
        self._requests += 1
        return RequestId(first_request(self.welcome.epoch) + self._requests)

    async def say(self, region: RegionId, first: int, message: ToHome, count: int = 1) -> None:
        for encoded in encode_to_home(self.welcome.epoch, [Run(region, first, count, message)]):
            await self.session.write(encoded)

    async def heard(self) -> Heard:
        """Return what the directory said next."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not self._unread:
                message = await self._read()
                heard = decode_from_home(message)
                self._unread.extend(heard if isinstance(heard, list) else [heard])
        return self._unread.popleft()

    async def _read(self) -> rpc.session_pb2.FromHome:
        try:
            message = await self.session.read()
        except grpc.aio.AioRpcError as failure:
            raise error_of(failure, "read") from failure
        if message is rpc.EOF:
            raise EOFError
        assert isinstance(message, rpc.session_pb2.FromHome)
        return message

    async def heard_about(self, region: RegionId) -> tuple[int, int, FromHome]:
        """Return the next message about pages as (first, count, message); notices in between are passed over."""
        while not isinstance(heard := await self.heard(), Run):
            pass
        assert heard.region == region
        return heard.first, heard.count, heard.message

    async def failure(self) -> tuple[grpc.StatusCode, DsmError | None]:
        """Wait for the session's end and return its status and error."""
        try:
            while True:
                await self.heard()
        except DsmError as error:
            return await self.session.code(), error
        except EOFError:
            return await self.session.code(), None

    async def leave(self) -> None:
        self.session.cancel()
        await self.channel.close(None)
