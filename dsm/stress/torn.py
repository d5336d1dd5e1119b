"""The workload that looks for torn and for lost pages: every word of a page has the page's number and its version.

A writer takes the page in a scope, finds all its words equal, and writes the next version into all of them. A reader in
a scope finds all words equal. A plain reader may be overtaken by a writer while it copies a page; what it finds is of
this page, and no word is older than what it saw of the page before. In the end a page's version is the number of
times that it was written, by all workers together.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dsm.stress.plan import Round

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

FAULTS_MAX = 20  # that one worker tells of

_RUN_PAGES_MAX = 16
_RUN_BYTES_MAX = 256 << 10
_VERSION_BITS = 40
_VERSION_MASK = (1 << _VERSION_BITS) - 1
_STAMP = np.dtype("<u8")


def stamp(page: int, version: int) -> int:
    """The word that all of a page is made of in this version; version 0 is zeros."""
    return (page + 1) << _VERSION_BITS | version if version else 0


class Torn:
    """One worker in one round."""

    def __init__(self, client: Client, region: Region, plan: Round, worker: int, seed: int) -> None:
        self._region = region
        self._plan = plan
        self._draw = random.Random(f"{seed}/{plan.number}/{worker}")
        self._transparent = client.access != "scoped"
        self._writes = [0] * plan.pages
        self._seen = [0] * plan.pages
        self._operations = 0
        self._faults: list[str] = []

    def act(self) -> None:
        """Do it for as long as the round lasts."""
        end = time.monotonic() + self._plan.seconds
        deeds = (self._write, self._write, self._read, self._read_plainly)
        while time.monotonic() < end:
            self._draw.choice(deeds)(*self._run())
            self._operations += 1

    def result(self) -> dict[str, Any]:
        """What is handed to the judge."""
        return {
            "operations": self._operations,
            "writes": self._writes,
            "faults": self._faults,
            "stats": self._region.stats(),
        }

    def _run(self) -> tuple[int, int]:
        """Some adjacent pages: they travel together, which costs hardly more than one."""
        first = self._draw.randrange(self._plan.pages)
        most = max(1, min(_RUN_PAGES_MAX, _RUN_BYTES_MAX // self._plan.page_size, self._plan.pages - first))
        return first, self._draw.randint(1, most)

    def _write(self, first: int, count: int) -> None:
        size = self._plan.page_size
        with self._region.write(first * size, count * size) as view:
            pages = np.frombuffer(view, _STAMP).reshape(count, -1)
            for page, words in enumerate(pages, start=first):
                version = self._whole(page, words)
                words[:] = stamp(page, version + 1)
                self._seen[page] = version + 1
                self._writes[page] += 1
            del pages, words

    def _read(self, first: int, count: int) -> None:
        size = self._plan.page_size
        with self._region.read(first * size, count * size) as view:
            pages = np.frombuffer(view, _STAMP).reshape(count, -1)
            for page, words in enumerate(pages, start=first):
                self._whole(page, words)
            del pages, words

    def _read_plainly(self, first: int, count: int) -> None:
        if not self._transparent:
            return self._read(first, count)
        words = self._plan.page_size // _STAMP.itemsize
        for page in range(first, first + count):
            copy = np.array(self._region.ndarray(words, _STAMP, page * self._plan.page_size))
            self._seen[page] = self._check(page, copy)
        return None

    def _whole(self, page: int, words: NDArray[np.uint64]) -> int:
        """Return the version of a page all of whose words have to be of one."""
        if words.min() != words.max():
            self._tell(f"page {page} is torn: words of versions {_versions(words)}")
        self._seen[page] = self._check(page, words)
        return self._seen[page]

    def _check(self, page: int, words: NDArray[np.uint64]) -> int:
        """Return the oldest version of the words, which is at least what was seen of the page before."""
        oldest, newest = int(words.min()), int(words.max())
        for word in (oldest, newest):
            if word not in (0, stamp(page, word & _VERSION_MASK)):
                self._tell(f"page {page} has the word {word:#x}, which nobody has written there")
        version = oldest & _VERSION_MASK
        if version < self._seen[page]:
            self._tell(f"page {page} has version {version} after version {self._seen[page]}")
        return version

    def _tell(self, fault: str) -> None:
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(fault)


def final_versions(region: Region, pages: int) -> list[int]:
    """Return what each page has come to, when nobody writes any more."""
    found = []
    for page in range(pages):
        with region.read(page * region.page_size, _STAMP.itemsize) as view:
            found.append(int.from_bytes(view, "little") & _VERSION_MASK)
    return found


def lost_writes(versions: list[int], writes: list[list[int]]) -> list[str]:
    """Compare the pages' versions with how often each worker says that it wrote them."""
    totals = [sum(counts) for counts in zip(*writes, strict=True)]
    return [
        f"page {page} has version {version} and was written {total} times"
        for page, (version, total) in enumerate(zip(versions, totals, strict=True))
        if version != total
    ]


def _versions(words: NDArray[np.uint64]) -> str:
    found = np.unique(words & np.uint64(_VERSION_MASK))
    return " and ".join(map(str, found[:4].tolist()))
