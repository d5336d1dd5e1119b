"""One process's mapping of one region, as the daemon sees it: its faults, and what is mapped there.

The daemon is the only one who maps pages into the process, so it knows what is mapped without asking the kernel. That
saves a system call for each page of a scope on pages that are held. The kernel may know better (memory pressure can
unmap a page), so a fault is always answered with a map, whatever this record says.

A process without userfaultfd attaches with no descriptor: nothing faults, nothing is mapped by the daemon, and it
touches pages only within scopes, which pins guard.

The descriptor stays open until the node detaches the process, also when the kernel says that the process has unmapped
the region: the event loop watches it until then.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import groupby

from dsm.limits import READ_AHEAD_BYTES_MAX
from dsm.memory.faults import Detached, Fault, FaultKind, FaultSource

log = logging.getLogger(__name__)


class ReadAhead:
    """How many pages to ask for beyond a fault. Sequential faults double the window; a random one closes it."""

    def __init__(self, page_size: int) -> None:
        self._most = max(1, READ_AHEAD_BYTES_MAX // page_size)
        self._next = -1
        self.window = 0

    def faulted(self, index: int) -> int:
        """Note a fault; return the pages to ask for behind it."""
        self.window = min(max(2, self.window * 2), self._most) if index == self._next else 0
        self._next = index + 1
        return self.window

    def mapped_up_to(self, end: int) -> None:
        """The next sequential fault is at `end`, since the pages before were mapped along."""
        self._next = end


class Attachment:
    """A process's mapping of a region, from attach to detach."""

    def __init__(self, page_size: int, pid: int, source: FaultSource | None) -> None:
        self.page_size = page_size
        self.pid = pid
        self.ahead = ReadAhead(page_size)
        self._source = source
        self._writable: dict[int, bool] = {}
        """What is mapped, and whether for writing too."""
        self._gone = False
        """The process has unmapped the region or ended, or has mapped something that cannot be served."""

    def fileno(self) -> int | None:
        return None if self._source is None else self._source.fileno()

    @property
    def blind(self) -> bool:
        """Whether its accesses cannot be stopped, because the process has no userfaultfd."""
        return self._source is None

    def read_faults(self) -> list[Fault]:
        faults = [] if self._source is None else self._source.read()
        return [] if self._gone else faults

    def resolve(self, fault: Fault, index: int, writable: bool) -> None:
        """Answer a fault on a page that is present, whatever is believed to be mapped there."""
        if fault.kind is FaultKind.WRITE_PROTECTED and self._writable.get(index) is False:
            self._map(index, 1, writable, mapped=True)
        else:
            self._map(index, 1, writable, mapped=False)

    def ensure(self, wanted: Iterable[tuple[int, bool]]) -> None:
        """Map what of these (page, writable) is not mapped so yet; all are present, and pages ascend."""
        missing = [(index, write, index in self._writable) for index, write in wanted if not self._has(index, write)]
        runs = groupby(enumerate(missing), key=lambda item: (item[1][0] - item[0], *item[1][1:]))
        for (_, write, mapped), run in runs:
            pages = [page for _, (page, _, _) in run]
            self._map(pages[0], len(pages), write, mapped)

    def _map(self, first: int, count: int, writable: bool, mapped: bool) -> None:
        if self._source is None:
            return
        change = self._source.unprotect if mapped else partial(self._source.map, writable=writable)
        if self._changed(change, first, count):
            self._writable.update(dict.fromkeys(range(first, first + count), writable))

    def _changed(self, change: Callable[[int, int], None], first: int, count: int) -> bool:
        """Change the process's mapping. Return whether that worked; never raises, since it is the process's fault."""
        if self._gone:
            return False
        try:
            change(first * self.page_size, count * self.page_size)
        except Detached:
            self._gone = True
        except OSError as error:
            log.warning("pid %d: page %d of its region cannot be served: %s", self.pid, first, error.strerror)
            if error.errno == errno.EFAULT:  # somebody who has the memfd punched a hole into it
                self.poison(first, count)
            else:
                self._gone = True
        else:
            return True
        return False

    def _has(self, index: int, write: bool) -> bool:
        mapped = self._writable.get(index)
        return mapped is not None and (mapped or not write)

    def protect(self, index: int) -> None:
        """Take write access to a page away."""
        if self._source is not None and self._writable.get(index) and self._changed(self._source.protect, index, 1):
            self._writable[index] = False

    def dropped(self, index: int) -> None:
        """A hole was punched, which has unmapped the page here."""
        self._writable.pop(index, None)

    def poison(self, index: int, count: int = 1) -> None:
        """Let every access to these pages, of which none is present, end with SIGBUS, now and from now on."""
        if self._source is not None and not self._gone:
            with suppress(Detached, OSError):  # the latter before Linux 6.6: the process waits for ever
                self._source.poison(index * self.page_size, count * self.page_size)

    @property
    def command(self) -> str:
        """The process's name as the kernel keeps it; empty if it has ended."""
        try:
            with open(f"/proc/{self.pid}/comm") as file:
                return file.read().strip()
        except OSError:
            return ""

    def close(self) -> None:
        self._gone = True
        if self._source is not None:
            self._source.close()
