"""A daemon ends when it is told, when it fails, and when nobody is left who wants it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsm.lifeline import sweep

DAEMON = """
import asyncio, logging, sys, threading
from pathlib import Path
from dsm import lifeline
logging.basicConfig(level="INFO")
behaviour, fd, directory = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
lifeline.STOP_SECONDS = 0.2

async def daemon(ready):
    ready({"ready": "test"})
    if behaviour == "fails":
        raise ValueError("on purpose")
    try:
        await asyncio.Event().wait()
    finally:
        if behaviour == "hangs":
            threading.Event().wait()
        print("cleaned up", file=sys.stderr, flush=True)

lifeline.run(daemon, lifeline=fd, run_directory=directory)
"""


class Daemon:
    """One process with a lifeline, and files in its run directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reading, self.writing = os.pipe()

    def start(self, behaviour: str = "serves") -> subprocess.Popen[str]:
        for name in ("a.log", "a.sock"):
            (self.directory / name).touch()
        process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, behaviour, str(self.reading), str(self.directory)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[self.reading],
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": "test"}
        return process

    def cut(self) -> None:
        os.close(self.writing)
        self.writing = -1

    def close(self) -> None:
        for end in (self.reading, self.writing):
            if end >= 0:
                os.close(end)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    (tmp_path / "run").mkdir()
    made = Daemon(tmp_path / "run")
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_daemon_well(daemon: Daemon, number: signal.Signals) -> None:
    process = daemon.start()
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"stops: {number.name}" in err
    assert "cleaned up" in err


def test_a_signal_leaves_the_run_directory_to_the_parent(daemon: Daemon) -> None:
    process = daemon.start()
    process.terminate()
    process.communicate(timeout=20)
    assert {path.name for path in daemon.directory.iterdir()} == {"a.log", "a.sock"}


def test_a_broken_lifeline_ends_a_daemon_and_sweeps(daemon: Daemon) -> None:
    process = daemon.start()
    daemon.cut()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "its lifeline is broken" in err
    assert "cleaned up" in err
    assert not daemon.directory.exists()


def test_a_lifeline_that_was_broken_before_the_start_ends_a_daemon(daemon: Daemon) -> None:
    daemon.cut()
    process = daemon.start()
    process.communicate(timeout=20)
    assert not daemon.directory.exists()


def test_a_daemon_that_hangs_ends_hard(daemon: Daemon) -> None:
    process = daemon.start("hangs")
    daemon.cut()
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "did not stop within 0.2 s" in err
    assert "cleaned up" not in err
    assert not daemon.directory.exists()


def test_a_daemon_that_fails_says_why(daemon: Daemon) -> None:
    process = daemon.start("fails")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "ValueError: on purpose" in err


def test_the_second_signal_does_not_interrupt_the_end(daemon: Daemon) -> None:
    process = daemon.start("hangs")
    process.terminate()
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 1


def test_sweeping_leaves_what_is_not_ours(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("node-0.log", "node-0.sock", "thesis.txt"):
        (run / name).touch()
    sweep(run)
    assert [path.name for path in run.iterdir()] == ["thesis.txt"]
    sweep(tmp_path / "not there")
