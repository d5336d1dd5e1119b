"""Processes, nodes and the directory end, by themselves or by force: everybody else gets an error or goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsm
from tests.integration.actor import Actor, Ended, Failed
from tests.integration.conftest import Start, Until

pytestmark = pytest.mark.needs("userfaultfd")


@pytest.fixture
def mortal() -> Iterator[dsm.LocalCluster]:
    """A cluster of this test's own, to break."""
    with dsm.LocalCluster(nodes=2) as cluster:
        yield cluster


def test_a_killed_client_releases_its_scope_at_once_for_others(start: Start, name: str) -> None:
    victim, same_host, other_host = start(0), start(0), start(1)
    victim.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__()", name=name)
    for other in (same_host, other_host):
        other.run("r = client.open(name)", name=name)
        other.tell("with r.write(0, 8) as v: out = True")
        assert not other.answered(0.1)
    victim.kill()
    assert same_host.answer(3) and other_host.answer(3)


def test_a_killed_client_that_waits_for_a_page_leaves_nothing_behind(
    cluster: dsm.LocalCluster, start: Start, name: str, until: Until
) -> None:
    holder, victim = start(0), start(1)
    holder.run(
        "r = client.create(name, '64KiB', lifetime='last-detach'); s = r.write(0, 8); v = s.__enter__()", name=name
    )
    victim.run("r = client.open(name); a = r.ndarray()", name=name)
    victim.tell("a[0] = 1")
    assert not victim.answered(0.1)
    victim.kill()
    with cluster.connect(0, scoped_only=True) as client:
        until(lambda: client.describe(name).attached == ("node-0",))
    holder.close()
    with cluster.connect(0, scoped_only=True) as client:
        until(lambda: name not in [info.name for info in client.list()])


@pytest.mark.parametrize("node", [0, 1], ids=["same host", "other host"])
def test_the_deadline_of_a_scope_names_the_process_that_has_the_page(start: Start, name: str, node: int) -> None:
    holder, late = start(0), start(node)
    holder.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__()", name=name)
    late.run("r = client.open(name)", name=name)
    with pytest.raises(Failed) as failed:
        late.run("with r.read(0, 8, timeout=0.2) as v: pass")
    assert failed.value.kind == "DeadlineExceeded"
    where = "on this host" if node == 0 else "on node 'node-0'"
    assert f"process {holder.pid}" in failed.value.text and where in failed.value.text
    holder.run("v = None; s.__exit__(None, None, None)")
    assert late.run("with r.read(0, 8) as v: out = v[0]") == 0


def test_what_a_stopped_node_had_written_is_lost_and_never_zeros(
    mortal: dsm.LocalCluster, name: str, until: Until
) -> None:
    with Actor(mortal.socket(0)) as writer, Actor(mortal.socket(1)) as reader:
        writer.run("r = client.create(name, '256KiB'); a = r.ndarray(); a[0] = 1; a[140000] = 2", name=name)
        reader.run("r = client.open(name); a = r.ndarray(); out = int(a[0])", name=name)
        mortal.stop_node(0)
        until(lambda: reader.run("out = len(client.status()['members'])") == 1)
        assert reader.run("out = int(a[0])") == 1, "the copy that was read survives, and takes over"
        with pytest.raises(Failed) as lost:
            reader.run("with r.read(131072, 65536) as v: out = bytes(v[:8]).hex()")
        assert lost.value.kind == "PageLost" and "create it anew" in lost.value.text
        assert reader.run("with r.write(65536, 8) as v: v[0] = 5; out = v[0]") == 5, "a page that nobody had is fine"
        with pytest.raises(Ended) as ended:
            reader.run("out = int(a[140000])")
        assert ended.value.status == -signal.SIGBUS
        assert "Bus error" in ended.value.errors and "actor.py" in ended.value.errors, "the traceback of faulthandler"


def test_a_process_that_waits_for_a_page_of_a_node_that_is_killed_gets_sigbus(
    mortal: dsm.LocalCluster, name: str
) -> None:
    with Actor(mortal.socket(0)) as writer, Actor(mortal.socket(1)) as reader:
        writer.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__(); v[0] = 1", name=name)
        reader.run("r = client.open(name); a = r.ndarray()", name=name)
        reader.tell("out = int(a[0])")
        assert not reader.answered(0.1)
        mortal.kill_node(0)
        with pytest.raises(Ended) as ended:
            reader.answer()
        assert ended.value.status == -signal.SIGBUS


def test_a_scope_that_waits_for_a_page_of_a_node_that_is_killed_gets_page_lost(
    mortal: dsm.LocalCluster, name: str
) -> None:
    with Actor(mortal.socket(0)) as writer, Actor(mortal.socket(1)) as reader:
        writer.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__(); v[0] = 1", name=name)
        reader.run("r = client.open(name)", name=name)
        reader.tell("with r.read(0, 8) as v: out = v[0]")
        assert not reader.answered(0.1)
        mortal.kill_node(0)
        with pytest.raises(Failed) as lost:
            reader.answer()
        assert lost.value.kind == "PageLost"


def test_calls_after_the_end_of_the_node_daemon_raise_node_unavailable(mortal: dsm.LocalCluster, name: str) -> None:
    client = mortal.connect(0, scoped_only=True)
    region = client.create(name, "64KiB")
    mortal.kill_node(0)
    with pytest.raises(dsm.NodeUnavailable) as unavailable, region.read(0, 8):
        pass
    assert unavailable.value.remedy
    with pytest.raises(dsm.NodeUnavailable):
        client.list()
    region.close()
    client.close()


def test_a_node_that_comes_back_under_its_name_serves_again(mortal: dsm.LocalCluster, name: str) -> None:
    mortal.kill_node(1)
    mortal.restart_node(1)
    with mortal.connect(0, scoped_only=True) as one, mortal.connect(1, scoped_only=True) as two:
        region = one.create(name, "64KiB")
        with region.write(0, 1) as view:
            view[0] = 3
        with two.open(name).read(0, 1) as view:
            assert view[0] == 3


class Daemons:
    """A directory with a store on disk and one node, for what LocalCluster does not do: end the directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = str(path / "n.sock")
        self.running: list[subprocess.Popen[bytes]] = []
        self.port = "0"

    def start_directory(self, store: str) -> None:
        ready = self._start("directory", "--listen", f"127.0.0.1:{self.port}", "--store", store)
        self.port = ready.split('"address": "127.0.0.1:')[1].split('"')[0]

    def start_node(self) -> None:
        self._start("node", "--name", "n", "--directory", f"127.0.0.1:{self.port}", "--socket", self.socket)

    def end_directory(self, how: signal.Signals) -> None:
        self.running[0].send_signal(how)
        self.running.pop(0).wait(10)

    def _start(self, *command: str) -> str:
        with (self.path / "log").open("ab") as log:
            child = subprocess.Popen([sys.executable, "-m", "dsm", *command], stdout=subprocess.PIPE, stderr=log)
        self.running.insert(0 if command[0] == "directory" else len(self.running), child)
        assert child.stdout is not None
        with child.stdout as stdout:
            return stdout.readline().decode()

    def stop(self) -> None:
        for child in self.running:
            child.terminate()
        for child in self.running:
            child.wait(10)


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.stop()


def joined(client: dsm.Client) -> bool:
    return bool(client.status()["joined"])


def epoch(client: dsm.Client) -> int:
    return int(client.status()["epoch"])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_directory_that_starts_again_knows_the_regions_and_which_pages_are_lost(
    daemons: Daemons, tmp_path: Path, name: str, until: Until, how: signal.Signals
) -> None:
    store = str(tmp_path / "store")
    daemons.start_directory(store)
    daemons.start_node()
    with dsm.connect(daemons.socket, scoped_only=True) as client:
        until(lambda: joined(client))
        written, untouched = client.create(name, "256KiB"), client.create(f"{name}-untouched", "64KiB")
        with written.write(0, 8) as view:
            view[:] = b"precious"
        old = epoch(client)
        scope = written.read(0, 8)
        scope.__enter__()
        daemons.end_directory(how)
        until(lambda: not joined(client))
        with pytest.raises(dsm.SessionLost) as refused:
            client.create("x", "64KiB")
        assert refused.value.definite
        daemons.start_directory(store)
        until(lambda: joined(client) and epoch(client) > old)
        with pytest.raises(dsm.SessionLost):
            scope.__exit__(None, None, None)
        assert {info.name for info in client.list()} == {name, f"{name}-untouched"}
        with pytest.raises(dsm.PageLost), written.read(0, 8) as view:
            assert bytes(view) != bytes(8), "zeros instead of what was written"
        with untouched.read(0, 8) as view:
            assert bytes(view) == bytes(8)


def test_a_process_whose_region_is_forgotten_by_the_directory_gets_sigbus_and_errors(
    daemons: Daemons, name: str, until: Until
) -> None:
    daemons.start_directory(":memory:")
    daemons.start_node()
    with dsm.connect(daemons.socket, scoped_only=True) as client, Actor(daemons.socket) as process:
        until(lambda: joined(client))
        process.run("r = client.create(name, '256KiB'); a = r.ndarray(); a[0] = 7", name=name)
        cluster = client.status()["cluster"]
        daemons.end_directory(signal.SIGKILL)
        daemons.start_directory(":memory:")
        until(lambda: joined(client) and client.status()["cluster"] != cluster)
        with pytest.raises(Failed) as failed:
            process.run("with r.read(0, 8) as v: pass")
        assert failed.value.kind == "RegionNotFound"
        with pytest.raises(Ended) as ended:
            process.run("out = int(a[0])")
        assert ended.value.status == -signal.SIGBUS
        client.create(name, "64KiB").unlink()


def test_a_stopped_client_does_not_stop_others(start: Start, name: str) -> None:
    stopped, other = start(0), start(1)
    stopped.run("r = client.create(name, '64KiB'); a = r.ndarray(); a[0] = 1", name=name)
    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert other.run("r = client.open(name); a = r.ndarray(); a[0] += 1; out = int(a[0])", name=name) == 2
        assert time.monotonic() - began < 5
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    assert stopped.run("out = int(a[0])") == 2
