"""`dsm check` on a live cluster."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dsm.cluster import LocalCluster
from dsm.trace.records import CacheStepped, packer, read
from tests.cli.conftest import Command


def test_what_two_nodes_have_written_and_read_obeys_the_laws(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect(0, scoped_only=True) as one, cluster.connect(1, scoped_only=True) as other:
        region = one.create("grid", size="64KiB", page_size="4KiB")
        same = other.open("grid")
        for page in range(8):
            with region.write(page * 4096, 8) as view:
                view[0] = page
        with same.read(0, 5 * 4096):
            pass
        with same.write(4096, 4096):
            pass
        ran = command("check", "-o", "json")
        assert ran.status == 0, ran.out
        assert {name: ran.json[name] for name in ("ok", "violations", "stuck", "busy", "nodes")} == {
            "ok": True,
            "violations": 0,
            "stuck": 0,
            "busy": 0,
            "nodes": 2,
        }
        assert ran.json["regions"] == 1 and ran.json["judged"] == ran.json["pages"] >= 8


@pytest.mark.parametrize("within", ["1s", "10ms"])
def test_pages_that_move_all_the_time_break_no_law(command: Command, cluster: LocalCluster, within: str) -> None:
    stop = threading.Event()

    def write(node: int) -> None:
        with cluster.connect(node, scoped_only=True) as client, client.open("hot") as region:
            while not stop.is_set():
                with region.write(0, 4096) as view:
                    view[0] ^= 1

    with cluster.connect(0, scoped_only=True) as client:
        with client.create("hot", size="16KiB", page_size="4KiB", hold=0) as region, region.write(4096) as cold:
            cold[:] = bytes([7]) * len(cold)
        writers = [threading.Thread(target=write, args=(node,)) for node in (0, 1)]
        for writer in writers:
            writer.start()
        try:
            ran = command("check", "hot", "--timeout", within, "-o", "json")
        finally:
            stop.set()
            for writer in writers:
                writer.join()
    assert ran.status == 0, ran.out
    assert ran.json["busy"] <= 1 and ran.json["judged"] >= 3


def test_people_see_a_verdict(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect(0, scoped_only=True) as client:
        with client.create("seen", size="8KiB", page_size="4KiB") as region, region.write() as view:
            view[0] = 1
        ran = command("check", "--directory", cluster.directory_address)
        client.unlink("seen")
    assert ran.status == 0
    assert ran.out.splitlines()[-1] == "ok" and "judged      2" in ran.out


def test_a_cluster_without_a_region_is_not_called_good(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect(0, scoped_only=True) as client:
        for region in client.list():
            client.unlink(region.name)
    ran = command("check")
    assert (ran.status, ran.out.splitlines()[-1]) == (1, "nothing was judged")
    ran = command("check", "-o", "json")
    assert (ran.status, ran.json["judged"], ran.json["verdict"]) == (1, 0, "nothing was judged")


def test_a_region_that_is_not_there(command: Command, cluster: LocalCluster) -> None:
    ran = command("check", "nothing")
    assert ran.status == 1
    assert "'nothing'" in ran.err


def test_people_see_what_was_recorded(command: Command, tmp_path: Path) -> None:
    traces = tmp_path / "traces"
    with LocalCluster(nodes=1, trace=traces) as cluster, cluster.connect(0, scoped_only=True) as client:
        with client.create("grid", size="8KiB", page_size="4KiB") as region, region.write(0, 1) as view:
            view[0] = 1
        running = command("check", "--trace", traces)
        assert running.status == 0 and "node-node-0-1.trace has no end" in running.out
    ran = command("check", "--trace", traces)
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[0].split() == ["processes", "2"] and lines[-1] == "ok" and "has no end" not in ran.out


def test_traces_that_contradict_each_other_are_told_with_the_page_and_its_story(
    command: Command, tmp_path: Path
) -> None:
    with (
        LocalCluster(nodes=1, trace=tmp_path) as cluster,
        cluster.connect(0, scoped_only=True) as client,
        client.create("grid", size="8KiB", page_size="4KiB") as region,
        region.write(0, 1) as view,
    ):
        view[0] = 1
    drop_a_step(tmp_path / "node-node-0-1.trace")
    ran = command("check", "--trace", tmp_path)
    assert ran.status == 1
    assert "directory-1.trace, page 1/0: GetM(" in ran.out and "never said by node-node-0-1.trace" in ran.out
    assert "directory-1.trace: node 1: GetM(" in ran.out and ran.out.splitlines()[-1] == "drift"


def drop_a_step(path: Path) -> None:
    with path.open("rb") as file:
        records = list(read(file))
    records.remove(next(record for record in records if isinstance(record, CacheStepped)))
    path.write_bytes(b"".join(map(packer(), records)))


def test_traces_and_a_live_cluster_are_two_questions(command: Command, tmp_path: Path) -> None:
    assert command("check", "grid", "--trace", tmp_path).status == 2
    ran = command("check", "--trace", tmp_path)
    assert (ran.status, ran.out.splitlines()[-1]) == (1, "nothing was recorded")
