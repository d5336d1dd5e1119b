"""`dsm stress` on real clusters, for a second or two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dsm.client import connect
from dsm.cluster import LocalCluster
from dsm.errors import Unavailable
from dsm.stress.plan import Run
from dsm.stress.run import run_all
from dsm.stress.worker import Worker
from dsm.verify import check_linearizable
from tests.mutants.launcher import planted_in_daemons

TIMEOUT = 60.0
KEYS = {"operations", "violations", "transfers", "checker_seconds", "nodes", "seed", "verdict", "invalidations"}


@pytest.fixture(scope="module")
def sockets() -> Iterator[list[str]]:
    with LocalCluster(nodes=3) as cluster:
        yield [cluster.socket(node) for node in range(3)]


def stress(*arguments: str, sockets: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "dsm",
        "stress",
        *arguments,
        *(word for path in sockets for word in ("--socket", path)),
    ]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.mark.needs("userfaultfd")
def test_three_nodes_under_stress_are_coherent(sockets: list[str]) -> None:
    done = stress("--seconds", "2", "--seed", "11", "-o", "json", sockets=sockets)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert set(report) >= KEYS
    assert (report["verdict"], report["violations"], report["nodes"], report["seed"]) == ("ok", 0, 3, 11)
    assert report["checks"]["linearizable"] == {"ok": 1} and report["not_judged"] == []
    assert report["operations"] >= 200 and report["transfers"] > 20
    assert [check["check"].split(",")[0] for check in report["rounds"][0]["checks"]] == [
        "linearizable",
        "sequential consistency",
    ]


def test_scopes_alone_are_coherent_too_and_it_says_so(sockets: list[str]) -> None:
    done = stress("--seconds", "1", "--clients", "1", sockets=sockets, DSM_SCOPED_ONLY="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "node-1 has no userfaultfd" in done.stdout
    assert done.stdout.splitlines()[-1] == "ok"


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize("seed", ["0", "4"], ids=["8KiB", "128KiB"])
def test_no_page_is_torn_or_lost(sockets: list[str], seed: str) -> None:
    done = stress("--torn", "--seconds", "1", "--seed", seed, "-o", "json", sockets=sockets)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["verdict"], report["torn"]) == ("ok", True)
    assert report["transfers"] > 0


def test_too_few_transfers_fail_the_run(sockets: list[str]) -> None:
    options = ("--seconds", "300ms", "--clients", "1", "--transfers-min", "1000000", "-o", "json")
    done = stress(*options, sockets=sockets[:2])
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "too few operations or transfers"


def test_workers_started_one_by_one_meet_by_name(sockets: list[str]) -> None:
    options = ["--workers", "2", "--name", "met", "--seed", "1", "--seconds", "0.5", "-o", "json"]
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "dsm", "stress", *options, "--worker", number, "--socket", socket],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, socket in (("1", sockets[0]), ("2", sockets[1]))
    ]
    outputs = [worker.communicate(timeout=TIMEOUT)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert json.loads(outputs[0])["nodes"] == 2
    assert json.loads(outputs[1]) == {"worker": 2}


def test_a_worker_that_misses_the_others_gives_up_in_time(sockets: list[str]) -> None:
    began = time.monotonic()
    done = stress(
        *("--worker", "1", "--workers", "2", "--name", "alone", "--timeout", "500ms", "--seed", "1", "-o", "json"),
        sockets=sockets[:1],
    )
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "failed" and "worker 2 has not opened" in report["error"]
    assert "worker 2 has not opened the region in round 1" in done.stderr
    assert time.monotonic() - began < TIMEOUT / 2


def test_a_node_that_is_not_there_fails_the_run(
    tmp_path: Path, sockets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsm.workers.GRACE_SECONDS", 0.2)
    wanted = Run("no-node", worker=1, workers=2, seed=1, seconds=0.5, torn=False, timeout=TIMEOUT)
    with pytest.raises(Unavailable, match=r"worker 2 failed with status 1(?s:.*)none\.sock"):
        run_all(wanted, [sockets[0], str(tmp_path / "none.sock")])


def test_a_run_that_has_no_time_says_so_in_json_too(sockets: list[str]) -> None:
    done = stress("--seconds", "1", "--timeout", "10ms", "-o", "json", sockets=sockets)
    assert done.returncode == 1
    assert json.loads(done.stdout)["verdict"] == "failed"
    assert done.stderr


def alone(sockets: list[str], seconds: float = 0.2) -> dict[str, Any]:
    """What a run of one worker, which is this process, comes to."""
    run = Run(f"alone-{seconds}", worker=1, workers=1, seed=1, seconds=seconds, torn=False, timeout=TIMEOUT)
    with connect(sockets[0], scoped_only=True) as client:
        return Worker(client, run).run().as_map()


def test_a_check_that_runs_out_of_time_fails_the_run(sockets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.stress.judge.check_linearizable", partial(check_linearizable, seconds_max=1e-9))
    report = alone(sockets)
    assert (report["verdict"], report["checks"]["linearizable"]) == ("timeout", {"timeout": 1})


def test_too_few_operations_fail_the_run(sockets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert alone(sockets)["verdict"] == "ok"
    monkeypatch.setattr("dsm.stress.plan.OPERATIONS_PER_SECOND_MIN", 1_000_000_000)
    assert alone(sockets)["verdict"] == "too few operations or transfers"


PROTECT = "                    attachment.protect(index)\n            case Retain"
CAME = "            self.stats.pages_in += 1\n"
CUT = "            self.segment.write(index * size + size - 8, bytes(8))\n"


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize(
    ("options", "old", "new"),
    [((), PROTECT, PROTECT.replace("attachment.protect(index)", "pass")), (("--torn",), CAME, CUT + CAME)],
    ids=["a writer goes on while others read", "a page comes without its last word"],
)
def test_a_cluster_with_a_fault_fails_the_run(options: tuple[str, ...], old: str, new: str) -> None:
    with planted_in_daemons("dsm.node.region", old, new), LocalCluster(nodes=2) as cluster:
        done = stress("--seconds", "2", *options, "-o", "json", sockets=[cluster.socket(0), cluster.socket(1)])
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "violation" and report["violations"] > 0 and report["found"]


@pytest.mark.parametrize(
    "options",
    [("--worker", "1"), ("--workers", "2"), ("--worker", "3", "--workers", "2", "--seed", "1"), ("--seed", "-1")],
)
def test_wrong_use_is_status_2(options: tuple[str, ...]) -> None:
    assert stress(*options, sockets=[]).returncode == 2
