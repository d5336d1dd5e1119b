"""The step of a page at a node that is traced (`dsm.trace`)."""

from __future__ import annotations

from dsm.core import cache
from dsm.core.cache import CachePage
from dsm.core.events import Event
from dsm.core.types import RegionId
from dsm.errors import ProtocolError
from dsm.node.region import Step
from dsm.trace.records import CacheStepped, Note, Refused


def recorded_step(region: RegionId, note: Note) -> Step:
    """Return a `cache.step` for the pages of a region that notes what it does."""

    def step(index: int, page: CachePage, event: Event) -> cache.Outcome:
        try:
            after, effects = cache.step(page, event)
        except ProtocolError as error:
            note(Refused(region, index, error.message))
            raise
        note(CacheStepped(region, index, event, effects))
        return after, effects

    return step
