"""One region in this process: its mapping, its userfaultfd, and the number the daemon knows it by.

    who holds whom                                          what ends it
    region, arrays, buffers ──▶ Mapping                     close(), or the last of them is collected
    Attachment ─ ─ (weak) ─ ─▶ Mapping                      the same: it is released with the mapping
    finalizer of the mapping ──▶ Attachment ──▶ client      so the connection lasts as long as any array

Order of closing: the mapping, which refuses while anything points into it; then this copy of the userfaultfd; then
the daemon's, by `detach`. While anything can touch the mapping there is a userfaultfd, and never a page of zeros.
At the end of the process nothing is closed by hand: the kernel takes the memory away before the descriptors.

The memfd is closed as soon as it is mapped: it is a way round the write-protection.
"""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import weakref
from typing import TYPE_CHECKING

from dsm.client.checks import Mode
from dsm.client.records import RegionInfo, decode_number
from dsm.client.scopes import Scope, Shutter
from dsm.errors import ArraysAlive, DsmError, MemoryLimitExceeded, ProtocolError
from dsm.memory.faults import Uffd
from dsm.memory.mapping import Mapping
from dsm.memory.syscalls import PROTECTION_NONE

if TYPE_CHECKING:
    from dsm.client.core import ClientCore

_LISTED_MAX = 10  # in one error message


class Attachment:
    """A mapped region. `number` is the daemon's for it; `lost` why a forked child does not have it."""

    def __init__(self, core: ClientCore, info: RegionInfo, mode: Mode, mapping: Mapping) -> None:
        self.core = core
        self.info = info
        self.mode = mode
        self.closed = False
        self.number = 0
        self.lost: DsmError | None = None
        self.shutter = None if core.transparent else Shutter(info.page_size)
        self._uffd: Uffd | None = None
        self._mapping = weakref.ref(mapping)
        self._lent: dict[int, tuple[weakref.ref[object], object]] = {}
        self._keys = itertools.count()
        self._collected = weakref.finalize(mapping, self._release)
        self._collected.atexit = False
        core.attachments.add(self)

    @property
    def mapping(self) -> Mapping | None:
        return self._mapping()

    @property
    def protection(self) -> int:
        """What the mapping allows when no scope is open."""
        if self.shutter is not None:
            return PROTECTION_NONE
        return mmap.PROT_READ | mmap.PROT_WRITE if self.mode == "r+" else mmap.PROT_READ

    async def introduce(self, mapping: Mapping) -> None:
        """Have faults of the mapping reported, then give access to it, and tell the daemon."""
        base: int | None = None
        fds: tuple[int, ...] = ()
        if self.shutter is None:
            self._uffd = Uffd.open()
            self._uffd.register(mapping.address, len(mapping))
            base, fds = mapping.address, (self._uffd.fileno(),)
        mapping.protect(0, len(mapping), self.protection)
        mode = None if self._uffd is None else self._uffd.mode
        reply, _ = await self.core.call("attach", fds, region=self.info.id, base=base, mode=mode)
        self.number = decode_number(reply, "attachment")

    def lend(self, thing: object, description: object) -> None:
        """Remember something handed out, for the error that lists what is still alive. It takes weak references."""
        key = next(self._keys)
        lent = self._lent  # not self: what is lent out may outlive everything else
        self._lent[key] = (weakref.ref(thing, lambda _: lent.pop(key, None)), description)

    def open_scope(self, mapping: Mapping, scope: Scope) -> memoryview:
        """Return the view of a scope that the daemon has granted."""
        if self.shutter is not None:
            self.shutter.open(mapping, scope)
        view, root = scope.open_view(mapping)
        self.lend(root, scope)
        return view

    def shut_scope(self, mapping: Mapping, scope: Scope) -> bool:
        """End the view of a scope. False if something that was made of it is still alive."""
        ended = scope.release()
        if self.shutter is not None:
            self.shutter.shut(mapping, scope)
        return ended

    def unmap(self) -> None:
        """Close the mapping and all that belongs to it in this process.

        Raises:
            ArraysAlive: something points into it. Nothing was closed.
        """
        mapping = self._mapping()
        if mapping is not None:
            try:
                mapping.close()
            except BufferError:
                raise self.still_alive() from None
        self._collected.detach()
        self.forget()

    def forget(self) -> None:
        """The mapping is gone, or about to be where nothing can touch it."""
        self.closed = True
        self.core.attachments.discard(self)
        self.close_uffd()

    def close_uffd(self) -> None:
        if self._uffd is not None:
            self._uffd.close()
            self._uffd = None

    def still_alive(self) -> ArraysAlive:
        """The error for a close that comes too early."""
        alive = [str(description) for reference, description in list(self._lent.values()) if reference() is not None]
        more = [f"and {len(alive) - _LISTED_MAX} more"] if len(alive) > _LISTED_MAX else []
        listed = ", ".join(alive[:_LISTED_MAX] + more)
        return ArraysAlive(f"region {self.info.name!r} is still in use by {listed}")

    def restart(self) -> None:
        """In a forked child: no scope is open, and nothing has been introduced yet."""
        self.close_uffd()
        self.number = 0
        if self.shutter is not None:
            self.shutter = Shutter(self.info.page_size)

    def _release(self) -> None:
        # A finalizer: it may run in any thread at any moment, so it posts and does not call.
        self.forget()
        self.core.released(self.number)


async def attach(core: ClientCore, info: RegionInfo, mode: Mode, memfd: int) -> tuple[Attachment, Mapping]:
    """Map a region and tell the daemon. Takes over the descriptor."""
    try:
        mapping = _map(info, memfd)
    finally:
        os.close(memfd)
    attachment = Attachment(core, info, mode, mapping)
    try:
        await attachment.introduce(mapping)
    except BaseException:
        attachment.unmap()
        raise
    return attachment, mapping


def check_memfd(info: RegionInfo, memfd: int) -> None:
    """A mapping that reaches beyond the end of its file is SIGBUS on a touch."""
    if os.fstat(memfd).st_size < info.mapped_size:
        raise ProtocolError(f"the node daemon handed out fewer bytes of region {info.name!r} than it has")


def _map(info: RegionInfo, memfd: int) -> Mapping:
    check_memfd(info, memfd)
    try:
        return Mapping.map(memfd, info.mapped_size, PROTECTION_NONE)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        message = f"this process has no address space left for the {info.mapped_size:,} bytes of region {info.name!r}"
        raise MemoryLimitExceeded(message, remedy="Close other regions, or raise `ulimit -v`") from error
