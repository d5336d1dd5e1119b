"""`dsm stress` on real clusters, for a second or two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsm.cluster import LocalCluster
from dsm.errors import Unavailable
from dsm.stress.plan import Run
from dsm.stress.run import run_all

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
        "--worker", "1", "--workers", "2", "--name", "alone", "--timeout", "500ms", "--seed", "1", sockets=sockets[:1]
    )
    assert done.returncode == 1
    assert "worker 2 has not opened the region in round 1" in done.stderr
    assert time.monotonic() - began < TIMEOUT / 2


def test_a_node_that_is_not_there_fails_the_run(
    tmp_path: Path, sockets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsm.workers.GRACE_SECONDS", 0.2)
    wanted = Run("no-node", worker=1, workers=2, seed=1, seconds=0.5, torn=False, timeout=TIMEOUT)
    with pytest.raises(Unavailable, match=r"worker 2 failed with status 1(?s:.*)none\.sock"):
        run_all(wanted, [sockets[0], str(tmp_path / "none.sock")])


@pytest.mark.parametrize(
    "options",
    [("--worker", "1"), ("--workers", "2"), ("--worker", "3", "--workers", "2", "--seed", "1"), ("--seed", "-1")],
)
def test_wrong_use_is_status_2(options: tuple[str, ...]) -> None:
    assert stress(*options, sockets=[]).returncode == 2
