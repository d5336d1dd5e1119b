"""Wrong arguments, wrong sockets and garbage: a typed error that says what to do, and every daemon lives on."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import dsm
from dsm.limits import LOCAL_DESCRIPTORS_MAX, LOCAL_FRAME_BYTES_MAX, PAGE_FRAME_BYTES_MAX
from dsm.wire.local import LENGTH, FrameReader, encode
from tests.integration.conftest import Until

LENGTHS = [1, 3, 4, 5, 100, 4096, 100_000]


@pytest.fixture(scope="module")
def client(cluster: dsm.LocalCluster) -> Iterator[dsm.Client]:
    with cluster.connect(0, scoped_only=True) as client:
        yield client


@pytest.fixture
def region(client: dsm.Client, name: str) -> Iterator[dsm.Region]:
    with client.create(name, "128KiB") as region:
        yield region
        region.unlink()


def serves(cluster: dsm.LocalCluster) -> None:
    """Every daemon is the same process as before, and does its work."""
    assert all(child.exit_status is None for child in (*cluster.nodes, cluster.directory))
    with cluster.connect(1, scoped_only=True) as one, cluster.connect(2, scoped_only=True) as two:
        region = one.create(f"alive-{time.monotonic_ns()}", "64KiB")
        with region.write(0, 4) as view:
            view[:] = b"good"
        with two.open(region.name).read(0, 4) as view:
            assert bytes(view) == b"good"
        region.unlink()


@pytest.mark.parametrize("wrong", ["", "a/b", "x" * 256, "nul\0", 7, None, "\udc80"])
def test_a_wrong_name(client: dsm.Client, wrong: Any) -> None:
    for call in (lambda: client.create(wrong, "4KiB"), lambda: client.open(wrong), lambda: client.unlink(wrong)):
        with pytest.raises(dsm.InvalidArgument, match="name"):
            call()


@pytest.mark.parametrize("wrong", [0, -1, "0", "2TiB", "much", 1.5, None, True])
def test_a_wrong_size(client: dsm.Client, name: str, wrong: Any) -> None:
    with pytest.raises(dsm.InvalidArgument):
        client.create(name, wrong)
    with pytest.raises(dsm.RegionNotFound):
        client.open(name)


@pytest.mark.parametrize("wrong", [0, -4096, 1, 2048, 4097, 12288, "4MiB", "3KiB"])
def test_a_wrong_page_size(client: dsm.Client, name: str, wrong: Any) -> None:
    with pytest.raises(dsm.InvalidArgument):
        client.create(name, "1MiB", page_size=wrong)


def test_wrong_options(client: dsm.Client, name: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"lifetime": "ever"},
        {"hold": -1},
        {"hold": float("nan")},
        {"hold": 5},
        {"mode": "w"},
    ]
    for options in wrong:
        with pytest.raises(dsm.InvalidArgument):
            client.create(name, "64KiB", **options)


def test_another_size_than_the_region_has(client: dsm.Client, region: dsm.Region) -> None:
    with pytest.raises(dsm.InvalidArgument, match="131072"):
        client.open_or_create(region.name, "64KiB")


def test_a_missing_region(client: dsm.Client, name: str) -> None:
    for call in (lambda: client.open(name), lambda: client.unlink(name), lambda: client.describe(name)):
        with pytest.raises(FileNotFoundError) as missing:
            call()
        assert isinstance(missing.value, dsm.RegionNotFound) and "dsm ls" in str(missing.value)


def test_a_double_create(cluster: dsm.LocalCluster, region: dsm.Region) -> None:
    with cluster.connect(1, scoped_only=True) as other, pytest.raises(FileExistsError) as exists:
        other.create(region.name, "64KiB")
    assert isinstance(exists.value, dsm.RegionExists) and "open_or_create" in str(exists.value)


def test_a_double_unlink(client: dsm.Client, name: str) -> None:
    client.create(name, "64KiB").unlink()
    with pytest.raises(dsm.RegionNotFound):
        client.unlink(name)


@pytest.mark.parametrize(
    ("offset", "length"), [(-1, 8), (0, 0), (0, -1), (131072, 1), (131065, 8), (0, 131073), (1 << 70, 1), ("x", 1)]
)
def test_bytes_outside_of_the_region(region: dsm.Region, offset: Any, length: Any) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: region.read(offset, length).__enter__(),
        lambda: region.write(offset, length).__enter__(),
        lambda: region.prefetch(offset, length),
        lambda: region.who_has(offset, length),
    ]
    for call in calls:
        with pytest.raises(dsm.InvalidArgument) as outside:
            call()
        assert str(outside.value)


def test_a_write_through_a_handle_that_reads(client: dsm.Client, region: dsm.Region) -> None:
    with client.open(region.name, mode="r") as reader:
        with pytest.raises(PermissionError) as denied, reader.write(0, 8):
            pass
        assert isinstance(denied.value, dsm.AccessDenied) and "r+" in str(denied.value)
        with pytest.raises(dsm.AccessDenied):
            reader.prefetch(0, 8, write=True)
        with reader.read(0, 8) as view, pytest.raises(TypeError):
            view[0] = 1


def test_a_closed_region_and_a_closed_client(cluster: dsm.LocalCluster, region: dsm.Region) -> None:
    with cluster.connect(1, scoped_only=True) as client:
        other = client.open(region.name)
        other.close()
        other.close()
        with pytest.raises(dsm.RegionClosed, match="Open it again"), other.read(0, 1):
            pass
    with pytest.raises(ValueError, match="closed"):
        client.list()


def test_a_dead_socket(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    with pytest.raises(dsm.NodeUnavailable, match="dsm node"):
        dsm.connect(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(dsm.NodeUnavailable) as dead:
        dsm.connect(path)
    assert dead.value.definite and isinstance(dead.value, ConnectionError)


@pytest.mark.needs("root")
def test_a_socket_that_belongs_to_someone_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon of nobody on a path that this user trusts; this test's own user is made another one than root."""
    path = f"/tmp/dsm-foreign-{os.getpid()}.sock"
    listen = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534)\n"
        f"s = socket.socket(socket.AF_UNIX); s.bind({path!r}); s.listen(); print(flush=True); sys.stdin.read()"
    )
    foreigner = subprocess.Popen([sys.executable, "-c", listen], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert foreigner.stdout is not None and foreigner.stdout.readline()
        with pytest.raises(dsm.AccessDenied, match="DSM_TRUST_UIDS=65534"):
            dsm.connect(path)
    finally:
        foreigner.communicate()
        os.unlink(path)


@pytest.mark.needs("root")
def test_a_daemon_does_not_serve_another_user(cluster: dsm.LocalCluster) -> None:
    path = cluster.socket(0)
    directory = Path(path).parent
    modes = {place: place.stat().st_mode for place in (directory, directory.parent, Path(path))}
    for place in modes:
        place.chmod(0o777)
    try:
        program = (
            "import os, dsm; dsm.connect; os.setgid(65534); os.setuid(65534)\n"
            f"try: dsm.connect({path!r}, scoped_only=True)\n"
            "except dsm.AccessDenied as error: print(error)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
        assert "--trust-uid 65534" in done.stdout, done.stderr
    finally:
        for place, mode in modes.items():
            place.chmod(mode)


# --- Garbage ----------------------------------------------------------------------------------------------------------


def throw(family: socket.AddressFamily, address: Any, data: bytes) -> bytes:
    """Send bytes, say no more, and return what comes back before the other side closes."""
    with socket.socket(family) as sock:
        sock.settimeout(5)
        sock.connect(address)
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # cut off before it had it all
        answer = b""
        try:
            while more := sock.recv(1 << 16):
                answer += more
        except ConnectionResetError:
            pass
        return answer


def tcp(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


@pytest.mark.parametrize("length", LENGTHS)
def test_garbage_on_every_port(cluster: dsm.LocalCluster, length: int) -> None:
    noise = random.Random(length)
    told = cluster.nodes[1].ready
    for _ in range(5):
        throw(socket.AF_UNIX, cluster.socket(1), noise.randbytes(length))
        for address in (told["pages"], told["grpc"], cluster.directory_address):
            throw(socket.AF_INET, tcp(address), noise.randbytes(length))
    serves(cluster)


def raw(cluster: dsm.LocalCluster, *frames: dict[str, Any]) -> list[dict[str, Any]]:
    """Send frames of a client that does not use the library, and return the answers to all of them."""
    greeting = {"id": 1, "op": "hello", "protocol": 1, "version": "x", "pid": 1, "scoped_only": True}
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(cluster.socket(1))
        sock.sendall(b"".join(map(encode, [greeting, *frames])))
        reader = FrameReader()
        answers: list[dict[str, Any]] = []
        while len(answers) <= len(frames) and (data := sock.recv(1 << 16)):
            answers += reader.feed(data)
    return [answer for answer in answers if answer["id"] != 1]


CREATE = {"op": "create", "name": "raw", "size": 4096, "lifetime": "unlink"}


@pytest.mark.parametrize(
    "frame",
    [
        CREATE | {"size": -1},
        CREATE | {"size": (1 << 64) - 1},
        CREATE | {"page_size": -4096},
        CREATE | {"page_size": (1 << 64) - 1},
        CREATE | {"shape": [-1], "dtype": "'<f8'"},
        CREATE | {"shape": [(1 << 64) - 1], "dtype": "'<f8'"},
        CREATE | {"hold": float("nan")},
        CREATE | {"name": "x" * 500_000},
        CREATE | {"lifetime": 3},
        {"op": "open", "region": (1 << 64) - 1},
        {"op": "open", "name": b"bytes"},
        {"op": "attach", "region": 1, "base": 0},
        {"op": "detach", "attachment": 99},
        {"op": "begin", "attachment": 1, "offset": 0, "length": 1, "write": True},
        {"op": "end", "scope": 1},
        {"op": "stats", "region": -5},
        {"op": "who_has"},
        {"op": "describe", "name": 5},
        {"op": "cancel", "call": 12345},
        {"op": "__class__"},
        {"op": "closed"},
        {"op": ""},
    ],
    ids=repr,
)
def test_a_request_that_no_client_of_ours_would_send(cluster: dsm.LocalCluster, frame: dict[str, Any]) -> None:
    (answer,) = raw(cluster, {"id": 2, **frame})
    if frame["op"] != "cancel":
        assert answer["error"]["type"] in ("InvalidArgument", "ProtocolError", "RegionNotFound"), answer
        assert "failed in the node daemon" not in answer["error"]["message"]
    serves(cluster)


@pytest.mark.parametrize("frame", [{"op": "list"}, {"id": 0, "op": "list"}, {"id": "x", "op": "list"}, {"id": 3}])
def test_a_frame_that_is_no_request_ends_the_connection(cluster: dsm.LocalCluster, frame: dict[str, Any]) -> None:
    (answer,) = raw(cluster, frame, {"id": 9, "op": "list"})
    assert answer["id"] == 0 and answer["error"]["type"] == "ProtocolError"
    serves(cluster)


def test_a_frame_beyond_the_limits_on_the_local_socket(cluster: dsm.LocalCluster) -> None:
    answer = throw(socket.AF_UNIX, cluster.socket(1), LENGTH.pack(LOCAL_FRAME_BYTES_MAX + 1) + b"x")
    (error,) = FrameReader().feed(answer)
    assert error["error"]["type"] == "LimitExceeded"
    serves(cluster)


def test_too_many_descriptors_on_the_local_socket(cluster: dsm.LocalCluster, until: Until) -> None:
    pid = cluster.nodes[1].pid

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{pid}/fd"))

    before = descriptors()
    with socket.socket(socket.AF_UNIX) as sock, open(os.devnull) as null:
        sock.settimeout(5)
        sock.connect(cluster.socket(1))
        for _ in range(2):
            socket.send_fds(sock, [LENGTH.pack(100)[:1]], [null.fileno()] * LOCAL_DESCRIPTORS_MAX)
        (error,) = FrameReader().feed(sock.recv(1 << 16))
    assert error["error"]["type"] == "LimitExceeded"
    until(lambda: descriptors() <= before)
    serves(cluster)


def test_a_page_frame_beyond_the_limits(cluster: dsm.LocalCluster, until: Until) -> None:
    import msgpack

    with cluster.connect(1, scoped_only=True) as client:
        status = client.status()
    hello = ["dsm-pages-1", status["cluster"], 99, 1, status["node_id"]]
    frame = [1, 0, 1, 1, 1, True, True, status["epoch"], PAGE_FRAME_BYTES_MAX + 1]
    packed = b"".join(LENGTH.pack(len(header)) + header for header in map(msgpack.packb, (hello, frame)))
    assert throw(socket.AF_INET, tcp(cluster.nodes[1].ready["pages"]), packed + bytes(4096)) == b""
    until(lambda: "page frame with a wrong header" in cluster.logs(1))
    serves(cluster)
