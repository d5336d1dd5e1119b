"""The connection to the daemon: many callers, hostile and dead daemons, interrupts."""

from __future__ import annotations

import array
import contextlib
import os
import random
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

import dsm
from dsm.client.channel import Channel
from dsm.client.transport import SyncTransport, run
from dsm.errors import AccessDenied, DsmError, NodeUnavailable, ProtocolError, RegionNotFound
from dsm.wire.local import FrameReader, encode, error_to_map
from tests.client.conftest import Nodes
from tests.client.helpers import eventually
from tests.client.scripted import INFO, answer, scripted


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\0\0\0\x03abc",
        b"\0\0\0\x01\x01",
        encode({"ok": 1}),
        encode({"id": 1, "fds": 3}),
    ],
)
def test_garbage_from_the_daemon_is_a_protocol_error(garbage: bytes, tmp_path: Path) -> None:
    with scripted(lambda connection, _: connection.sendall(garbage), tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        for _ in range(2):
            with pytest.raises(ProtocolError, match=address):
                client.list()
        client.close()


@pytest.mark.parametrize("seed", range(15))
def test_random_bytes_from_the_daemon_are_an_error_whatever_they_are(seed: int, tmp_path: Path) -> None:
    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(random.Random(seed).randbytes(10 ** (seed % 5)))
        connection.close()

    with scripted(script, tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        with pytest.raises((ProtocolError, NodeUnavailable)):
            client.list()
        client.close()


@pytest.mark.parametrize(
    "value", [None, 1, [], {}, [1], [{}], [INFO | {"size": 0}], [INFO | {"name": 3}], [INFO | {"shape": ["4"]}]]
)
def test_a_reply_of_another_form_is_a_protocol_error(value: Any, tmp_path: Path) -> None:
    with scripted(lambda connection, message: connection.sendall(answer(message, value)), tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        for call in (lambda: client.open("x"), lambda: client.describe("x"), client.status):
            if value != {} or call != client.status:
                with pytest.raises(ProtocolError):
                    call()
        if value != []:
            with pytest.raises(ProtocolError):
                client.list()
        client.close()


@pytest.mark.parametrize("count", [0, 2])
def test_a_region_comes_with_one_descriptor_and_others_are_closed(count: int, tmp_path: Path) -> None:
    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        frame = encode({"id": message["id"], "ok": INFO, "fds": count})
        socket.send_fds(connection, [frame], [0] * count)

    with scripted(script, tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        before = descriptors()
        with pytest.raises(ProtocolError, match=f"{count} descriptors"):
            client.open("x")
        assert descriptors() == before
        client.close()


def test_descriptors_that_no_frame_announces_are_closed(tmp_path: Path) -> None:
    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        socket.send_fds(connection, [answer(message, [])], [0, 0, 0])
        with contextlib.suppress(OSError):
            for _ in range(20):
                socket.send_fds(connection, [encode({"id": 999, "ok": 1, "fds": 0})], [0, 0, 0])

    with scripted(script, tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        before = descriptors()
        with contextlib.suppress(DsmError):
            for _ in range(30):
                client.list()
        eventually(lambda: descriptors() <= before + 8)
        client.close()


def test_an_error_of_the_daemon_is_raised_as_it_was(tmp_path: Path) -> None:
    sent = RegionNotFound("no region 'x'", remedy="Make one", definite=True)

    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(encode({"id": message["id"], "error": error_to_map(sent)}))

    with scripted(script, tmp_path) as address, dsm.connect(address, scoped_only=True) as client:
        with pytest.raises(RegionNotFound) as raised:
            client.open("x")
        assert (str(raised.value), raised.value.definite) == (str(sent), True)


def test_a_daemon_that_refuses_says_why(tmp_path: Path) -> None:
    refusal = AccessDenied("this node daemon does not serve user 7", remedy="Ask")

    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(encode({"id": 0, "error": error_to_map(refusal)}))

    with scripted(script, tmp_path) as address:
        client = dsm.connect(address, scoped_only=True)
        with pytest.raises(AccessDenied, match="does not serve user 7"):
            client.list()
        client.close()


def test_a_daemon_that_hangs_is_an_error_after_the_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.client.transport.LOCAL_REPLY_GRACE_SECONDS", 0.05)
    heard: list[dict[str, Any]] = []

    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        heard.append(message)

    with scripted(script, tmp_path) as address:
        transport = SyncTransport(_connected(address), address)
        run(transport.call("hello"))
        with pytest.raises(NodeUnavailable, match=r"did not answer 'begin' within 0\.1 seconds") as raised:
            run(transport.call("begin", within=0.05))
        assert not raised.value.definite
        eventually(lambda: [message["op"] for message in heard] == ["begin", "cancel"])
        assert heard[1]["call"] == heard[0]["id"]
        transport.close(NodeUnavailable("over"))


def test_replies_reach_their_callers_in_any_order(tmp_path: Path) -> None:
    waiting: list[dict[str, Any]] = []

    def script(connection: socket.socket, message: dict[str, Any]) -> None:
        waiting.append(message)
        if len(waiting) == 16:
            random.Random(1).shuffle(waiting)
            connection.sendall(b"".join(answer(each, each["slot"]) for each in waiting))
            waiting.clear()

    with scripted(script, tmp_path) as address:
        transport = SyncTransport(_connected(address), address)
        run(transport.call("hello"))
        wrong: list[int] = []

        def ask(slot: int) -> None:
            replies = [run(transport.call("echo", slot=slot)) for _ in range(50)]
            wrong.extend(slot for reply in replies if reply != (slot, ()))

        threads = [threading.Thread(target=ask, args=(slot,)) for slot in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads)
        assert wrong == []
        transport.close(NodeUnavailable("over"))


def test_a_killed_daemon_ends_every_wait(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    client = dsm.connect(address, scoped_only=True)
    region = client.create(name, 4096)
    raised: list[type[BaseException]] = []

    def wait() -> None:
        try:
            region.read(0, 1).__enter__()
        except DsmError as error:
            raised.append(type(error))

    threads = [threading.Thread(target=wait) for _ in range(5)]
    block = region.write(0, 1)
    block.__enter__()
    for thread in threads:
        thread.start()
    eventually(lambda: client.stats()["waiting"] == 5)
    nodes.kill(address)
    for thread in threads:
        thread.join(10)
    assert raised == [NodeUnavailable] * 5
    with pytest.raises(NodeUnavailable):
        block.__exit__(None, None, None)
    with pytest.raises(NodeUnavailable) as error:
        client.list()
    assert error.value.definite
    client.close()
    assert client.closed and region.closed


def test_a_full_socket_loses_nothing(nodes: Nodes) -> None:
    address = nodes.start()
    node = nodes.running[address]
    client = dsm.connect(address, scoped_only=True)
    os.kill(node.pid, signal.SIGSTOP)
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(len(client.list()))) for _ in range(4)]
    try:
        for _ in range(20_000):
            client._core.transport.post("status")
        assert client._core.transport.channel.unsent
        for thread in threads:
            thread.start()
    finally:
        os.kill(node.pid, signal.SIGCONT)
    for thread in threads:
        thread.join(30)
    assert done == [0] * 4
    assert client.stats()["calls"]["status"] == 20_000
    client.close()


def test_a_channel_passes_a_descriptor_once_however_its_frame_is_cut() -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    channel = Channel(ours, "test")

    class Nobody:
        def deliver(self, outcome: object) -> None:
            raise AssertionError("there is no reply")

    channel.start("attach", {"padding": "x" * 100_000}, [0], Nobody())
    messages: list[dict[str, Any]] = []
    reader, arrived = FrameReader(), array.array("i")
    with theirs:
        theirs.setblocking(False)
        while not messages:
            channel.pump()
            with contextlib.suppress(BlockingIOError):
                data, fds, _, _ = socket.recv_fds(theirs, 1 << 16, 4)
                arrived.extend(fds)
                messages += reader.feed(data)
    assert len(arrived) == 1
    os.close(arrived[0])
    assert (messages[0]["op"], messages[0]["fds"]) == ("attach", 1)


def _connected(address: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection
