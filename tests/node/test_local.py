"""The local socket: any bytes from any process, and the daemon serves the others."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest

from dsm.errors import NodeUnavailable, RegionNotFound
from dsm.limits import LOCAL_CALLS_MAX, LOCAL_DESCRIPTORS_MAX, LOCAL_FRAME_BYTES_MAX, LOCAL_REPLY_FRAMES_MAX
from dsm.node import local
from dsm.node.local import Answer, Call, LocalServer, Peer, Reply
from dsm.wire.local import LENGTH, FrameReader, Message, encode
from tests.node.fakes import SOON, until


class Echo:
    """Answers calls; keeps what happened."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.calls: list[str] = []
        self.gone = 0
        self.finished = 0
        self.gate = asyncio.Event()
        self.shared = socket.socket()

    def handle(self, call: Call) -> Answer:
        self.calls.append(call.op)
        match call.op:
            case "wait":
                return self._wait()
            case "fail":
                raise RegionNotFound("no such thing")
            case "crash":
                raise KeyError("a mistake of ours")
            case "crash later":
                return self._crash()
            case "big":
                return Reply("x" * call.arguments["size"])
            case "descriptor":
                return Reply(os.fstat(call.descriptors[0]).st_ino, [self.shared.fileno()])
        return Reply(call.arguments.get("say"))

    async def _wait(self) -> Reply:
        await self.gate.wait()
        self.finished += 1
        return Reply("waited")

    async def _crash(self) -> Reply:
        raise ValueError("a mistake of ours")

    def closed(self) -> None:
        self.gone += 1
        self.shared.close()


class Scene:
    def __init__(self, path: Path, tasks: asyncio.TaskGroup) -> None:
        self.handlers: list[Echo] = []
        self.path = str(path / "dir" / "node.sock")
        self.server = LocalServer(
            self.path, frozenset(), self._handler, lambda work, name: tasks.create_task(work, name=name)
        )
        self.server.listen()

    def _handler(self, peer: Peer) -> Echo:
        self.handlers.append(Echo(peer))
        return self.handlers[-1]

    async def connect(self) -> Client:
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, self.path)
        return Client(sock)


class Client:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader()
        self.messages: list[Message] = []

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> Message | None:
        """The next message; None at the end of the stream."""
        async with asyncio.timeout(SOON):
            while not self.messages:
                try:
                    data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 16)
                except ConnectionResetError:
                    return None
                if not data:
                    return None
                self.messages += self.reader.feed(data)
        return self.messages.pop(0)

    async def call(self, op: str, number: int = 1, **arguments: Any) -> Any:
        await self.send(encode({"id": number, "op": op, **arguments}))
        answer = await self.receive()
        assert answer is not None and answer["id"] == number
        return answer.get("ok", answer.get("error"))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tmp_path, tasks)
        yield scene
        scene.server.close()
        for handler in scene.handlers:
            handler.gate.set()
    assert not Path(scene.path).exists()  # noqa: ASYNC240


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_calls_are_answered_in_any_order(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(encode({"id": 1, "op": "wait"}) + encode({"id": 2, "op": "echo", "say": "now"}))
    assert await client.receive() == {"id": 2, "ok": "now", "fds": 0}
    scene.handlers[0].gate.set()
    assert await client.receive() == {"id": 1, "ok": "waited", "fds": 0}
    assert scene.handlers[0].peer == Peer(os.getpid(), os.getuid(), os.getgid())
    client.sock.close()


async def test_an_error_of_ours_is_told_as_it_is(scene: Scene) -> None:
    client = await scene.connect()
    error = await client.call("fail")
    assert error["type"] == "RegionNotFound" and error["message"] == "no such thing"
    client.sock.close()


@pytest.mark.parametrize("op", ["crash", "crash later"])
async def test_a_mistake_of_the_daemon_is_told_and_others_are_served(scene: Scene, op: str) -> None:
    client, other = await scene.connect(), await scene.connect()
    error = await client.call(op)
    assert error["type"] == "ProtocolError" and "log" in error["remedy"]
    assert await client.call("echo", say=1) == 1 and await other.call("echo", say=2) == 2
    for end in (client, other):
        end.sock.close()


async def test_a_frame_that_comes_byte_by_byte(scene: Scene) -> None:
    client = await scene.connect()
    for byte in encode({"id": 1, "op": "echo", "say": "slow"}):
        await client.send(bytes([byte]))
        await asyncio.sleep(0)
    answer = await client.receive()
    assert answer is not None and answer["ok"] == "slow"
    client.sock.close()


@pytest.mark.parametrize("length", [1, 4, 5, 100, 100_000])
async def test_garbage_cuts_off_its_sender_only(scene: Scene, length: int) -> None:
    noise, other = random.Random(length), await scene.connect()
    for _ in range(10):
        client = await scene.connect()
        with contextlib.suppress(OSError):
            await client.send(noise.randbytes(length))
            client.sock.shutdown(socket.SHUT_WR)
        while (answer := await client.receive()) is not None:
            assert answer["id"] == 0 and answer["error"]["type"] in ("LimitExceeded", "ProtocolError")
        client.sock.close()
    assert await other.call("echo", say=1) == 1
    await until(lambda: sum(handler.gone for handler in scene.handlers) == 10)
    other.sock.close()


async def test_a_frame_beyond_the_limit_is_refused_before_it_is_read(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(LENGTH.pack(LOCAL_FRAME_BYTES_MAX + 1))
    answer = await client.receive()
    assert answer is not None and answer["error"]["type"] == "LimitExceeded"
    assert await client.receive() is None
    client.sock.close()


async def test_an_answer_beyond_the_limit_becomes_an_error(scene: Scene) -> None:
    client = await scene.connect()
    assert (await client.call("big", size=LOCAL_FRAME_BYTES_MAX))["type"] == "LimitExceeded"
    client.sock.close()


async def test_descriptors_come_with_their_frame_and_do_not_leak(scene: Scene) -> None:
    client = await scene.connect()
    await client.call("echo")
    before = descriptors()
    with socket.socket() as null:
        socket.send_fds(client.sock, [encode({"id": 1, "op": "descriptor", "fds": 1})], [null.fileno()])
        await until(lambda: scene.handlers[0].calls[-1] == "descriptor")
        data, fds, _, _ = socket.recv_fds(client.sock, 1000, 2)
        assert FrameReader().feed(data)[0]["ok"] == os.fstat(null.fileno()).st_ino
        assert os.fstat(fds[0]).st_ino == os.fstat(scene.handlers[0].shared.fileno()).st_ino
        os.close(fds[0])
    assert descriptors() == before
    client.sock.close()


@pytest.mark.parametrize("announced", [1, -1, "x", LOCAL_DESCRIPTORS_MAX])
async def test_descriptors_that_did_not_come_cut_the_client_off(scene: Scene, announced: Any) -> None:
    client = await scene.connect()
    await client.send(encode({"id": 1, "op": "descriptor", "fds": announced}))
    answer = await client.receive()
    assert answer is not None and answer["id"] == 0 and answer["error"]["type"] == "ProtocolError"
    client.sock.close()


async def test_too_many_descriptors_cut_the_client_off_and_are_closed(scene: Scene) -> None:
    client = await scene.connect()
    await client.call("echo")
    before = descriptors()
    with socket.socket() as null:
        for _ in range(2):
            socket.send_fds(client.sock, [b"\0"], [null.fileno()] * LOCAL_DESCRIPTORS_MAX)
    answer = await client.receive()
    assert answer is not None and answer["error"]["type"] == "LimitExceeded"
    await until(lambda: scene.handlers[0].gone)
    assert descriptors() < before
    client.sock.close()


async def test_a_client_that_does_not_read_is_cut_off(scene: Scene) -> None:
    client = await scene.connect()
    await client.call("echo")
    frame = encode({"id": 1, "op": "big", "size": 100})
    with contextlib.suppress(OSError):
        for _ in range(LOCAL_REPLY_FRAMES_MAX // 10 * 40):
            await client.send(frame * 10)
            if scene.handlers[0].gone:
                break
    await until(lambda: scene.handlers[0].gone)
    client.sock.close()


async def test_too_many_calls_under_way_cut_the_client_off(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(b"".join(encode({"id": number, "op": "wait"}) for number in range(1, LOCAL_CALLS_MAX + 2)))
    answer = await client.receive()
    assert answer is not None and answer["error"]["type"] == "LimitExceeded"
    client.sock.close()


async def test_a_client_that_goes_is_told_to_its_handler_once_and_its_calls_are_carried_through(scene: Scene) -> None:
    client = await scene.connect()
    await client.send(encode({"id": 1, "op": "wait"}))
    await until(lambda: scene.handlers and scene.handlers[0].calls)
    client.sock.close()
    await until(lambda: scene.handlers[0].gone)
    assert scene.handlers[0].finished == 0
    scene.handlers[0].gate.set()
    await until(lambda: scene.handlers[0].finished)
    assert scene.handlers[0].gone == 1


async def test_no_call_is_handled_after_the_client_is_gone(scene: Scene) -> None:
    """Two frames in one piece; the answer to the first one meets a closed socket."""
    client = await scene.connect()
    await client.call("echo")
    handler = scene.handlers[0]
    ours = next(iter(scene.server._connections))
    client.sock.close()
    ours._arrived(encode({"id": 1, "op": "first"}) + encode({"id": 2, "op": "second"}), 0)
    assert handler.gone == 1 and handler.calls == ["echo", "first"]


# --- The socket itself ------------------------------------------------------------------------------------------------


def server(path: Path) -> LocalServer:
    def spawn(work: object, name: str) -> Any:
        raise AssertionError("nobody calls")

    return LocalServer(str(path), frozenset(), Echo, spawn)


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    ours = server(path)
    ours.listen()
    assert path.is_socket() and path.stat().st_mode & 0o777 == 0o600
    ours.close()
    assert not path.exists()


async def test_a_second_daemon_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first, second = server(tmp_path / "node.sock"), server(tmp_path / "node.sock")
    first.listen()
    with pytest.raises(NodeUnavailable, match="another node daemon"):
        second.listen()
    second.close()
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(str(tmp_path / "node.sock"))
    first.close()


async def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    with pytest.raises(NodeUnavailable, match="no socket"):
        server(precious).listen()
    assert precious.read_text() == "years of work"


async def test_a_daemon_whose_queue_of_connections_is_full_is_alive(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as clients:
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(3):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(path))
        with pytest.raises(NodeUnavailable):
            server(path).listen()
        assert path.is_socket()


async def test_a_path_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    for wrong in (tmp_path / ("x" * 200), tmp_path):
        with pytest.raises(NodeUnavailable, match="--socket"):
            server(wrong).listen()


@pytest.mark.needs("root")
async def test_another_user_is_turned_away_and_reads_why(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o777)
    for parent in tmp_path.parents[:3]:
        os.chmod(parent, parent.stat().st_mode | 0o011)
    ours = server(tmp_path / "node.sock")
    ours.listen()
    os.chmod(ours.path, 0o666)
    program = (
        "import os, socket, sys, time; os.setgid(65534); os.setuid(65534)\n"
        f"s = socket.socket(socket.AF_UNIX); s.connect({ours.path!r}); time.sleep(0.1); s.sendall(b'hello?')\n"
        "sys.stdout.buffer.write(s.recv(10000) + s.recv(1))"
    )
    told: Awaitable[bytes] = asyncio.to_thread(subprocess.check_output, [sys.executable, "-c", program], timeout=SOON)
    (answer,) = FrameReader().feed(await told)
    assert answer["error"]["type"] == "AccessDenied" and "--trust-uid 65534" in answer["error"]["remedy"]
    ours.close()


@pytest.mark.needs("root")
async def test_those_who_were_turned_away_are_closed_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = server(tmp_path / "node.sock")
    ours.listen()
    ours._trusted = frozenset()
    monkeypatch.setattr(local, "TURNED_AWAY_MAX", 2)
    before = descriptors()
    ends = [socket.socket(socket.AF_UNIX) for _ in range(5)]
    for end in ends:
        end.connect(ours.path)
    await until(lambda: len(ours._turned_away) == 2)
    for end in ends:
        end.close()
    ours.close()
    assert descriptors() == before - 1
