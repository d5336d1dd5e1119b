"""A memfd mapped at an address, as an object that exports the buffer protocol.

Why a subclass of `mmap.mmap`: a pure-Python class cannot export a buffer before Python 3.12, and `mmap.close()` already
refuses with BufferError while a memoryview or array points into it. Why not a plain `mmap.mmap(fd, size)`: it keeps a
duplicate of the descriptor for as long as it lives. That is a descriptor per region in the daemon, and in a client a
way to write round the write-protection. So the object is made over anonymous memory, which only reserves the address
range, and the memfd is then mapped over it.

Fork: every mapping is MADV_DONTFORK. A forked child would inherit it without the registration with userfaultfd, put
zero pages into the shared memfd and write without protection. It has nothing at these addresses instead (SIGSEGV on a
touch) until it calls `reserve()` and `map_over()`. A child that does neither must not let the object be collected: its
finalizer unmaps the address range, whatever has come to live there since.

Caveats:
* `np.ndarray(shape, buffer=...)` keeps the object alive but gives its buffer back, even when it is handed a
  memoryview. So `close()` does not notice such an array, and the next touch of it is a SIGSEGV. `np.frombuffer()` and
  `np.asarray()` hold on to the buffer.
* Never `resize()`: mremap moves pages without their userfaultfd state.
* The buffer is exported as writable whatever the protection; a store through a protection without PROT_WRITE is a
  SIGSEGV. Who hands out a read-only buffer says `memoryview(mapping).toreadonly()`.
* Under vm.overcommit_memory=2 the reservation counts against the commit limit until the memfd is mapped over it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap

from dsm.memory import syscalls

_RESERVED = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | syscalls.MAP_NORESERVE


class Mapping(mmap.mmap):
    """One shared mapping of a whole memfd. Keeps no descriptor; make it with `Mapping.map()`."""

    #: Where the mapping starts. Stays the same in a forked child.
    address: int

    @classmethod
    def map(cls, fd: int, size: int, protection: int) -> Mapping:
        """Map `size` bytes of `fd`, shared. `protection` is PROT_READ | PROT_WRITE or less, 0 for no access yet.

        Raises:
            OSError: EACCES if the descriptor was opened for less than the protection asks, ENOMEM if the address
                space has no room.
        """
        mapping = cls(-1, size, flags=_RESERVED, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        mapping.address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        mapping.map_over(fd, protection)
        return mapping

    def map_over(self, fd: int, protection: int) -> None:
        """Put `fd` in the place of what is mapped here now. Arrays into the mapping stay valid."""
        # Without access first: if another thread forks before MADV_DONTFORK is set, its child gets a mapping it cannot
        # touch, rather than one it could write through.
        flags = mmap.MAP_SHARED | syscalls.MAP_FIXED | syscalls.MAP_NORESERVE
        syscalls.mmap_fixed(self.address, len(self), syscalls.PROTECTION_NONE, flags, fd)
        syscalls.madvise(self.address, len(self), syscalls.MADV_DONTFORK)
        self.protect(0, len(self), protection)

    def reserve(self) -> None:
        """In a forked child, before anything else: hold the address range until `map_over()`.

        Raises:
            OSError: EEXIST if something else was mapped there since the fork. The object then has to be kept alive,
                since its finalizer would unmap that.
        """
        flags = _RESERVED | syscalls.MAP_FIXED_NOREPLACE
        syscalls.mmap_fixed(self.address, len(self), syscalls.PROTECTION_NONE, flags, -1)

    def protect(self, offset: int, length: int, protection: int) -> None:
        """Set what this process may do with these bytes, by mprotect(2). Independent of userfaultfd."""
        self._check(offset, length)
        syscalls.mprotect(self.address + offset, length, protection)

    def populate_read(self, offset: int, length: int) -> int:
        """Fault these bytes in as a load would, without the risk of a signal. Returns 0 or the errno.

        EHWPOISON (133) says that a page is poisoned, where a load would be a SIGBUS. The GIL is free meanwhile.
        With a userfaultfd in user mode it does not wait: EFAULT for pages that are not mapped yet.
        """
        self._check(offset, length)
        try:
            syscalls.madvise(self.address + offset, length, syscalls.MADV_POPULATE_READ)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _check(self, offset: int, length: int) -> None:
        # An address beyond the mapping belongs to somebody else in this process. Also refuses a closed mapping.
        assert 0 <= offset <= offset + length <= len(self), "a range of a mapping lies inside it"
