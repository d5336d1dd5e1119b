"""The bytes of one region on one host: a memfd, seen from the node daemon.

A memfd is sparse. A page costs memory from the time somebody writes it (or `zero()` makes it present) until `drop()`.
Sending a page needs nothing from here but `fd`: `os.sendfile(socket, segment.fd, offset, length)`.

The memfd is sealed against shrinking, growing and further seals, so no client can take pages away from under the
daemon by truncating. The seals that forbid writing are not set: they also forbid the hole punch. Its mode is 0600: a
client that was given the descriptor cannot open it anew with more rights unless it runs as the daemon's user.

Caveats:
* Reading a hole through `view()` makes it present, and clients then see a minor fault. `read()` leaves holes alone.
* The mapping behind `view()` is made on first use, since a region of 1 TiB takes 1/128 of the 47-bit address space and
  a node may have thousands of regions. When there is no room, `view()` raises MemoryLimitExceeded; `read()` and
  `write()` need no mapping.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os

from dsm.errors import MemoryLimitExceeded
from dsm.memory import syscalls
from dsm.memory.mapping import Mapping

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_MEMFD_NAME_BYTES_MAX = 249  # memfd_create(2); seen in /proc/<pid>/maps and nowhere else
_STAT_BLOCK_BYTES = 512


class Segment:
    """One memfd of `size` bytes, a multiple of the OS page. Owns the descriptor."""

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._mapping: Mapping | None = None

    @classmethod
    def create(cls, name: str, size: int) -> Segment:
        """A new memfd, all hole. `name` only helps a reader of /proc."""
        label = f"dsm:{name}".encode()[:_MEMFD_NAME_BYTES_MAX]
        fd = os.memfd_create(os.fsdecode(label), os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            os.fchmod(fd, 0o600)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd, size)

    def view(self, offset: int, length: int) -> memoryview:
        """These bytes, writable in place, for `socket.recv_into()`. `close()` refuses while a view is alive.

        Raises:
            MemoryLimitExceeded: the daemon's address space has no room to map the region.
        """
        self._check(offset, length)
        if self._mapping is None:
            self._mapping = self._map()
        return memoryview(self._mapping)[offset : offset + length]

    def read(self, offset: int, length: int) -> bytes:
        """A copy of these bytes; a hole reads as zeros and stays a hole."""
        self._check(offset, length)
        data = os.pread(self.fd, length, offset)
        assert len(data) == length, "a memfd that is sealed against shrinking is read whole"
        return data

    def write(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """Replace the bytes from `offset` on, making them present."""
        rest = memoryview(data).cast("B")
        self._check(offset, len(rest))
        while rest:
            written = os.pwrite(self.fd, rest, offset)
            rest, offset = rest[written:], offset + written

    def zero(self, offset: int, length: int) -> None:
        """Make these whole OS pages present and zero; unmapped from every client if they were not a hole."""
        self.drop(offset, length)
        syscalls.allocate(self.fd, offset, length)

    def drop(self, offset: int, length: int) -> None:
        """Free these whole OS pages and unmap them from every client: the next touch is a missing fault."""
        # The kernel would zero a partial page in place and leave it mapped.
        self._check(offset, length)
        assert not (offset | length) % syscalls.OS_PAGE_BYTES, "whole pages are dropped"
        syscalls.punch_hole(self.fd, offset, length)

    def resident_bytes(self) -> int:
        """Memory that the region takes on this host, swapped out or not."""
        return os.fstat(self.fd).st_blocks * _STAT_BLOCK_BYTES

    def close(self) -> None:
        """Let go of the descriptor and the mapping; the memory is freed with the last client's mapping.

        Raises:
            BufferError: a view is alive. Nothing was closed then.
        """
        if self._mapping is not None:
            self._mapping.close()
            self._mapping = None
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _map(self) -> Mapping:
        try:
            return Mapping.map(self.fd, self.size, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            message = f"the node daemon has no address space left to map a region of {self.size} bytes"
            raise MemoryLimitExceeded(message, remedy="Unlink or close large regions on this node") from error

    def _check(self, offset: int, length: int) -> None:
        assert 0 <= offset <= offset + length <= self.size, "a range of a segment lies inside it"
