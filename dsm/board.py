"""The board: a region of one page in which each worker of a program has a row that says how far it is.

Worker 1 makes it, the others open it as soon as it is there. A worker writes only its own row; whoever waits reads
them all, now and then. The region lives as long as worker 1, who therefore leaves last.

A program makes a class of its own with the row that it needs. Every row has a `stage`, which only grows, and `failed`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from dsm.errors import DeadlineExceeded, InvalidArgument, RegionNotFound, Unavailable

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

_PAGE_SIZE = "4KiB"
_POLL_SECONDS = 0.02


class Board:
    """The rows of all workers. Times are of time.monotonic()."""

    ROW: ClassVar[np.dtype[Any]]
    PROGRAM: ClassVar[str]
    """What the workers work on, for errors: "a demo"."""

    def __init__(self, region: Region, workers: int) -> None:
        if region.size != workers * self.ROW.itemsize:
            there = region.size // self.ROW.itemsize
            raise InvalidArgument(
                f"region {region.name!r} belongs to {self.PROGRAM} with {there} workers, not {workers}"
            )
        self._region = region

    @classmethod
    def create(cls, client: Client, name: str, workers: int) -> Self:
        region = client.create(name, workers * cls.ROW.itemsize, page_size=_PAGE_SIZE, lifetime="creator")
        return cls(region, workers)

    @classmethod
    def open(cls, client: Client, name: str, workers: int, deadline: float) -> Self:
        """Open the board when worker 1 has made it.

        Raises:
            DeadlineExceeded: it has not.
        """
        while True:
            try:
                return cls(client.open(name), workers)
            except RegionNotFound:
                if time.monotonic() > deadline:
                    raise DeadlineExceeded(f"worker 1 has not made region {name!r}") from None
            time.sleep(_POLL_SECONDS)

    def undone(self, stage: int) -> str:
        """What a worker has not done that has not reached the stage, after "worker 2 has not"."""
        return f"reached stage {stage}"

    def post(self, worker: int, **values: int) -> None:
        """Write into the row of a worker (1 or more)."""
        with self._region.write((worker - 1) * self.ROW.itemsize, self.ROW.itemsize) as view:
            _assign(np.frombuffer(view, self.ROW), values)

    def rows(self) -> NDArray[np.void]:
        """Return a copy of all rows."""
        with self._region.read() as view:
            return np.frombuffer(view, self.ROW).copy()

    def wait(self, stage: int, deadline: float, *, only_first: bool = False) -> NDArray[np.void]:
        """Return the rows when all workers, or the first, have reached a stage.

        Raises:
            Unavailable: a worker has failed.
            DeadlineExceeded: a worker is late.
        """
        while True:
            rows = self.rows()
            if rows["failed"].any():
                raise Unavailable(f"worker {_first(rows['failed'])} has failed", remedy="See what it wrote")
            late = rows["stage"][: 1 if only_first else None] < stage
            if not late.any():
                return rows
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"worker {_first(late)} has not {self.undone(stage)}")
            time.sleep(_POLL_SECONDS)


def _assign(rows: NDArray[np.void], values: dict[str, int]) -> None:
    for field, value in values.items():
        rows[field] = value


def _first(flags: NDArray[Any]) -> int:
    return int(np.flatnonzero(flags)[0]) + 1
