"""gRPC between daemons: streams of messages in order, unary calls, and what becomes of either when the network fails.

A stream that is cut is noticed by each end at a time of its own. What was on its way may still be heard, one way or
both; what is written afterwards is lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, Self

import grpc

from dsm.wire.failures import Metadata
from dsm.wire.rpc import EOF
from tests.sim.clock import loop
from tests.sim.pipes import LATER

NO_METADATA = grpc.aio.Metadata()


class Aborted(Exception):
    """What `abort` raises at the serving side."""

    def __init__(self, code: grpc.StatusCode, details: str, metadata: Metadata = ()) -> None:
        super().__init__(details)
        self.code = code
        self.details = details
        self.metadata = metadata

    def at_the_caller(self) -> grpc.aio.AioRpcError:
        return grpc.aio.AioRpcError(self.code, NO_METADATA, grpc.aio.Metadata(*self.metadata), self.details, "")


def unreachable(details: str) -> Aborted:
    return Aborted(grpc.StatusCode.UNAVAILABLE, details)


class Line:
    """Messages one way, in order. After the last one it says how the stream ended: EOF, or an error."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay
        self._last = 0.0
        self._arrived: deque[Any] = deque()
        self._reader: asyncio.Future[None] | None = None
        self._end: Aborted | None = None
        self.ended = False
        self.silent = False
        """Nothing more comes through."""
        self.on_the_way = 0

    def put(self, message: Any) -> None:
        self._later(lambda: self._arrives(message))

    def end(self, how: Aborted | None) -> None:
        """End after all that was put before."""
        self._later(lambda: self.end_now(how))

    def end_now(self, how: Aborted | None) -> None:
        if not self.ended:
            self.ended, self._end = True, how
            self._wake()

    def _later(self, what: Callable[[], None]) -> None:
        if self.silent:
            return
        self._last = max(self._last + LATER, loop().time() + self._delay())
        self.on_the_way += 1
        loop().call_at(self._last, self._happens, what)

    def _happens(self, what: Callable[[], None]) -> None:
        self.on_the_way -= 1
        if not self.silent:
            what()

    def _arrives(self, message: Any) -> None:
        if not self.ended:
            self._arrived.append(message)
            self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def read(self) -> Any:
        while not self._arrived:
            if self.ended:
                if self._end is not None:
                    raise self._end.at_the_caller()
                return EOF
            self._reader = loop().create_future()
            await self._reader
        return self._arrived.popleft()

    def quiet(self) -> bool:
        return self.ended or self.silent or not (self.on_the_way or self._arrived)


class Stream:
    """A call with a stream each way: what the caller has of it."""

    def __init__(self, caller: str, delay: Callable[[], float], full: Callable[[], bool] = lambda: False) -> None:
        self.caller = caller
        self._delay = delay
        self._full = full
        self.there, self.back = Line(delay), Line(delay)
        self.over = False
        self._is_cut = False
        self.context = Context(self)
        self.handler: asyncio.Task[None] | None = None

    def serve(self, handler: Awaitable[None], spawn: Callable[..., asyncio.Task[None]]) -> None:
        self.handler = spawn(self._serve(handler))

    async def _serve(self, handler: Awaitable[None]) -> None:
        try:
            await handler
        except Aborted as error:
            self.back.end(error)
        except asyncio.CancelledError:
            # As gRPC does: the handler of a call whose caller is gone is cancelled; nobody hears of it.
            if self.context.alive:
                raise
        else:
            self.back.end(None)
        finally:
            self.context.alive = False

    async def write(self, message: Any) -> None:
        """Write, when the flow control of the stream lets it through; not at all once the stream is cut."""
        await asyncio.sleep(self._delay() if self._full() else 0)
        while self._is_cut and not self.over and not self.back.ended:  # noqa: ASYNC110  (time is virtual)
            await asyncio.sleep(self._delay())
        if self.over or self.back.ended:
            raise asyncio.InvalidStateError("the call is over")
        self.there.put(message)

    async def read(self) -> Any:
        return await self.back.read()

    def cancel(self) -> None:
        """The caller is done with it; the other side hears of that."""
        if not self.over:
            self.over = True
            self.there._later(self.callers_end)

    def callers_end(self) -> None:
        """The serving side notices that the caller is gone."""
        if self.context.alive:
            self.context.alive = False
            if self.handler is not None:
                self.handler.cancel()

    def cut(self, heard_there: bool, heard_back: bool, noticed_there: float, noticed_back: float) -> None:
        """The network fails under it."""
        self._is_cut = True
        if not heard_there:
            self.there.silent = True
        if not heard_back:
            self.back.silent = True
        self.there.put = self.back.put = _lost  # type: ignore[method-assign]
        loop().call_later(noticed_there, self.callers_end)
        loop().call_later(noticed_back, self.back.end_now, unreachable("the connection broke"))

    def quiet(self) -> bool:
        if self._is_cut:
            return not self.context.alive and self.back.ended
        return self.over or not self.context.alive or (self.there.quiet() and self.back.quiet())


def _lost(message: Any) -> None:
    """What is written to a line that is cut."""


class Context:
    """What the serving side has of a call."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream
        self.alive = True

    def peer(self) -> str:
        return "nobody" if self._stream is None else self._stream.caller

    async def read(self) -> Any:
        assert self._stream is not None
        return await self._stream.there.read()

    async def write(self, message: Any) -> None:
        await asyncio.sleep(0)
        assert self._stream is not None
        self._stream.back.put(message)

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata = ()) -> NoReturn:
        raise Aborted(code, details, trailing_metadata)


class Channel:
    """In the place of grpc.aio.Channel: an address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.streams: list[Stream] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        for stream in self.streams:
            stream.cancel()


class Stub:
    """The unary calls of a service at the other end of the network."""

    def __init__(self, service: Any, delay: Callable[[], float], lost: Callable[[], bool]) -> None:
        self._service = service
        self._delay = delay
        self._lost = lost
        self.under_way = 0

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._service, name)

        async def call(message: Any, timeout: float) -> Any:  # noqa: ASYNC109  (as the stub has it)
            self.under_way += 1
            try:
                async with asyncio.timeout(timeout):
                    return await self._call(method, message)
            except Aborted as error:
                raise error.at_the_caller() from None
            except TimeoutError:
                late = Aborted(grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")
                raise late.at_the_caller() from None
            finally:
                self.under_way -= 1

        return call

    async def _call(self, method: Any, message: Any) -> Any:
        await self._way()
        try:
            answer = await method(message, Context(None))
        finally:
            await self._way()
        return answer

    async def _way(self) -> None:
        await asyncio.sleep(self._delay())
        if self._lost():
            await loop().create_future()
