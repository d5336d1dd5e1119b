"""What the pages' words must be, and who may be in a scope: the judge of every access of a run.

The clock of a run is one for all nodes and an access takes no time, so there is one order of all of them, and no
search is needed: a load returns what the last store to its word left. Every store writes a number that was never
written before. All words of a page are compared whenever a page comes and whenever it is touched, so a page that is
put together of two versions is found too.

A node whose session has ended for the directory, and which has not noticed, goes on with what it has. What its
processes read then is not judged, except that it must have been there once; what they store may or may not be seen by
others.
A scope of a process without userfaultfd goes on after its session ended, and nobody may ever see what it stores.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from dsm.core.types import RegionId

WORDS_PER_PAGE = 8
WORD_BYTES = 8


class Place(NamedTuple):
    region: RegionId
    page: int
    word: int


class PageTruth:
    """The words of one page."""

    def __init__(self) -> None:
        self.words = [0] * WORDS_PER_PAGE
        self.maybe: dict[int, set[int]] = {}
        """For a word, what a cut-off node stored, which others may or may not see."""
        self.ever: set[int] = {0}


class Held:
    """A scope, from the moment its process may use it until it ends it."""

    def __init__(self, process: str, region: RegionId, pages: range, write: bool) -> None:
        self.process = process
        self.region = region
        self.pages = pages
        self.write = write

    @property
    def broken(self) -> bool:
        """Whether its node no longer stands behind it."""
        return False

    def conflicts(self, other: Held) -> bool:
        if self.broken or other.broken or self.region != other.region or not (self.write or other.write):
            return False
        return max(self.pages.start, other.pages.start) < min(self.pages.stop, other.pages.stop)


class History:
    def __init__(self) -> None:
        self._pages: defaultdict[tuple[RegionId, int], PageTruth] = defaultdict(PageTruth)
        self._stamp = 0
        self.loads = 0
        self.stores = 0
        self.compared = 0
        self.scopes: dict[Held, None] = {}

    def stamp(self) -> int:
        """Return what was never stored before."""
        self._stamp += 1
        return self._stamp

    def stored(self, place: Place, value: int, certain: bool) -> None:
        page = self._pages[place.region, place.page]
        page.ever.add(value)
        self.stores += 1
        if certain:
            page.words[place.word] = value
        else:
            page.maybe.setdefault(place.word, set()).add(value)

    def wrong(self, region: RegionId, index: int, found: tuple[int, ...], certain: bool) -> str | None:
        """Say what is wrong with the words of a page that a process reads, if anything is."""
        page = self._pages[region, index]
        self.compared += 1
        if certain and list(found) == page.words:
            return None
        for word, value in enumerate(found):
            if not certain:
                if value not in page.ever:
                    return f"word {word} is {value}, which nobody ever stored there"
            elif value != page.words[word]:
                if value not in page.maybe.get(word, ()):
                    return self._told(page, word, value)
                page.words[word] = value
                del page.maybe[word]
        return None

    def _told(self, page: PageTruth, word: int, value: int) -> str:
        last = page.words[word]
        if value == 0:
            return f"word {word} is zero, and {last} was stored there"
        if value in page.ever:
            return f"word {word} is {value}, an old value: {last} was stored there last"
        return f"word {word} is {value}, which nobody stored there for others to see; {last} was stored last"

    def begun(self, scope: Held) -> str | None:
        """Note that a process is in a scope now. Say who it must not be there with, if anybody."""
        self.scopes[scope] = None
        for other in self.scopes:
            if other is not scope and scope.conflicts(other):
                return f"{_told(scope)} while {_told(other)}"
        return None

    def ended(self, scope: Held) -> None:
        del self.scopes[scope]


def _told(scope: Held) -> str:
    kind = "write" if scope.write else "read"
    return f"{scope.process} may {kind} pages {scope.pages.start} to {scope.pages.stop - 1} of region {scope.region}"
