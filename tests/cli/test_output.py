"""On a terminal there are colours and progress; anywhere else plain text."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsm.cli.output import duration, moment, printable
from dsm.cluster import LocalCluster

ESCAPE = "\x1b["


def on_a_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit status and screen of a command."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dsm", *arguments]
    settings = {"TERM": "xterm", "COLUMNS": "100"} | environment
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | settings)
    os.close(theirs)
    screen = b""
    try:
        while more := os.read(ours, 65536):
            screen += more
    except OSError:
        pass  # so Linux tells that the other side has closed the terminal
    finally:
        os.close(ours)
    return process.wait(), screen.decode()


def test_a_terminal_shows_a_table_in_bold(cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        client.create("[red]grid", size=1).close()
    status, screen = on_a_terminal("ls")
    assert status == 0
    assert "[red]grid" in screen and ESCAPE in screen


def test_no_color_is_obeyed(cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        client.create("grid", size=1).close()
    assert f"{ESCAPE}3" in on_a_terminal("doctor")[1]
    assert f"{ESCAPE}3" not in on_a_terminal("doctor", NO_COLOR="1")[1]
    assert f"{ESCAPE}3" not in on_a_terminal("ls", NO_COLOR="1")[1]


def test_a_terminal_shows_progress(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(bytes(8 << 20))
    status, screen = on_a_terminal("put", str(tmp_path / "in"), "file")
    assert status == 0
    assert "put file" in screen and "8.0/8.0 MiB" in screen
    assert "file: 8 MiB in " in screen


def test_ctrl_c_ends_a_command_quietly(cluster: LocalCluster) -> None:
    command = [sys.executable, "-m", "dsm", "put", "-", "file"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while "temporary" not in _opened_for(process.pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (130, "", "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "0.2 s"), (75, "1 min 15 s"), (3 * 3600 + 60, "3 h 1 min"), (90000, "1 d 1 h")]
)
def test_a_time_span_has_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_moment_is_in_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        assert moment(0.0) == "1970-01-01 02:00:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_control_characters_are_spelled_out() -> None:
    assert printable("a\x1b[2J\n\u202eé") == "a\\x1b[2J\\n\\u202eé"


def _opened_for(pid: int) -> str:
    """Says "temporary" once the process keeps standard input in a file, so it is in the middle of reading it."""
    found = []
    for file in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found.append(os.readlink(file))
    return "temporary" if any(name.endswith("(deleted)") for name in found) else ""
