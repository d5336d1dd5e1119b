"""A client as a process of its own: it maps a memfd, hands its userfaultfd over, then loads and stores as it is told.

Run as a program with the number of a socket, and of the user to become. The test is the other end, and plays the node
daemon; see `harness.py`. Every access that may fault happens here, never in the test: a fault is answered by another
process.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import mmap
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from dsm.memory.faults import Uffd
from dsm.memory.mapping import Mapping

_compare = ctypes.CDLL(None).memcmp
_compare.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
_READ_WRITE = mmap.PROT_READ | mmap.PROT_WRITE


class Client:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        message, (self._memfd,), _, _ = socket.recv_fds(channel, 4096, 1)
        size = json.loads(message)
        self._mapping = Mapping.map(self._memfd, size, _READ_WRITE)
        self._uffd = Uffd.open()
        self._uffd.register(self._mapping.address, size)
        self._results: list[Any] = []
        self._threads: list[threading.Thread] = []
        hello = {"base": self._mapping.address, "mode": self._uffd.mode}
        socket.send_fds(channel, [json.dumps(hello).encode()], [self._uffd.fileno()])

    def run(self) -> None:
        while order := self._channel.recv(4096):
            name, *arguments = json.loads(order)
            self._channel.send(json.dumps(getattr(self, name)(*arguments)).encode())

    def load(self, offset: int, length: int) -> str:
        return self._mapping[offset : offset + length].decode("latin-1")

    def store(self, offset: int, text: str) -> None:
        self._mapping[offset : offset + len(text)] = text.encode("latin-1")

    def send_from(self, offset: int, length: int) -> str | int:
        """Let the kernel read the memory, in a system call. What came through, or the errno."""
        here, there = os.pipe()
        try:
            with memoryview(self._mapping) as whole, whole[offset : offset + length] as part:
                os.write(there, part)
            return os.read(here, length).decode("latin-1")
        except OSError as error:
            return error.errno or 0

    def populate(self, offset: int, length: int) -> int:
        return self._mapping.populate_read(offset, length)

    def populate_in_thread(self, offset: int, length: int) -> None:
        self._start(lambda: self.populate(offset, length))

    def load_in_thread(self, offset: int) -> None:
        """Load a byte without the GIL, which `load()` holds while it is stopped."""
        self._start(lambda: _compare(self._mapping.address + offset, b"\0", 1))

    def join(self) -> list[Any]:
        for thread in self._threads:
            thread.join()
        return self._results

    def fork_and_load(self, offset: int) -> int:
        """The wait status of a forked child that loads a byte of the parent's mapping."""
        return _in_fork(lambda: self._mapping[offset])

    def fork_and_attach_afresh(self, offset: int, expected: str) -> int:
        """The wait status of a forked child that maps the memfd at the same address; 0 if it loads what it should."""

        def child() -> None:
            self._mapping.reserve()
            self._mapping.map_over(self._memfd, mmap.PROT_READ)
            os._exit(0 if self.load(offset, len(expected)) == expected else 1)

        return _in_fork(child)

    def _start(self, work: Callable[[], object]) -> None:
        self._threads.append(threading.Thread(target=lambda: self._results.append(work()), daemon=True))
        self._threads[-1].start()

    def close_userfaultfd(self) -> None:
        self._uffd.close()

    def unmap(self) -> None:
        self._mapping.close()


def _in_fork(child: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel, *user = map(int, sys.argv[1:])
    if user:  # only now: the interpreter may live where this user cannot read
        os.setgroups([])
        os.setresgid(*user * 3)
        os.setresuid(*user * 3)
    Client(socket.socket(fileno=channel)).run()


if __name__ == "__main__":
    main()
