"""Runs the demo: a cluster on this machine, or nodes that run already, and a worker process for each of its nodes.

A worker is `dsm demo --worker I --workers N`, as one would start it by hand; it tells what came of it in JSON on
standard output, and what went wrong on standard error. This process touches no shared memory: it waits, and draws who
owns which page. It never waits longer than it was told to, whatever happens to the workers.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dsm.client import connect
from dsm.demo import words
from dsm.demo.picture import Display, Watch, node_names
from dsm.demo.worker import table_name
from dsm.errors import DsmError, Unavailable

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

GRACE_SECONDS = 5.0
"""Workers have so much longer than their deadline to say which of them was late, and after the first failure."""

_POLL_SECONDS = 0.05
_LAST_WORDS_LINES = 12


@dataclass(frozen=True)
class Report:
    """What came of a run. `workers` are the outcomes of the workers, in their order. Times in seconds."""

    words: int
    distinct: int
    equal: bool
    elapsed: float
    seconds: dict[str, float]
    table: dict[str, int]
    pages_moved: int
    bytes_moved: int
    workers: list[dict[str, Any]]

    @classmethod
    def of(cls, outcomes: list[dict[str, Any]], elapsed: float) -> Report:
        """Sum up. A phase takes as long as for the slowest worker."""
        phases = outcomes[0]["seconds"]
        return cls(
            words=outcomes[0]["words_all"],
            distinct=outcomes[0]["distinct"],
            equal=all(outcome["differing"] == 0 for outcome in outcomes),
            elapsed=elapsed,
            seconds={phase: max(outcome["seconds"][phase] for outcome in outcomes) for phase in phases},
            table=outcomes[0]["table"],
            pages_moved=sum(outcome["stats"]["pages_in"] for outcome in outcomes),
            bytes_moved=sum(outcome["stats"]["bytes_in"] for outcome in outcomes),
            workers=outcomes,
        )

    def as_map(self) -> dict[str, Any]:
        return asdict(self)


class Workers:
    """The worker processes, one for each socket. As a context manager it leaves none behind."""

    def __init__(self, sockets: Sequence[str], name: str, directory: Path | None, timeout: float) -> None:
        self._commands = [
            _command(number, len(sockets), socket, name, directory, timeout)
            for number, socket in enumerate(sockets, start=1)
        ]
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

    def wait(self, deadline: float, meanwhile: Callable[[], None]) -> None:
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


def run(sockets: Sequence[str], directory: Path | None, timeout: float, display: Display | None) -> Report:
    """Run the demo on nodes that run already, one worker for each, and return what came of it.

    Args:
        sockets: of the nodes' daemons, all on this machine.
        directory: of the corpus; by default the standard library.
        timeout: seconds for all of it.
        display: where to draw who owns which page; by default nowhere.

    Raises:
        InvalidArgument: the directory has no files.
        Unavailable: a worker has failed.
    """
    if directory is not None:
        words.corpus(directory)
    name = f"demo-{secrets.token_hex(4)}"
    began = time.monotonic()
    with connect(sockets[0], scoped_only=True) as client, Workers(sockets, name, directory, timeout) as workers:
        scene = Scene(client, name, display)
        workers.wait(began + timeout + GRACE_SECONDS, scene.look)
        elapsed = time.monotonic() - began
        scene.look(last=True)
        return Report.of(workers.outcomes(), elapsed)


class Scene:
    """Looks at the table from outside, as soon as there is one."""

    def __init__(self, client: Client, name: str, display: Display | None) -> None:
        self._client = client
        self._name = table_name(name)
        self._region: Region | None = None
        self._watch = None if display is None else Watch(display, node_names(client))

    def look(self, *, last: bool = False) -> None:
        """Draw the next picture, if it is time, or the last one."""
        if self._watch is None:
            return
        if self._region is None:
            with contextlib.suppress(DsmError):  # not there yet
                self._region = self._client.open(self._name, mode="r")
        if self._region is not None:
            self._watch(self._region, now=last)


def _command(number: int, workers: int, socket: str, name: str, directory: Path | None, timeout: float) -> list[str]:
    options = {"worker": number, "workers": workers, "socket": socket, "name": name, "timeout": timeout}
    if directory is not None:
        options["input"] = directory
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return [sys.executable, "-m", "dsm", "demo", *words, "-o", "json"]


def _decode(stdout: str) -> dict[str, Any] | None:
    """The outcome that a worker printed; None if it printed none."""
    try:
        outcome = json.loads(stdout)
    except ValueError:
        return None
    return outcome if isinstance(outcome, dict) and "stats" in outcome else None


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"failed with status {status}"
