"""Starts the workers of a stress run on this machine and waits for worker 1's report."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsm.workers import GRACE_SECONDS, Workers


@dataclass(frozen=True)
class Order:
    """A run, as one asks for it. Times in seconds; `timeout` is for everything."""

    sockets: Sequence[str]
    """One for each worker: a node that has several of them is named several times."""
    seconds: float
    seed: int
    torn: bool
    timeout: float
    keep: Path | None = None
    """Where worker 1 leaves the history of a round that was not well."""

    def commands(self) -> list[list[str]]:
        """The commands of the workers, in their order."""
        name = f"stress-{secrets.token_hex(4)}"
        return [self._command(name, worker, socket) for worker, socket in enumerate(self.sockets, start=1)]

    def _command(self, name: str, worker: int, socket: str) -> list[str]:
        options = {
            "name": name,
            "worker": worker,
            "workers": len(self.sockets),
            "socket": socket,
            "seconds": self.seconds,
            "seed": self.seed,
            "timeout": self.timeout,
        }
        if self.keep is not None:
            options["keep"] = self.keep
        words = [word for option, value in options.items() for word in (f"--{option}", str(value))]
        return ["stress", *words, *(["--torn"] if self.torn else []), "-o", "json"]


def run(order: Order) -> dict[str, Any]:
    """Return worker 1's report.

    Raises:
        Unavailable: a worker has failed, or was still running when the time was over.
    """
    with Workers(order.commands()) as workers:
        workers.wait(time.monotonic() + order.timeout + GRACE_SECONDS)
        return workers.outcomes()[0]
