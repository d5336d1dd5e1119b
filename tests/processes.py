"""What a test asks about processes: do any belong to a directory, and do they end in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

DEADLINE_SECONDS = 20.0


def belonging_to(directory: str | Path) -> list[int]:
    """Processes, this one aside, whose command line names a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command_line = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if f"{directory}".encode() in command_line:
            found.append(int(process.name))
    return found


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds, and fail at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"in {DEADLINE_SECONDS:.0f} s it did not come about that {what}"
        time.sleep(0.05)


def nothing_is_left_of(directory: str | Path) -> None:
    """Wait until neither a process nor a file of a run directory is there."""
    eventually(lambda: not belonging_to(directory), f"no process of {directory} is left")
    eventually(lambda: not Path(directory).exists(), f"{directory} is removed")
