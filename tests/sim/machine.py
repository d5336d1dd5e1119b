"""The memory of a simulated machine: memfds with holes, page tables of processes, and their userfaultfds.

Only what the kernel does is here (fs/userfaultfd.c, ioctl_userfaultfd(2)). What it would refuse, or what would let a
process see what it must not, breaks the run: nothing in the node daemon may ask for that.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator

from dsm.memory.faults import Detached, Fault, FaultKind
from tests.sim.clock import loop
from tests.sim.options import OS_PAGE


class Broken(AssertionError):
    """A law is broken."""


class SigBus(Exception):
    """A process touched a page that is poisoned."""


class Lent:
    """Bytes of a memfd that a socket refers to: they change with the memory, until a hole is punched there."""

    def __init__(self, segment: Segment, offset: int, length: int) -> None:
        self._segment = segment
        self._span = range(offset, offset + length)
        self._content: bytes | None = None
        segment.lent[self] = None

    def taken(self) -> bytes:
        """Return what they are now, and let go of the memory."""
        if self._content is None:
            self._content = bytes(self._segment.content[self._span.start : self._span.stop])
            del self._segment.lent[self]
        return self._content

    def overlaps(self, offset: int, length: int) -> bool:
        return self._span.start < offset + length and offset < self._span.stop


class Segment:
    """In the place of dsm.memory.segment.Segment."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size
        self.content = bytearray(size)
        self.present: set[int] = set()
        """OS pages that are no holes."""
        self.mappings: list[Mapping] = []
        self.lent: dict[Lent, None] = {}
        self.fd = loop().open(self)

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        return cls(name, size)

    def is_ready(self, writing: bool) -> bool:
        return True

    def view(self, offset: int, length: int) -> memoryview:
        self.present.update(_os_pages(offset, length))
        return memoryview(self.content)[offset : offset + length]

    def read(self, offset: int, length: int) -> bytes:
        if self.fd < 0:
            raise Broken(f"bytes of region {self.name} are read after its end")
        return bytes(self.content[offset : offset + length])

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        self.present.update(_os_pages(offset, len(data)))
        self.content[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        self.drop(offset, length)
        self.present.update(_os_pages(offset, length))

    def drop(self, offset: int, length: int) -> None:
        """Punch a hole, which unmaps the pages everywhere."""
        for lent in [lent for lent in self.lent if lent.overlaps(offset, length)]:
            lent.taken()
        self.content[offset : offset + length] = bytes(length)
        for page in _os_pages(offset, length):
            self.present.discard(page)
            for mapping in self.mappings:
                mapping.table.pop(page, None)

    def close(self) -> None:
        """As the real one: refuses while a view is alive."""
        for lent in list(self.lent):
            lent.taken()
        self.content.clear()
        loop().shut(self.fd)
        self.fd = -1


class Mapping:
    """A process's mapping of a memfd with its userfaultfd; in the place of dsm.memory.faults.FaultSource, too."""

    def __init__(self, segment: Segment, delay: Callable[[], float]) -> None:
        self.segment = segment
        self.table: dict[int, bool] = {}
        """What is mapped: whether for writing too."""
        self.poisoned: set[int] = set()
        self.dead = False
        """The process has unmapped it, or has ended."""
        self._delay = delay
        self._faults: deque[Fault] = deque()
        self._sleepers: dict[int, list[asyncio.Future[None]]] = {}
        self._fd = loop().open(self)
        segment.mappings.append(self)

    # --- the process ----------------------------------------------------------------------------------------------

    def allows(self, page: int, write: bool) -> bool:
        mapped = self.table.get(page)
        return mapped is not None and (mapped or not write)

    async def touch(self, page: int, write: bool) -> int:
        """Wait until the process may touch the page; it has to do so at once. Return how often it had to wait."""
        waits = 0
        while not self.allows(page, write):
            if page in self.poisoned:
                raise SigBus
            if self._fd < 0:
                raise Broken("a process faults on a region that its node daemon no longer watches")
            waits += 1
            await self._fault(page, write)
        return waits

    async def _fault(self, page: int, write: bool) -> None:
        if page in self.table:
            kind = FaultKind.WRITE_PROTECTED
        elif page in self.segment.present:
            kind = FaultKind.WRITE_MINOR if write else FaultKind.READ_MINOR
        else:
            kind = FaultKind.WRITE_MISSING if write else FaultKind.READ_MISSING
        sleeper: asyncio.Future[None] = loop().create_future()
        self._sleepers.setdefault(page, []).append(sleeper)
        self._faults.append(Fault(page * OS_PAGE, kind))
        loop().look(self._fd)
        await sleeper
        await asyncio.sleep(self._delay())

    def unmap(self) -> None:
        self.dead = True
        self.table.clear()
        if self in self.segment.mappings:
            self.segment.mappings.remove(self)

    # --- the node daemon ------------------------------------------------------------------------------------------

    def is_ready(self, writing: bool) -> bool:
        return bool(self._faults)

    def fileno(self) -> int:
        return self._fd

    def read(self) -> list[Fault]:
        faults, self._faults = list(self._faults), deque()
        return faults

    def map(self, offset: int, length: int, writable: bool) -> None:
        for page in self._pages(offset, length):
            if page not in self.segment.present:
                raise Broken(f"page {page} is to be mapped into a process, and is a hole")
            self.poisoned.discard(page)
            self.table[page] = self.table.get(page, False) or writable
            self._wake(page)

    def protect(self, offset: int, length: int) -> None:
        for page in self._pages(offset, length):
            if page in self.table:
                self.table[page] = False

    def unprotect(self, offset: int, length: int) -> None:
        for page in self._pages(offset, length):
            if page in self.table:
                self.table[page] = True
            self._wake(page)

    def poison(self, offset: int, length: int) -> None:
        for page in self._pages(offset, length):
            if page in self.table:
                raise Broken(f"page {page} is to be poisoned while a process has it mapped")
            self.poisoned.add(page)
            self._wake(page)

    def close(self) -> None:
        if self._fd >= 0:
            loop().shut(self._fd)
            self._fd = -1

    def _pages(self, offset: int, length: int) -> Iterator[int]:
        if self.dead:
            raise Detached("the process has unmapped its range or ended")
        yield from _os_pages(offset, length)

    def _wake(self, page: int) -> None:
        for sleeper in self._sleepers.pop(page, ()):
            if not sleeper.done():
                sleeper.set_result(None)


def _os_pages(offset: int, length: int) -> range:
    return range(offset // OS_PAGE, -(-(offset + length) // OS_PAGE))
