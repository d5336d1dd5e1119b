"""Connections that cannot be accepted because the daemon has no descriptor left."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from dsm.node import accepting
from tests.node.fakes import SOON


class Exhausted(socket.socket):
    """A listening socket of a process without a free descriptor, until `free`."""

    tries = 0
    free = False

    def accept(self) -> tuple[socket.socket, Any]:
        self.tries += 1
        if not self.free:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest.fixture
def listener() -> Iterator[Exhausted]:
    with Exhausted(socket.AF_INET) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


def start(listener: Exhausted) -> asyncio.Future[socket.socket]:
    """Return the first connection that will be accepted."""
    first: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

    def readable() -> None:
        sock = accepting.accept(listener, readable, "a client")
        if sock is not None:
            first.set_result(sock)

    asyncio.get_running_loop().add_reader(listener, readable)
    return first


async def test_without_a_descriptor_the_daemon_rests_and_serves_who_waits_afterwards(
    listener: Exhausted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "ACCEPT_PAUSE_SECONDS", 0.1)
    first = start(listener)
    with socket.create_connection(listener.getsockname()):
        await asyncio.sleep(0.25)
        assert 1 <= listener.tries <= 4
        listener.free = True
        async with asyncio.timeout(SOON):
            (await first).close()
    asyncio.get_running_loop().remove_reader(listener)


async def test_a_listener_that_was_closed_during_the_rest_is_left_alone(
    listener: Exhausted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accepting, "ACCEPT_PAUSE_SECONDS", 0.2)
    start(listener)
    with socket.create_connection(listener.getsockname()):
        await asyncio.sleep(0.05)
        assert listener.tries == 1
        listener.close()
        await asyncio.sleep(0.3)
    assert listener.tries == 1
