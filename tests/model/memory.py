"""What a step at a node does to the bytes, and whether they are what the page's record says."""

from __future__ import annotations

from dsm.core import cache
from dsm.core.cache import CachePage
from dsm.core.effects import CacheEffect, Drop, Fail, Forget, Hold, Protect, Retain, Send, Supply, Zero
from dsm.core.events import Event, Received
from dsm.core.messages import Data, ToHome
from dsm.core.types import NodeId, State
from tests.model.world import LATER


class Broken(Exception):
    """What was to be done breaks a law."""


class Memory:
    """The page's bytes on one node during one step."""

    def __init__(self, memory: int | None, retained: int | None, page: CachePage) -> None:
        self.memory = memory
        self.retained = retained
        self.sent: list[ToHome] = []
        self.supplied: list[tuple[NodeId, Data, int]] = []
        self.failed = False
        self._page = page
        self._writable = page.state is State.M

    def receive(self, event: Event, arriving: int | None) -> None:
        """Put bytes that came into the page's place, if the core allows it."""
        match event:
            case Received(message=Data() as data) if cache.expects(self._page, data):
                self.memory = arriving

    def carry_out(self, effect: CacheEffect) -> None:
        match effect:
            case Send(message):
                self.sent.append(message)
            case Supply(to, data):
                self.supplied.append((to, data, self._stable(effect) if self.retained is None else self.retained))
            case Retain():
                self._stable(effect)
                self.retained = self.memory
            case Zero():
                self.memory = 0
            case Protect():
                self._writable = False
            case Drop():
                self.memory, self._writable = None, False
            case Forget():
                self.retained = None
            case Fail():
                self.failed = True
            case Hold():
                pass

    def _stable(self, effect: CacheEffect) -> int:
        _law(self.memory is not None, f"{effect} of a page that is not there")
        _law(not self._writable, f"{effect} while processes may still write")
        return LATER

    def settle(self, page: CachePage) -> None:
        """Compare the bytes with the page's record after the step."""
        if page.state is State.M and self._page.state is not State.M:
            _law(self.memory == page.version - 1, f"writes version {page.version} over {self.memory}")
            self.memory = page.version
        elif page.state.readable:
            _law(self.memory == page.version, f"reads version {self.memory} as {page.version}")
        elif page.pending is None or page.pending.arrived is None:
            _law(self.memory is None, "keeps bytes that nobody may read")
        _law(page.state is State.M or not self._writable, f"processes may still write to a page in {page.state}")
        _law((page.retained is None) == (self.retained is None), "retains other bytes than it thinks")


def _law(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Broken(otherwise)
