"""What the daemons of a real cluster record is what the core would have done."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dsm
from dsm.trace.files import traces
from dsm.trace.records import CacheStepped, HomeStepped, Record
from tests.integration.conftest import Until

PAGE = 4096


def check(directory: Path) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "dsm", "check", "--trace", str(directory), "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_cluster_under_load_does_what_the_core_says(tmp_path: Path, until: Until) -> None:
    """Writers and readers on all nodes, more pages than fit, a region that goes, a node that leaves and comes back."""
    with (
        dsm.LocalCluster(nodes=3, memory_limit=40 * PAGE, trace=tmp_path) as cluster,
        cluster.connect(0, scoped_only=True) as client,
    ):
        shared = client.create("shared", 16 * PAGE, page_size=PAGE)
        gone = client.create("gone", 8 * PAGE, page_size=PAGE)
        with gone.write() as view:
            view[:] = b"g" * len(view)
        workers = [threading.Thread(target=work, args=(cluster, node)) for node in (0, 0, 1, 2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        with shared.read(0, 8) as view:
            assert int.from_bytes(view, "little") == 4 * ROUNDS
        gone.unlink()
        gone.close()
        cluster.restart_node(2)
        read_more_than_fits(cluster, client)
        until(lambda: client.status()["joined"])
    status, report = check(tmp_path)
    assert (status, report["verdict"], report["drifts"]) == (0, "ok", 0), report
    assert (report["processes"], report["sessions"], report["one_sided"], report["cut_short"]) == (5, 4, 0, [])
    assert report["steps"] > 500 and report["matched"] > 500 and report["beyond"] == 0
    kinds = {type(_cause(record)).__name__ for _, records in traces(str(tmp_path)) for record in records}
    assert {"GetS", "GetM", "Fetch", "Inv", "Data", "Ack", "Grant", "Done", "Release", "Pinned", "Unpinned"} <= kinds
    assert {"EvictionChosen", "SessionEnded"} <= kinds


ROUNDS = 30


def work(cluster: dsm.LocalCluster, node: int) -> None:
    """Count in page 0, write to the others, read them all."""
    with cluster.connect(node, scoped_only=True) as client, client.open("shared") as region:
        for number in range(ROUNDS):
            with region.write(0, 8) as view:
                view[:] = (int.from_bytes(view, "little") + 1).to_bytes(8, "little")
            with region.write((1 + number % 15) * PAGE, 1) as view:
                view[0] = number
            with region.read():
                pass


def read_more_than_fits(cluster: dsm.LocalCluster, writer: Any) -> None:
    """Node 0 has its share; node 1 reads pages of it beyond its own limit."""
    with cluster.connect(1, scoped_only=True) as client:
        large = writer.create("large", 20 * PAGE, page_size=PAGE)
        own = client.create("own", 22 * PAGE, page_size=PAGE)
        for region in (large, own):
            with region.write() as view:
                view[:] = b"x" * len(view)
        same = client.open("large")
        for page in [*range(20)] * 2:
            with same.read(page * PAGE, PAGE) as view:
                assert bytes(view) == b"x" * PAGE


def test_a_node_that_is_killed_leaves_a_trace_without_an_end(tmp_path: Path) -> None:
    with dsm.LocalCluster(nodes=2, trace=tmp_path) as cluster, cluster.connect(1, scoped_only=True) as client:
        region = client.create("a", 8 * PAGE, page_size=PAGE)
        with region.write() as view:
            view[0] = 1
        cluster.kill_node(1)
    status, report = check(tmp_path)
    assert (status, report["verdict"], report["cut_short"]) == (0, "ok", ["node-node-1-1.trace"]), report
    assert report["matched"] > 8


def test_without_a_trace_nothing_is_judged(tmp_path: Path) -> None:
    status, report = check(tmp_path)
    assert (status, report["verdict"]) == (1, "nothing was recorded")


def _cause(record: Record) -> object:
    match record:
        case HomeStepped():
            return record.message
        case CacheStepped():
            return getattr(record.event, "message", record.event)
    return None
