"""A process that works on pages when it is told to: the other side of what is measured.

It is a client of a node of its own choice. It asks the directory for its counters too, since the process that measures
shall have no threads of gRPC.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Self

from dsm.errors import DeadlineExceeded, DsmError, Unavailable
from dsm.limits import BENCH_STEP_SECONDS, STOP_SECONDS

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region


class Partner:
    """The process, seen from outside. A context manager."""

    def __init__(self, socket: str, directory: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(socket, directory, theirs), daemon=True)
        self._theirs = theirs

    def __enter__(self) -> Self:
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._process.join(STOP_SECONDS)
        self._process.kill()
        self._process.join()

    def fill(self, region: str) -> None:
        """Write every byte, so that its node owns every page."""
        self._call("fill", region)

    def write(self, region: str, page: int) -> None:
        """Write one word of a page."""
        self._call("write", region, page)

    def close(self, region: str) -> None:
        self._call("close", region)

    def counters(self) -> dict[str, int]:
        """What the directory has counted so far: page messages, by direction and name."""
        counters = self._call("counters")
        assert isinstance(counters, dict), "so does Hands.counters"
        return counters

    def _call(self, action: str, *arguments: object) -> object:
        try:
            self._connection.send((action, arguments))
            if not self._connection.poll(BENCH_STEP_SECONDS):
                raise DeadlineExceeded(f"{action} took the partner process more than {BENCH_STEP_SECONDS:.0f} s")
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise Unavailable(f"the partner process ended at {action}: {error}") from error
        if isinstance(answer, DsmError):
            raise answer
        return answer


class Hands:
    """What the process can do."""

    def __init__(self, client: Client, directory: str) -> None:
        self._client = client
        self._directory = directory
        self._regions: dict[str, Region] = {}

    def fill(self, name: str) -> None:
        region = self._region(name)
        region.prefetch(write=True)
        region.ndarray(dtype="u1")[:] = 1

    def write(self, name: str, page: int) -> None:
        region = self._region(name)
        region.ndarray(1, "u1", page * region.page_size)[0] = 1

    def close(self, name: str) -> None:
        self._regions.pop(name).close()

    def counters(self) -> dict[str, int]:
        from dsm.wire.calls import DirectoryCalls
        from dsm.wire.rpc import channel

        async def ask() -> dict[str, int]:
            async with channel(self._directory) as to:
                return (await DirectoryCalls(to).status()).counters

        return asyncio.run(ask())

    def _region(self, name: str) -> Region:
        if name not in self._regions:
            self._regions[name] = self._client.open(name)
        return self._regions[name]


def _serve(socket: str, directory: str, connection: Connection[Any, Any]) -> None:
    """Do what comes through the connection until it closes."""
    from dsm.client import connect

    hands = Hands(connect(socket), directory)
    while True:
        try:
            action, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(hands, action)(*arguments)
        except DsmError as error:
            answer = error
        connection.send(answer)
