"""`dsm up`, `dsm directory` and `dsm node` as processes: they say that they serve, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.processes import belonging_to, eventually, nothing_is_left_of


@contextmanager
def dsm(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dsm", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_document(process: subprocess.Popen[str]) -> Any:
    """The JSON document that it prints first; indented, so it ends with a brace alone."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.rstrip() == "}" or len(lines) == line.count("}"):
            return json.loads("".join(lines))
    raise AssertionError(process.communicate()[1])


@contextmanager
def up() -> Iterator[tuple[subprocess.Popen[str], dict[str, Any], str]]:
    with dsm("up", "--nodes", "2", "-o", "json") as process:
        cluster = first_document(process)
        yield process, cluster, os.path.dirname(cluster["nodes"][0]["socket"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_cluster_and_leaves_nothing(number: signal.Signals) -> None:
    with up() as (process, _, run_directory):
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
        assert (process.returncode, err.strip()) == (0, "")
        assert not belonging_to(run_directory)
        assert not Path(run_directory).exists()


def test_a_killed_cluster_leaves_nothing() -> None:
    with up() as (process, _, run_directory):
        process.kill()
        process.wait()
        nothing_is_left_of(run_directory)


def test_ctrl_c_in_a_background_job_ends_the_cluster() -> None:
    """A shell without job control starts background jobs with SIGINT ignored."""
    command = [sys.executable, "-m", "dsm", "up", "--nodes", "1", "-o", "json"]
    shell = subprocess.Popen(
        ["sh", "-c", '"$@" & wait', "sh", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    run_directory = os.path.dirname(first_document(shell)["nodes"][0]["socket"])
    (job,) = map(int, children_of(shell.pid))
    os.kill(job, signal.SIGINT)
    shell.communicate(timeout=20)
    nothing_is_left_of(run_directory)


def test_up_tells_how_to_connect() -> None:
    with dsm("up", "--nodes", "1") as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(6)]
        name, path = lines[1].split()
        assert name == "node-0"
        assert f"    export DSM_NODE={path}\n" in lines
        done = subprocess.run(
            [sys.executable, "-m", "dsm", "status"],
            env=os.environ | {"DSM_NODE": path},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0
        process.terminate()
        process.communicate(timeout=20)


def test_up_tells_of_a_node_that_ends_and_ends_with_the_directory() -> None:
    with up() as (process, cluster, run_directory):
        assert process.stderr is not None
        os.kill(cluster["nodes"][1]["pid"], signal.SIGKILL)
        assert process.stderr.readline() == "dsm: node-1 has ended with status -9\n"
        (directory,) = [pid for pid in belonging_to(run_directory) if "directory" in command_line(pid)[3]]
        os.kill(directory, signal.SIGKILL)
        _, err = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "dsm: the directory has ended with status -9" in err
        nothing_is_left_of(run_directory)


def test_up_with_a_port_that_is_taken_says_so(taken: str) -> None:
    with dsm("up", "--listen", taken) as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"cannot listen on {taken}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("daemon", [["directory"], ["node", "--socket"]], ids=["directory", "node"])
def test_a_daemon_with_a_port_that_is_taken_says_so(daemon: list[str], taken: str, tmp_path: Path) -> None:
    path = [str(tmp_path / "n.sock")] if "--socket" in daemon else []
    with dsm(*daemon, *path, "--listen", taken) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")  # the argument --listen has to be another one
    assert f"cannot listen on {taken}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_daemons_say_when_they_serve_and_end_well(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "deep" / "n.sock"
    with dsm("directory", "--listen", "127.0.0.1:0", "--store", str(tmp_path / "store.db")) as directory:
        told = first_document(directory)
        assert told["ready"] == "directory"
        with dsm("node", "--name", "a", "--directory", told["address"], "--socket", str(path)) as node:
            told = first_document(node)
            assert {"ready", "name", "socket", "grpc", "pages"} == set(told)
            assert (told["ready"], told["name"], told["socket"]) == ("node", "a", str(path))
            assert path.is_socket()
            for daemon in (node, directory):
                daemon.send_signal(number)
                out, err = daemon.communicate(timeout=20)
                assert (daemon.returncode, out) == (0, "")
                assert "Traceback" not in err
    assert not path.exists()


def test_a_second_daemon_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    path = str(tmp_path / "n.sock")
    with dsm("node", "--socket", path) as first:
        first_document(first)
        with dsm("node", "--socket", path) as second:
            _, err = second.communicate(timeout=20)
            assert second.returncode == 1
            assert path in err and "Traceback" not in err
        assert Path(path).is_socket()


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def children_of(pid: int) -> list[str]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    eventually(lambda: children.read_text().strip(), f"{pid} has a child")
    return children.read_text().split()


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
