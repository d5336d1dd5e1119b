"""Limits of memory, and what is left after many clients: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsm
from tests.integration.actor import Actor, Ended
from tests.integration.conftest import Start, Until

REGIONS = 1000
CYCLES = 200


@pytest.fixture(scope="module")
def small() -> Iterator[dsm.LocalCluster]:
    """Two nodes that have room for 64 pages of 64 KiB each."""
    with dsm.LocalCluster(nodes=2, memory_limit="4MiB") as cluster:
        yield cluster


def test_a_full_node_refuses_a_scope_and_goes_on_when_there_is_room_again(
    small: dsm.LocalCluster, name: str, until: Until
) -> None:
    with small.connect(0, scoped_only=True) as client:
        region = client.create(name, "8MiB")
        with region.write(0, "2MiB") as view:
            view[:] = b"x" * len(view)
        with pytest.raises(dsm.MemoryLimitExceeded, match="--memory-limit") as full, region.write("2MiB", "4MiB"):
            pass
        assert isinstance(full.value, MemoryError)
        with region.read(0, "2MiB") as view:
            assert bytes(view[-4:]) == b"xxxx"
        other = client.create(f"{name}-other", "1MiB")
        region.unlink()
        region.close()
        until(lambda: client.status()["memory"]["used"] == 0)  # the directory lets the region go, then this node does
        with other.write(0, "1MiB") as view:
            view[0] = 1
        other.unlink()


def test_a_node_reads_more_than_its_limit_page_by_page_because_read_copies_go(
    small: dsm.LocalCluster, name: str
) -> None:
    """The writer has all it can have; the reader, with as little memory, reads it twice over in small scopes."""
    with small.connect(0, scoped_only=True) as writer, small.connect(1, scoped_only=True) as reader:
        written = writer.create(name, "3MiB", page_size="4KiB")
        other = reader.create(f"{name}-own", "2MiB")
        with written.write() as view:
            view[:] = b"w" * len(view)
        with other.write() as view:
            view[:] = b"r" * len(view)
        read = reader.open(name)
        for offset in [*range(0, 3 << 20, 1 << 18)] * 2:
            with read.read(offset, 1 << 18) as view:
                assert bytes(view) == b"w" * len(view)
        status = reader.status()["memory"]
        assert status["used"] <= status["limit"]
        written.unlink()
        other.unlink()


@pytest.mark.needs("userfaultfd")
def test_a_plain_scan_of_more_than_the_limit_works(small: dsm.LocalCluster, name: str) -> None:
    with Actor(small.socket(0)) as writer, Actor(small.socket(1)) as reader:
        writer.run("r = client.create(name, '3MiB', page_size='4KiB'); a = r.ndarray(); a[:] = 1", name=name)
        own = "o = client.create(name + '-own', '3MiB'); b = o.ndarray(); b[:] = 2"
        reader.run(own, name=name)
        reader.run("r = client.open(name); a = r.ndarray()", name=name)
        for _ in range(2):
            assert reader.run("out = int(a.sum())") == 3 << 20
        assert reader.run("out = int(b.sum())") == 6 << 20


@pytest.mark.needs("userfaultfd")
def test_a_plain_store_that_no_memory_is_left_for_is_sigbus_and_the_daemon_lives(
    small: dsm.LocalCluster, name: str
) -> None:
    with Actor(small.socket(0)) as process, pytest.raises(Ended) as ended:
        process.run("r = client.create(name, '8MiB', lifetime='creator'); a = r.ndarray(); a[:] = 1", name=name)
    assert ended.value.status < 0 and "Bus error" in ended.value.errors
    with small.connect(0, scoped_only=True) as client:
        assert client.status()["joined"]


def test_a_thousand_regions_of_one_client_on_one_node(cluster: dsm.LocalCluster) -> None:
    began = time.monotonic()
    with cluster.connect(0, scoped_only=True) as client:
        regions = [client.create(f"many-{number}", "8KiB", page_size="4KiB") for number in range(REGIONS)]
        for number, region in enumerate(regions):
            with region.write(0, 4) as view:
                view[:] = number.to_bytes(4, "little")
        for number in (0, 499, 999):
            with regions[number].read(0, 4) as view:
                assert int.from_bytes(view, "little") == number
        assert client.status()["regions"] >= REGIONS
        for region in regions:
            region.unlink()
    print(f"{REGIONS} regions created, written and unlinked in {time.monotonic() - began:.1f} s")


def test_short_clients_leave_nothing_behind(cluster: dsm.LocalCluster, until: Until) -> None:
    """Create, attach, write, read on another node, close, unlink: the daemons are as they were."""
    nodes = (0, 1)

    def state() -> list[tuple[int, int, int]]:
        return [_state(cluster, node) for node in nodes]

    _cycle(cluster, "warm-up")
    until(lambda: all(regions == 0 for _, regions, _ in state()))
    before = state()
    for number in range(CYCLES):
        _cycle(cluster, f"cycle-{number}")
    until(lambda: state() == before)


@pytest.mark.needs("userfaultfd")
def test_killed_clients_leave_nothing_behind(cluster: dsm.LocalCluster, start: Start, until: Until, name: str) -> None:
    before = [_state(cluster, node) for node in (0, 1)]
    for number in range(3):
        one, two = start(0), start(1)
        what = f"{name}-{number}"
        one.run("r = client.create(what, '1MiB', lifetime='creator'); a = r.ndarray(); a[:] = 1", what=what)
        two.run(
            "r = client.open(what); a = r.ndarray(); out = int(a.sum()); s = r.read(0, 8); s.__enter__()", what=what
        )
        one.kill()
        two.kill()
    until(lambda: [_state(cluster, node) for node in (0, 1)] == before)


def _cycle(cluster: dsm.LocalCluster, name: str) -> None:
    with cluster.connect(0, scoped_only=True) as one, cluster.connect(1, scoped_only=True) as two:
        region = one.create(name, "64KiB", page_size="4KiB")
        with region.write(0, "16KiB") as view:
            view[:4] = b"here"
        with two.open(name).read(0, 4) as view:
            assert bytes(view) == b"here"
        region.unlink()


def _state(cluster: dsm.LocalCluster, node: int) -> tuple[int, int, int]:
    """Descriptors, regions and bytes of pages of a node daemon."""
    with cluster.connect(node, scoped_only=True) as client:
        status = client.status()
        descriptors = len(os.listdir(f"/proc/{cluster.nodes[node].pid}/fd"))
    return descriptors, status["regions"], status["memory"]["used"]


# --- The other way for page bytes -------------------------------------------------------------------------------------


def test_page_bytes_go_over_grpc_where_the_page_stream_cannot_be_opened(
    cluster: dsm.LocalCluster, tmp_path: Path, until: Until, name: str
) -> None:
    path = str(tmp_path / "blocked.sock")
    command = [sys.executable, "-m", "tests.integration.blocked_node", "blocked", cluster.directory_address, path]
    blocked = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert blocked.stdout is not None and blocked.stdin is not None
    try:
        blocked.stdout.readline()
        with cluster.connect(2, scoped_only=True) as here, dsm.connect(path, scoped_only=True) as there:
            until(lambda: there.status()["joined"])
            one = here.create(name, "4MiB")
            with one.write() as view:
                view[:] = os.urandom(1 << 20) * 4
                content = bytes(view)
            two = there.open(name)
            with two.read() as view:
                assert bytes(view) == content
            with two.write(0, 4) as view:
                view[:] = b"back"
            with one.read(0, 4) as view:
                assert bytes(view) == b"back"
            assert two.stats()["bytes_in"] >= 4 << 20
            one.unlink()
        log = cluster.logs(2)
        assert "no page stream to node blocked" in log and "using gRPC" in log
    finally:
        blocked.stdin.close()
        blocked.wait(10)
        blocked.stdout.close()
