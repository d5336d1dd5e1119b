"""One daemon as a child process: started, awaited, signalled, reaped. What `dsm.cluster` is made of.

The child says on standard output that it serves, in one line of JSON, and nothing else. Its standard error goes to a
file, its log. Settings of the environment do not reach it, but for DSM_LOG_LEVEL: its command line is all there is.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from dsm.errors import Unavailable
from dsm.limits import START_SECONDS, STOP_SECONDS

PROGRAM = (sys.executable, "-m", "dsm")
"""What is started; the command and its options follow."""

_SETTINGS = ("DSM_CONFIG", "DSM_DIRECTORY", "DSM_NODE", "DSM_TRACE")  # and what begins so
_LAST_WORDS_LINES = 12
_READY_BYTES = 1 << 16


class Child:
    """One child process that says on standard output when it serves, and its log."""

    def __init__(self, name: str, command: list[str], log: Path, unavailable: type[Unavailable]) -> None:
        self.name = name
        self.ready: dict[str, Any] = {}
        self._command = [*PROGRAM, *command]
        self._log = log
        self._unavailable = unavailable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, or None before `launch`. Of one that has ended, the number it had."""
        return None if self._process is None else self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def launch(self, lifeline: int) -> None:
        """Start the process; `await_ready` waits for it. Its log goes on where an earlier one ended."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                pass_fds=[lifeline],
                start_new_session=True,
            )

    def await_ready(self, deadline: float) -> None:
        """Wait until it serves; `ready` is then what it said.

        Raises:
            Unavailable: it ended, or did not serve before `deadline` (time.monotonic). Its last words are in the text.
        """
        assert self._process is not None and self._process.stdout is not None, "launch() comes first"
        try:
            with self._process.stdout as stdout:
                self.ready = dict(json.loads(_read_line(stdout.fileno(), deadline)))
        except TimeoutError:
            raise self._failed(f"did not serve within {START_SECONDS:.0f} s") from None
        except (ValueError, TypeError):
            self.reap(time.monotonic() + STOP_SECONDS)  # it closed its standard output, so it is about to end
            raise self._failed(f"ended with status {self.exit_status} before it served") from None

    def signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # does nothing once it has ended

    def reap(self, deadline: float) -> None:
        """Wait until it has ended, and kill it at `deadline`."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def log(self) -> str:
        """What it wrote to standard error so far."""
        try:
            return self._log.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def last_words(self) -> str:
        """The end of its log, as the remedy of an error."""
        lines = self.log().splitlines()[-_LAST_WORDS_LINES:]
        return "\n    ".join(["Its last words were:", *lines]) if lines else "It wrote nothing"

    def _failed(self, how: str) -> Unavailable:
        return self._unavailable(f"{self.name} {how}", remedy=self.last_words(), definite=True)


def _read_line(fd: int, deadline: float) -> bytes:
    """Return one line, or what there is of it when the other side closes.

    Raises:
        TimeoutError: the deadline passed.
    """
    line = b""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while not line.endswith(b"\n"):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        more = os.read(fd, _READY_BYTES)
        if not more:
            break
        line += more
    return line
