"""The board: a region of one page in which each worker has a row that says how far it is.

Worker 1 makes it, the others open it as soon as it is there. A worker writes only its own row; whoever waits reads
them all, now and then. The region lives as long as worker 1, who therefore leaves last.
"""

from __future__ import annotations

import time
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsm.errors import DeadlineExceeded, InvalidArgument, RegionNotFound, Unavailable

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

ROW = np.dtype([("stage", "<u4"), ("failed", "<u4"), ("words", "<u8"), ("distinct", "<u8")])

_PAGE_SIZE = "4KiB"
_POLL_SECONDS = 0.02


class Stage(IntEnum):
    """What a worker has done."""

    BEGUN = 0
    COUNTED = 1
    OPENED = 2
    MERGED = 3
    COMPARED = 4


_UNDONE = {
    Stage.COUNTED: "counted its words",
    Stage.OPENED: "opened the table",
    Stage.MERGED: "merged its words",
    Stage.COMPARED: "compared the table",
}


class Board:
    """The rows of all workers. Times are of time.monotonic()."""

    def __init__(self, region: Region, workers: int) -> None:
        if region.size != workers * ROW.itemsize:
            there = region.size // ROW.itemsize
            raise InvalidArgument(f"region {region.name!r} belongs to a demo with {there} workers, not {workers}")
        self._region = region

    @classmethod
    def create(cls, client: Client, name: str, workers: int) -> Board:
        region = client.create(name, workers * ROW.itemsize, page_size=_PAGE_SIZE, lifetime="creator")
        return cls(region, workers)

    @classmethod
    def open(cls, client: Client, name: str, workers: int, deadline: float) -> Board:
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

    def post(self, worker: int, **values: int) -> None:
        """Write into the row of a worker (1 or more)."""
        with self._region.write((worker - 1) * ROW.itemsize, ROW.itemsize) as view:
            _assign(np.frombuffer(view, ROW), values)

    def rows(self) -> NDArray[np.void]:
        """Return a copy of all rows."""
        with self._region.read() as view:
            return np.frombuffer(view, ROW).copy()

    def wait(self, stage: Stage, deadline: float, *, only_first: bool = False) -> NDArray[np.void]:
        """Return the rows when all workers, or the first, have done this.

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
                raise DeadlineExceeded(f"worker {_first(late)} has not {_UNDONE[stage]}")
            time.sleep(_POLL_SECONDS)


def _assign(rows: NDArray[np.void], values: dict[str, int]) -> None:
    for field, value in values.items():
        rows[field] = value


def _first(flags: NDArray[Any]) -> int:
    return int(np.flatnonzero(flags)[0]) + 1
