"""Connections of the page stream: bytes in order, late, cut anywhere.

A writer may find the connection full, so a frame of a page may be on its way for long, part by part. What `sendfile`
writes are references to memory, whose bytes are taken when they arrive. A connection that breaks takes what is on it
along, and each end notices at a time of its own.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Callable

from tests.sim.clock import loop
from tests.sim.machine import Lent, Segment

LATER = 1e-7
"""Between two arrivals on one connection, so that their order does not depend on how timers of a moment are ordered."""


class Socket:
    """One end of a connection; in the place of socket.socket."""

    def __init__(self, buffer: int, delay: Callable[[], float]) -> None:
        self.fd = loop().open(self)
        self.peer: Socket | None = None
        self.broken = False
        self.stalled_until = 0.0
        self._buffer = buffer
        self._delay = delay
        self._arrived: deque[memoryview] = deque()
        self.incoming = 0
        """Bytes that the peer wrote and this end has not read."""
        self._ended = False
        """The peer has closed, and all that it wrote has arrived."""
        self._last = 0.0
        self._discards = False

    @classmethod
    def pair(cls, buffer: int, delay: Callable[[], float]) -> tuple[Socket, Socket]:
        one, other = cls(buffer, delay), cls(buffer, delay)
        one.peer, other.peer = other, one
        return one, other

    def fileno(self) -> int:
        return self.fd

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option == socket.SO_LINGER:
            self._discards = True

    def is_ready(self, writing: bool) -> bool:
        if writing:
            return self.broken or self._room() > 0
        return self.broken or bool(self._arrived) or self._ended

    def _room(self) -> int:
        if self.peer is None or self.peer.fd < 0:
            return 1  # what is written is lost, and the next write says so
        return self._buffer - self.peer.incoming

    def send(self, data: memoryview, flags: int = 0) -> int:
        return self.write(len(data), lambda length: bytes(data[:length]))

    def write(self, length: int, take: Callable[[int], bytes | Lent]) -> int:
        """Send so many bytes, or as many of them as there is room for: `take` gives the first ones."""
        if self.broken:
            raise ConnectionResetError(errno.ECONNRESET, "the connection broke")
        room = self._room()
        if room <= 0:
            raise BlockingIOError(errno.EAGAIN, "the connection is full")
        peer = self.peer
        if peer is None or peer.fd < 0:
            self.broken = True
            return length
        length = min(length, room)
        part = take(length)
        peer.incoming += length
        self._at_peer(peer, lambda: peer._arrives(part))
        return length

    def _at_peer(self, peer: Socket, what: Callable[[], None]) -> None:
        at = max(peer._last + LATER, loop().time() + self._delay(), self.stalled_until)
        peer._last = at
        loop().call_at(at, what)

    def _arrives(self, part: bytes | Lent) -> None:
        content = part.taken() if isinstance(part, Lent) else part
        if self.fd >= 0 and not self.broken:
            self._arrived.append(memoryview(content))
            loop().look(self.fd)

    def recv_into(self, place: memoryview) -> int:
        if self.broken:
            raise ConnectionResetError(errno.ECONNRESET, "the connection broke")
        if not self._arrived:
            if self._ended:
                return 0
            raise BlockingIOError(errno.EAGAIN, "nothing has come")
        part = self._arrived.popleft()
        count = min(len(part), len(place))
        place[:count] = part[:count]
        if count < len(part):
            self._arrived.appendleft(part[count:])
        self.incoming -= count
        if self.peer is not None and self.peer.fd >= 0:
            loop().look(self.peer.fd)
        return count

    def has_something(self) -> bool:
        return self.incoming > 0 and not self.broken

    def close(self) -> None:
        if self.fd < 0:
            return
        loop().shut(self.fd)
        self.fd = -1
        if (peer := self.peer) is not None and peer.fd >= 0:
            if self._discards:
                peer.breaks()
            else:
                self._at_peer(peer, peer._hears_the_end)
            loop().look(peer.fd)

    def _hears_the_end(self) -> None:
        if self.fd >= 0:
            self._ended = True
            loop().look(self.fd)

    def breaks(self) -> None:
        """This end notices that the connection is broken."""
        if self.fd >= 0:
            self.broken = True
            self._arrived.clear()
            loop().look(self.fd)


def sendfile(out: int, source: int, offset: int, count: int) -> int:
    """In the place of os.sendfile."""
    segment, sock = loop().file(source), loop().file(out)
    if not isinstance(segment, Segment):
        raise OSError(errno.EINVAL, "that is no memfd")
    if offset >= segment.size:
        return 0
    return int(sock.write(count, lambda length: Lent(segment, offset, length)))


def pread(source: int, length: int, offset: int) -> bytes:
    """In the place of os.pread."""
    segment = loop().file(source)
    if not isinstance(segment, Segment):
        raise OSError(errno.EINVAL, "that is no memfd")
    return segment.read(offset, length)
