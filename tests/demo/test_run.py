"""The demo from end to end: as `dsm demo`, as single workers, and when something goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsm.demo import run as demo_run
from dsm.demo import words
from dsm.demo.picture import Plain
from dsm.errors import InvalidArgument, Unavailable
from tests.demo.conftest import write_corpus

TIMEOUT = 60.0

Demo = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def demo() -> Demo:
    """Run `dsm demo` in a process of its own."""

    def demo(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dsm", "demo", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, env=os.environ | environment, check=False
        )

    return demo


def start_worker(number: int, socket: str, name: str, directory: Path) -> subprocess.Popen[str]:
    options = ["--worker", str(number), "--workers", "2", "--socket", socket, "--name", name, "--input", str(directory)]
    return subprocess.Popen([sys.executable, "-m", "dsm", "demo", *options], stdout=subprocess.PIPE, text=True)


def test_three_nodes_count_a_corpus_and_agree_with_one_process(demo: Demo, corpus: Path) -> None:
    done = demo("--input", corpus, "-o", "json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    expected = words.count(words.corpus(corpus))
    assert report["equal"] is True
    assert (report["words"], report["distinct"]) == (expected.total(), len(expected))
    assert sum(worker["words"] for worker in report["workers"]) == expected.total()
    assert [worker["node"] for worker in report["workers"]] == ["node-0", "node-1", "node-2"]
    assert report["pages_moved"] > 0
    assert report["bytes_moved"] >= report["pages_moved"] * 4096
    assert set(report["seconds"]) == {"count", "merge", "read"}


def test_people_get_a_picture_and_a_verdict(demo: Demo, corpus: Path, sockets: list[str]) -> None:
    done = demo("--input", corpus, "--socket", sockets[0], "--socket", sockets[1])
    assert done.returncode == 0, done.stderr
    assert "A=node-0  B=node-1" in done.stdout
    assert "READ FAULTS" in done.stdout
    for node in ("node-0", "node-1"):
        assert f"{node}: the table equals the count of one process" in done.stdout


@pytest.mark.needs("userfaultfd")
def test_nodes_with_userfaultfd_read_the_table_transparently(corpus: Path, sockets: list[str]) -> None:
    report = demo_run.run(sockets, corpus, TIMEOUT, None)
    assert {worker["access"] for worker in report.workers} == {"transparent-full"}
    faults = [worker["stats"]["latency"]["read"] for worker in report.workers]
    assert any(kind["count"] and 0 < kind["p50"] <= kind["p99"] for kind in faults)


def test_without_userfaultfd_it_reads_in_scopes_and_says_so(demo: Demo, corpus: Path, sockets: list[str]) -> None:
    done = demo("--input", corpus, "--socket", sockets[0], "--socket", sockets[1], DSM_SCOPED_ONLY="1")
    assert done.returncode == 0, done.stderr
    assert "node-1 has no userfaultfd and read the table in a scope" in done.stdout
    assert "node-1: the table equals the count of one process" in done.stdout


def test_a_word_too_many_is_found_by_every_node_that_does_not_expect_it(
    tmp_path: Path, corpus: Path, sockets: list[str]
) -> None:
    other = write_corpus(tmp_path)
    with (other / "1.txt").open("a") as file:
        file.write(" planted same")
    workers = [start_worker(1, sockets[0], "planted", corpus), start_worker(2, sockets[1], "planted", other)]
    outputs = [worker.communicate(timeout=TIMEOUT)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [1, 0]
    assert "node-0: 2 words differ" in outputs[0]
    assert "planted: 1 in the table, 0 in the corpus" in outputs[0]
    assert "same: 8 in the table, 7 in the corpus" in outputs[0]
    assert "node-1: the table equals the count of one process" in outputs[1]


def test_the_report_tells_a_difference_on_any_node() -> None:
    def outcome(differing: int) -> dict[str, Any]:
        stats = {"pages_in": 2, "bytes_in": 8192}
        seconds = {"count": 1.0 + differing, "merge": 3.0 - differing}
        same = {"words_all": 9, "distinct": 5, "table": {"slots": 64}, "stats": stats}
        return {"differing": differing, "seconds": seconds, **same}

    assert demo_run.Report.of([outcome(0), outcome(0)], 4.0).equal
    report = demo_run.Report.of([outcome(0), outcome(1)], 4.0)
    assert not report.equal
    assert report.seconds == {"count": 2.0, "merge": 3.0}
    assert (report.pages_moved, report.bytes_moved) == (4, 16384)


def test_a_worker_whose_node_is_gone_ends_the_demo_with_its_words(
    corpus: Path, sockets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsm.workers.GRACE_SECONDS", 0.2)
    monkeypatch.setattr(demo_run, "GRACE_SECONDS", 0.2)
    began = time.monotonic()
    with pytest.raises(Unavailable, match=r"worker 2 failed with status 1(?s:.*)worker 2: .*nobody"):
        demo_run.run([sockets[0], "/nonexistent/nobody.sock"], corpus, TIMEOUT, Plain(lambda _: None))
    assert time.monotonic() - began < TIMEOUT / 2


def test_a_worker_that_is_killed_is_reported(corpus: Path, sockets: list[str]) -> None:
    with demo_run.workers(sockets, "killed", corpus, TIMEOUT) as workers:
        workers._processes[1].kill()
        with pytest.raises(Unavailable, match="worker 2 was ended by SIGKILL"):
            workers.outcomes()


def test_a_worker_alone_gives_up_in_time_and_says_whom_it_missed(demo: Demo, corpus: Path, sockets: list[str]) -> None:
    options = ("--worker", "1", "--workers", "2", "--socket", sockets[0], "--name", "alone", "--timeout", "300ms")
    done = demo(*options, "--input", corpus)
    assert done.returncode == 1
    assert "worker 2 has not counted its words" in done.stderr


def test_a_directory_without_files_is_told_before_anything_starts(tmp_path: Path, sockets: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="there are no files"):
        demo_run.run(sockets, tmp_path, TIMEOUT, None)


@pytest.mark.parametrize(
    "options",
    [
        ("--worker", "1"),
        ("--workers", "2"),
        ("--worker", "3", "--workers", "2"),
        ("--worker", "1", "--workers", "2", "--socket", "a", "--socket", "b"),
        ("--input", "/nonexistent"),
    ],
)
def test_wrong_use_is_status_2(demo: Demo, options: tuple[str, ...]) -> None:
    assert demo(*options).returncode == 2
