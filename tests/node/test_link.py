"""Frames of the page stream over real sockets."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.errors import DsmError, LimitExceeded, MemoryLimitExceeded, ProtocolError
from dsm.limits import PAGE_HEADER_BYTES_MAX, PAGE_QUEUE_FRAMES_MAX
from dsm.memory.segment import Segment
from dsm.node.link import LENGTH, FileSpan, Landing, Receiver, Sender, prepare
from tests.node.fakes import SOON, until


class End:
    """A receiving end that keeps what arrives. Headers are [bytes that follow, ...]."""

    def __init__(self, sock: socket.socket) -> None:
        self.headers: list[Any] = []
        self.contents: list[bytes] = []
        self.reasons: list[BaseException | None] = []
        self.refuse: Exception | None = None
        self.receiver = Receiver(sock, self._header, self.reasons.append)

    def _header(self, header: Any) -> Landing | None:
        if self.refuse is not None:
            raise self.refuse
        self.headers.append(header)
        if not isinstance(header, list) or not header[0]:
            return None
        place = memoryview(bytearray(header[0]))
        return Landing(place, lambda: self.contents.append(bytes(place)))

    async def until(self, frames: int) -> None:
        await until(lambda: len(self.headers) == frames)
        await until(lambda: len(self.contents) == sum(bool(header[0]) for header in self.headers))

    async def until_lost(self) -> BaseException | None:
        await until(lambda: self.reasons)
        assert len(self.reasons) == 1 and self.receiver.closed
        return self.reasons[0]


Pair = tuple[Sender, End, list[bool]]


@pytest.fixture
async def sockets() -> AsyncIterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        two, _ = listener.accept()
    prepare(one)
    prepare(two)
    yield one, two
    one.close()
    two.close()


@pytest.fixture
async def pair(sockets: tuple[socket.socket, socket.socket]) -> AsyncIterator[Pair]:
    lost: list[bool] = []
    sender, end = Sender(sockets[0], lambda: lost.append(True)), End(sockets[1])
    yield sender, end, lost
    sender.close()
    end.receiver.close()


async def test_frames_arrive_in_order_with_their_bytes(pair: Pair) -> None:
    sender, end, _ = pair
    for number in range(20):
        content = os.urandom(number * 1000)
        sender.send([len(content), number], memoryview(content) if content else None)
        await end.until(number + 1)
        assert end.headers[-1] == [len(content), number]
        if content:
            assert end.contents[-1] == content


async def test_a_span_of_a_memfd_is_sent_from_where_it_is_more_of_it_than_a_socket_holds(pair: Pair) -> None:
    sender, end, _ = pair
    segment = Segment.create("x", 32 << 20)
    content = os.urandom(1 << 20)
    for offset in range(0, 32 << 20, 1 << 20):
        segment.write(offset, content)
    sender.send([24 << 20], FileSpan(segment, 4 << 20, 24 << 20))
    sender.send([3], memoryview(b"end"))
    await end.until(2)
    assert end.contents == [content * 24, b"end"]
    segment.close()


async def test_bytes_that_have_not_left_are_thrown_away_with_the_link(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    """They are references to pages that may change from now on."""
    ours, theirs = sockets
    segment = Segment.create("x", 32 << 20)
    sender = Sender(ours, lambda: None)
    sender.send([32 << 20], FileSpan(segment, 0, 32 << 20))
    assert sender._pieces
    sender.close()
    theirs.setblocking(True)
    with pytest.raises(ConnectionResetError):
        _read_to_the_end(theirs)
    segment.close()


def _read_to_the_end(sock: socket.socket) -> None:
    while sock.recv(1 << 20):
        pass


async def test_a_span_beyond_the_end_of_its_file_breaks_the_link(pair: Pair) -> None:
    sender, end, lost = pair
    segment = Segment.create("x", 4096)
    sender.send([8192], FileSpan(segment, 0, 8192))
    assert lost == [True] and sender.closed
    assert isinstance(await end.until_lost(), ConnectionResetError) and end.contents == []
    segment.close()


async def test_a_sender_whose_queue_is_full_breaks_once(pair: Pair) -> None:
    sender, end, lost = pair
    end.receiver.close()
    sender._pieces.extend([memoryview(b"x")] * (PAGE_QUEUE_FRAMES_MAX + 1))
    sender.send([0])
    sender.send([0])
    assert lost == [True] and not sender._pieces


async def test_a_peer_that_goes_away_is_noticed_once(pair: Pair) -> None:
    sender, end, lost = pair
    end.receiver.close()
    async with asyncio.timeout(SOON):
        while not lost:
            sender.send([1 << 16], memoryview(bytes(1 << 16)))
            await asyncio.sleep(0.001)
    sender.close()
    assert lost == [True]


async def test_an_end_of_stream_in_the_middle_of_a_frame_is_a_loss_without_arrival(pair: Pair) -> None:
    sender, end, _ = pair
    sender.send([100], memoryview(b"only this"))
    await asyncio.sleep(0)
    sender.close()
    assert isinstance(await end.until_lost(), ConnectionResetError) and end.contents == []


@pytest.mark.parametrize("size", [0, PAGE_HEADER_BYTES_MAX + 1, (1 << 32) - 1])
async def test_a_header_of_a_wrong_length_ends_the_link(
    pair: Pair, sockets: tuple[socket.socket, socket.socket], size: int
) -> None:
    _, end, _ = pair
    sockets[0].send(LENGTH.pack(size) + b"x")
    assert isinstance(await end.until_lost(), LimitExceeded)


@pytest.mark.parametrize(
    "header",
    [b"\xc1", b"\x91", msgpack.packb("x" * 300), msgpack.packb(list(range(100))), msgpack.packb(b"bin"), b"\x93" * 900],
)
async def test_a_header_that_is_no_small_msgpack_ends_the_link(
    pair: Pair, sockets: tuple[socket.socket, socket.socket], header: bytes
) -> None:
    _, end, _ = pair
    sockets[0].send(LENGTH.pack(len(header)) + header)
    assert isinstance(await end.until_lost(), ProtocolError)


@pytest.mark.parametrize("error", [ProtocolError("no"), MemoryLimitExceeded("no address space")])
async def test_a_header_that_is_refused_ends_the_link_with_the_reason(pair: Pair, error: DsmError) -> None:
    sender, end, _ = pair
    end.refuse = error
    sender.send([4], memoryview(b"data"))
    assert await end.until_lost() is error


def test_frames_survive_any_cutting_into_pieces() -> None:
    asyncio.run(_cut())


async def _cut() -> None:
    dice = random.Random(7)
    for _ in range(20):
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        end = End(theirs)
        contents = [dice.randbytes(dice.choice([0, 1, 5, 3000])) for _ in range(5)]
        stream = b"".join(
            LENGTH.pack(len(header)) + header + content
            for content in contents
            for header in [msgpack.packb([len(content)])]
        )
        while stream:
            cut = dice.randint(1, 400)
            ours.send(stream[:cut])
            stream = stream[cut:]
            await asyncio.sleep(0)
        await end.until(len(contents))
        assert end.contents == [content for content in contents if content]
        ours.close()
        end.receiver.close()


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=3000))
def test_garbage_ends_the_link_or_waits_for_more(garbage: bytes) -> None:
    async def feed() -> None:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        end = End(theirs)
        end.refuse = ProtocolError("not one of ours")
        ours.send(garbage)
        ours.close()
        reason = await end.until_lost()
        assert reason is None or isinstance(reason, DsmError)

    asyncio.run(feed())
