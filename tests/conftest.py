"""What every test gets: its needs checked first, and a run that leaves no process and no socket behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.needs import require

LEAVE_TIMEOUT = 10.0
"""Seconds for the last daemons to end by themselves: some notice only by a closed pipe that they are not wanted."""


def pytest_configure() -> None:
    """Let Ctrl-C mean what it does on a terminal: a shell starts what it runs in the background with SIGINT ignored,
    and so would be every process that a test starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail before any fixture starts what cannot work here."""
    for mark in item.iter_markers("needs"):
        require(*mark.args)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail the run if a process started by it, or a socket in its temporary directory, outlives it."""
    tmp_path_factory.getbasetemp()  # settle pytest's own directory before the default one changes
    mark = f"DSM_TEST_RUN={os.getpid()}"
    # Short, because a Unix socket's path has at most 107 bytes.
    directory = tempfile.mkdtemp(prefix="dsm-tests-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*mark.split("="))
        patch.setenv("TMPDIR", directory)
        patch.setattr(tempfile, "tempdir", directory)
        yield
    deadline = time.monotonic() + LEAVE_TIMEOUT
    while (left := [*_processes(mark), *_sockets(directory)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    shutil.rmtree(directory)
    assert not left, "left behind by this run:\n" + "\n".join(left)


def _processes(mark: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes().split(b"\0") and process.name != str(os.getpid()):
                yield f"process {process.name}: {(process / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # somebody else's, or gone in the meantime


def _sockets(directory: str) -> Iterator[str]:
    return (f"socket {path}" for path in Path(directory).rglob("*") if path.is_socket())
