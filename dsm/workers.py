"""Worker processes that the commands of `dsm` start on this machine, one for each place where a program acts.

A worker is a `dsm` command as one would start it by hand; it tells what came of it in JSON on standard output, and what
went wrong on standard error. Who started it touches no shared memory itself and never waits longer than it was told to,
whatever happens to the workers: a process that waits for a page can be ended only from outside.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from dsm.errors import Unavailable

GRACE_SECONDS = 5.0
"""Workers have so much longer than their deadline to say which of them was late, and after the first failure."""

_POLL_SECONDS = 0.05
_LAST_WORDS_LINES = 12


class Workers:
    """Processes of the `dsm` commands given by their arguments. As a context manager it leaves none behind."""

    def __init__(self, commands: Iterable[Sequence[str]]) -> None:
        self._commands = [[sys.executable, "-m", "dsm", *command] for command in commands]
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        for command in self._commands:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            with process:  # closes its pipes and waits
                pass

    def wait(self, deadline: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Return when all have ended; soon after one has failed, or at the deadline, even if some have not."""
        while None in (ended := [process.poll() for process in self._processes]) and time.monotonic() < deadline:
            if any(ended):
                deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
            meanwhile()
            time.sleep(_POLL_SECONDS)

    def outcomes(self) -> list[dict[str, Any]]:
        """Return what every worker found. Those that still run are ended.

        Raises:
            Unavailable: a worker has failed. The text has the last words of all that did.
        """
        outcomes, failures, last = [], [], []
        for number, process in enumerate(self._processes, start=1):
            late = process.poll() is None
            process.kill()
            stdout, stderr = process.communicate()
            outcome = None if late else _decode(stdout)
            if outcome is not None:
                outcomes.append(outcome)
                continue
            failures.append(f"worker {number} " + ("was still running" if late else _ending(process.returncode)))
            last += [f"worker {number}: {line}" for line in stderr.splitlines()[-_LAST_WORDS_LINES:]]
        if failures:
            raise Unavailable(", ".join(failures), remedy="\n    ".join(["Last words:", *last]) if last else None)
        return outcomes


def _decode(stdout: str) -> dict[str, Any] | None:
    """The outcome that a worker printed; None if it printed none, or only that it failed."""
    try:
        outcome = json.loads(stdout)
    except ValueError:
        return None
    return outcome if isinstance(outcome, dict) and "error" not in outcome else None


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
