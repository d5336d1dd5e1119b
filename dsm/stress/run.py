"""Starts the workers of a stress run on this machine and waits for worker 1's report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dsm.stress.plan import Run
from dsm.workers import GRACE_SECONDS, Workers


def run_all(run: Run, sockets: Sequence[str], keep: Path | None = None) -> dict[str, Any]:
    """Start a worker on the node of each socket, all of a run, and return worker 1's report.

    A node that is to have several workers is named several times. With `keep`, worker 1 leaves the history of a round
    that was not well there.

    Raises:
        Unavailable: a worker has failed, or was still running when the time was over.
    """
    commands = [command(run, worker, socket, keep) for worker, socket in enumerate(sockets, start=1)]
    with Workers(commands) as workers:
        workers.wait(time.monotonic() + run.timeout + GRACE_SECONDS)
        return workers.outcomes()[0]


def command(run: Run, worker: int, socket: str, keep: Path | None) -> list[str]:
    """Return the arguments of `dsm` with which this worker of the run is started."""
    options: dict[str, object] = {
        "name": run.name,
        "worker": worker,
        "workers": run.workers,
        "socket": socket,
        "seconds": run.seconds,
        "seed": run.seed,
        "timeout": run.timeout,
    }
    if run.transfers_min is not None:
        options["transfers-min"] = run.transfers_min
    if keep is not None:
        options["keep"] = keep
    words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return ["stress", *words, *(["--torn"] if run.torn else []), "-o", "json"]
