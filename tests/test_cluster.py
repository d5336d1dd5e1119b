"""A local cluster: what it starts works, and nothing of it is left, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsm.cluster import LocalCluster
from dsm.errors import DirectoryUnavailable, InvalidArgument, NodeUnavailable
from dsm.limits import LOCAL_NODES_MAX
from tests.processes import belonging_to, eventually, nothing_is_left_of

PARENT = """
import sys, time
from dsm.cluster import LocalCluster
cluster = LocalCluster(nodes=2).start()
{then}
print(cluster.run_directory, flush=True)
time.sleep(1000)
"""


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2) as running:
        yield running


def read_on(cluster: LocalCluster, node: int, name: str) -> int:
    with cluster.connect(node, scoped_only=True) as client, client.open(name) as region, region.read(0, 1) as view:
        return view[0]


def write_on(cluster: LocalCluster, node: int, name: str, value: int) -> None:
    with cluster.connect(node, scoped_only=True) as client:
        region = client.open_or_create(name, size=1)
        with region.write(0, 1) as view:
            view[0] = value


def test_what_one_node_writes_another_reads(cluster: LocalCluster) -> None:
    write_on(cluster, 0, "byte", 7)
    assert read_on(cluster, 1, "byte") == 7


def test_nothing_is_left_after_the_block() -> None:
    with LocalCluster(nodes=2) as cluster:
        run_directory = cluster.run_directory
        assert len(belonging_to(run_directory)) == 3
        assert run_directory.stat().st_mode & 0o777 == 0o700
        assert {path.suffix for path in run_directory.iterdir()} == {".log", ".sock"}
    assert not belonging_to(run_directory)
    assert not run_directory.exists()


def test_it_can_be_started_and_stopped_again() -> None:
    cluster = LocalCluster(nodes=1)
    cluster.start()
    first = cluster.run_directory
    cluster.start()
    assert cluster.run_directory == first
    cluster.stop()
    cluster.stop()
    with cluster:
        assert cluster.run_directory != first
        write_on(cluster, 0, "byte", 1)


def test_an_exception_in_the_block_ends_it_too() -> None:
    cluster = LocalCluster(nodes=1)
    seen = []
    with pytest.raises(InvalidArgument), cluster:  # noqa: PT012  # what is tested is the end of the inner block
        seen.append(cluster.run_directory)
        cluster.socket(5)
    assert not seen[0].exists()


def test_a_node_can_be_added(cluster: LocalCluster) -> None:
    write_on(cluster, 0, "byte", 7)
    assert cluster.add_node() == 2
    assert len(cluster) == 3
    assert read_on(cluster, 2, "byte") == 7


def test_a_stopped_node_removes_its_socket_and_can_be_restarted(cluster: LocalCluster) -> None:
    cluster.stop_node(1)
    assert not Path(cluster.socket(1)).exists()
    assert cluster.nodes[1].exit_status == 0
    with pytest.raises(NodeUnavailable):
        cluster.connect(1)
    cluster.restart_node(1)
    write_on(cluster, 1, "byte", 3)


def test_a_killed_node_can_be_restarted_over_its_stale_socket(cluster: LocalCluster) -> None:
    cluster.kill_node(1)
    assert Path(cluster.socket(1)).exists()
    assert cluster.nodes[1].exit_status == -signal.SIGKILL
    cluster.restart_node(1)
    write_on(cluster, 1, "byte", 3)


def test_a_node_that_runs_can_be_restarted(cluster: LocalCluster) -> None:
    before = cluster.nodes[1].pid
    cluster.restart_node(1)
    assert cluster.nodes[1].pid != before
    write_on(cluster, 1, "byte", 3)


def test_killed_nodes_leave_nothing_in_the_end() -> None:
    with LocalCluster(nodes=2) as cluster:
        run_directory = cluster.run_directory
        cluster.kill_node(0)
        cluster.nodes[1].signal(signal.SIGSTOP)  # and this one cannot hear that it should end
    nothing_is_left_of(run_directory)


def test_logs_are_kept_while_it_runs(cluster: LocalCluster) -> None:
    assert "directory at 127.0.0.1" in cluster.logs()
    cluster.stop_node(0)
    assert "stops: SIGTERM" in cluster.logs(0)


def test_settings_from_outside_do_not_reach_the_daemons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("nonsense")
    monkeypatch.setenv("DSM_CONFIG", str(tmp_path / "bad.toml"))
    monkeypatch.setenv("DSM_NODE", "/elsewhere.sock")
    monkeypatch.setenv("DSM_NODE_ADVERTISE", "elsewhere")
    with LocalCluster(nodes=1) as cluster:
        assert cluster.nodes[0].ready["grpc"].startswith("127.0.0.1:")


def test_nodes_share_the_memory_that_one_would_take(cluster: LocalCluster) -> None:
    with cluster.connect(0) as client:
        half = client.status()["memory"]["limit"]
    with LocalCluster(nodes=1) as alone, alone.connect(0) as client:
        assert client.status()["memory"]["limit"] == pytest.approx(2 * half, abs=2)


def test_a_memory_limit_reaches_the_nodes() -> None:
    with LocalCluster(nodes=1, memory_limit="64MiB") as cluster, cluster.connect(0) as client:
        assert client.status()["memory"]["limit"] == 64 << 20


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        cluster = LocalCluster(nodes=1, listen=address)
        with pytest.raises(DirectoryUnavailable, match=f"cannot listen on {address}") as caught:
            cluster.start()
    assert "ended with status 2 before it served" in caught.value.message
    with pytest.raises(DirectoryUnavailable, match="does not run"):
        _ = cluster.directory_address


def test_a_daemon_that_never_serves_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.child.START_SECONDS", 0.0)
    monkeypatch.setattr("dsm.cluster.START_SECONDS", 0.0)
    with pytest.raises(DirectoryUnavailable, match="did not serve within 0 s"):
        LocalCluster(nodes=1).start()


def test_wrong_use_is_refused(cluster: LocalCluster) -> None:
    with pytest.raises(InvalidArgument, match="no node 2 among the 2"):
        cluster.socket(2)
    with pytest.raises(InvalidArgument, match="no node -1"):
        cluster.kill_node(-1)
    with pytest.raises(InvalidArgument, match="0 to"):
        LocalCluster(nodes=LOCAL_NODES_MAX + 1)
    with pytest.raises(InvalidArgument, match="memory_limit"):
        LocalCluster(memory_limit="much")
    with pytest.raises(NodeUnavailable, match="does not run"):
        LocalCluster().connect(0)


def test_a_long_temporary_directory_does_not_break_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with LocalCluster(nodes=1) as cluster:
        write_on(cluster, 0, "byte", 1)


@pytest.mark.parametrize(
    "then",
    [
        "",
        "cluster.kill_node(0)",
        "import multiprocessing; multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,)).start()",
    ],
    ids=["running", "with a killed node", "with a forked child that lives on"],
)
def test_nothing_is_left_after_the_parent_is_killed(then: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(then=then)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    run_directory = parent.stdout.readline().strip()
    try:
        assert len(belonging_to(run_directory)) >= 2
        parent.kill()
        parent.wait()
        nothing_is_left_of(run_directory)
    finally:
        os.killpg(parent.pid, signal.SIGKILL) if "fork" in then else None
        parent.stdout.close()


def test_nothing_is_left_after_the_parent_is_killed_while_it_starts() -> None:
    before = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("dsm-*"))
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(then="")], stdout=subprocess.DEVNULL)
    made: set[Path] = set()

    def daemons_start() -> bool:
        made.update(set(Path(os.environ.get("TMPDIR", "/tmp")).glob("dsm-*")) - before)
        return any(belonging_to(path) for path in made)

    eventually(daemons_start, "the first daemon is launched")
    parent.kill()
    parent.wait()
    for path in made:
        nothing_is_left_of(path)


def test_a_forked_child_leaves_the_cluster_alone(cluster: LocalCluster) -> None:
    child = os.fork()
    if child == 0:
        try:
            cluster.stop()
            cluster.kill_node(0)
        except NodeUnavailable as error:
            os._exit(0 if "not children of this process" in error.message else 2)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    write_on(cluster, 0, "byte", 1)


@pytest.mark.parametrize("nodes", [True, 2.0, "3", None, -1, LOCAL_NODES_MAX + 1])
def test_a_number_of_nodes_that_is_none_is_refused(nodes: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"has 0 to \d+ nodes, not .*Give a whole number"):
        LocalCluster(nodes=nodes)


@pytest.mark.parametrize("limit", [0, -1, "0", "-2GiB"])
def test_a_memory_limit_without_memory_is_refused(limit: int | str) -> None:
    with pytest.raises(InvalidArgument, match=r"memory_limit is .*Give a size above 0"):
        LocalCluster(memory_limit=limit)
