"""The home records of a directory that is traced (`dsm.trace`)."""

from __future__ import annotations

from collections.abc import Callable

from dsm.core.home import HomePage, Outcome
from dsm.core.messages import ToHome
from dsm.core.types import NodeId, RegionId
from dsm.directory.pages import Pages, Said, Send, Table
from dsm.errors import ProtocolError
from dsm.trace.records import HomeStepped, Note, Refused, RegionBegan, RegionEnded
from dsm.wire.runs import Run


class RecordedPages(Pages):
    """Notes what it does. A step that could not be published, since the store failed, did not happen."""

    def __init__(self, send: Send, mark_written: Callable[[RegionId], None], note: Note) -> None:
        super().__init__(send, mark_written)
        self._note = note

    def add(self, region: RegionId, count: int, written: bool) -> None:
        super().add(region, count, written)
        self._note(RegionBegan(region, self._tables[region].default))

    def drop(self, region: RegionId) -> None:
        super().drop(region)
        self._note(RegionEnded(region))

    def receive(self, sender: NodeId, run: Run[ToHome]) -> None:
        try:
            super().receive(sender, run)
        except ProtocolError as error:
            self._note(Refused(run.region, run.first, error.message))
            raise

    def _publish(self, table: Table, stretch: range, before: HomePage, said: Said, outcome: Outcome) -> None:
        super()._publish(table, stretch, before, said, outcome)
        self._note(HomeStepped(table.region, stretch.start, len(stretch), *said, outcome[1]))
