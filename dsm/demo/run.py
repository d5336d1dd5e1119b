"""Runs the demo: a cluster on this machine, or nodes that run already, and a worker process for each of its nodes.

A worker is `dsm demo --worker I --workers N`, see `dsm.workers`. This process touches no shared memory: it waits, and
draws who owns which page.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.client import connect
from dsm.demo import words
from dsm.demo.picture import Display, Watch, node_names
from dsm.demo.worker import table_name
from dsm.errors import DsmError
from dsm.workers import GRACE_SECONDS, Workers

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region


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


def workers(sockets: Sequence[str], name: str, directory: Path | None, timeout: float) -> Workers:
    """Return the worker processes, one for each socket, not started yet."""
    return Workers(
        _command(number, len(sockets), socket, name, directory, timeout)
        for number, socket in enumerate(sockets, start=1)
    )


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
    with connect(sockets[0], scoped_only=True) as client, workers(sockets, name, directory, timeout) as crew:
        scene = Scene(client, name, display)
        crew.wait(began + timeout + GRACE_SECONDS, scene.look)
        elapsed = time.monotonic() - began
        scene.look(last=True)
        return Report.of(crew.outcomes(), elapsed)


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
    return ["demo", *words, "-o", "json"]
