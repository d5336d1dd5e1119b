"""Bytes of a run of pages on their way in: into the pages' own place (`direct`) or into a scratch buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dsm.core.messages import Data
from dsm.core.types import RequestId

if TYPE_CHECKING:
    from dsm.node.region import Region

NO_REQUEST = Data(RequestId(0), version=0, write=False, grants=False)


class Arrival:
    """One frame of the page stream, from its header to its last byte."""

    def __init__(
        self,
        region: Region | None,
        run: range,
        data: Data,
        place: memoryview,
        direct: bool,
        abort: Callable[[], None],
    ) -> None:
        self.region = region
        self.run = run
        self.data = data
        self.place = place
        self.direct = direct
        self.abort = abort
        """Cuts the stream, because the place is needed for something else."""

    @classmethod
    def unwanted(cls, length: int) -> Arrival:
        """Bytes that are received and thrown away."""
        return cls(None, range(0), NO_REQUEST, memoryview(bytearray(length)), False, lambda: None)

    def complete(self) -> None:
        if self.region is not None:
            self.region.landed(self)
        self._let_go()

    def broken(self) -> None:
        self._let_go()
        if self.region is not None:
            self.region.landing_failed(self)

    def _let_go(self) -> None:
        """A region cannot be closed while something points into its memory."""
        self.place = memoryview(b"")
