"""One direction of a page stream: frames of a short header and raw page bytes over a non-blocking TCP socket.

    frame = length of the header (4 bytes, big-endian), header (msgpack), the pages' bytes

Written on bare sockets, because the bytes must not be copied on their way: they leave with `sendfile` from the
region's memfd and are received straight into the mapping of the other node's memfd. asyncio only says when.

`sendfile` leaves references to the memfd's pages in the socket, so bytes that are still on their way change when the
page does. The protocol keeps a page as it is until its receiver has it, or is given up; whoever gives a receiver up
closes the connection, which throws away what has not left.

Flow control is TCP's. What waits here is a few words for each frame, since the bytes stay where they are; the bytes
of pages given away for good are held by their region until home confirms the transfer anyway.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack

from dsm.errors import DsmError, LimitExceeded, ProtocolError
from dsm.limits import PAGE_HEADER_BYTES_MAX, PAGE_QUEUE_FRAMES_MAX, PAGE_SOCKET_BYTES
from dsm.memory.segment import Segment

LENGTH = struct.Struct(">I")
DISCARD = struct.pack("ii", 1, 0)  # close() throws away what the kernel has not sent yet
TURN_BYTES = 8 << 20  # received in one turn of the loop before others get theirs


@dataclass(slots=True)
class FileSpan:
    """Bytes of a memfd that are to be sent from where they are."""

    segment: Segment
    offset: int
    length: int


Piece = memoryview | FileSpan


def prepare(sock: socket.socket) -> None:
    """Set what every page stream wants: no waiting for more, and room for a whole run of pages."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, PAGE_SOCKET_BYTES)


class Sender:
    """Sends frames in order. `on_lost` is called once, when the connection breaks."""

    def __init__(self, sock: socket.socket, on_lost: Callable[[], None]) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[Piece] = deque()
        self._on_lost = on_lost
        self._waiting = False
        self.closed = False

    def send(self, header: Any, payload: Piece | None = None) -> None:
        """Queue a frame and send what the socket takes at once."""
        if len(self._pieces) > PAGE_QUEUE_FRAMES_MAX:
            self._break()
        if self.closed:
            return
        packed = msgpack.packb(header)
        self._pieces.append(memoryview(LENGTH.pack(len(packed)) + packed))
        if payload is not None:
            self._pieces.append(payload)
        if not self._waiting:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._pieces:
                self._send_first()
        except BlockingIOError:
            self._wait(True)
        except OSError:
            self._break()
        else:
            self._wait(False)

    def _send_first(self) -> None:
        piece = self._pieces[0]
        more = socket.MSG_MORE if len(self._pieces) > 1 else 0
        if isinstance(piece, FileSpan):
            sent = os.sendfile(self._sock.fileno(), piece.segment.fd, piece.offset, piece.length)
            piece.offset += sent
            piece.length -= sent
            if piece.length == 0:
                self._pieces.popleft()
            elif sent == 0:
                raise OSError("the region's memfd is shorter than its pages")
            return
        sent = self._sock.send(piece, more)
        if sent == len(piece):
            self._pieces.popleft()
        else:
            self._pieces[0] = piece[sent:]

    def _wait(self, wanted: bool) -> None:
        if wanted and not self._waiting:
            self._loop.add_writer(self._sock, self._flush)
        elif not wanted and self._waiting:
            self._loop.remove_writer(self._sock)
        self._waiting = wanted

    def _break(self) -> None:
        if not self.closed:
            self.close()
            self._on_lost()

    def close(self) -> None:
        if not self.closed:
            self._wait(False)
            self.closed = True
            self._pieces.clear()
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DISCARD)
            self._sock.close()


@dataclass(slots=True)
class Landing:
    """Where the bytes behind a header go, and whom to tell when they are all there."""

    place: memoryview
    on_arrival: Callable[[], None]


class Receiver:
    """Receives frames. `on_header` says where the bytes behind a header go, or None if there are none.

    Whatever goes wrong (end of stream, a header that makes no sense) closes the connection and calls `on_lost` once
    with the reason.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_header: Callable[[Any], Landing | None],
        on_lost: Callable[[BaseException | None], None],
    ) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._on_header = on_header
        self._on_lost = on_lost
        self._header = memoryview(bytearray(LENGTH.size + PAGE_HEADER_BYTES_MAX))
        self._landing: Landing | None = None
        self._target = self._header[: LENGTH.size]
        self._filled = 0
        self.closed = False
        self._loop.add_reader(sock, self._readable)

    def _readable(self) -> None:
        turn = TURN_BYTES
        try:
            while turn > 0 and not self.closed:
                count = self._sock.recv_into(self._target[self._filled :])
                if count == 0:
                    return self.close(None)
                turn -= count
                self._filled += count
                if self._filled == len(self._target):
                    self._complete()
        except BlockingIOError:
            pass
        except (OSError, DsmError) as error:
            self.close(error)

    def _complete(self) -> None:
        if self._landing is not None:
            landing, self._landing = self._landing, None
            self._expect(self._header[: LENGTH.size])
            landing.on_arrival()
            return
        size = int(LENGTH.unpack_from(self._header)[0])
        if not 0 < size <= PAGE_HEADER_BYTES_MAX:
            raise LimitExceeded(f"a header of {size:,} bytes on the page stream, of 1 to {PAGE_HEADER_BYTES_MAX:,}")
        if self._filled == LENGTH.size:
            self._target = self._header[: LENGTH.size + size]
            return
        self._landing = self._on_header(_decode(self._header[LENGTH.size : LENGTH.size + size]))
        self._expect(self._header[: LENGTH.size] if self._landing is None else self._landing.place)

    def _expect(self, target: memoryview) -> None:
        self._target, self._filled = target, 0

    def close(self, reason: BaseException | None = None) -> None:
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._sock)
            self._sock.close()
            self._landing = None
            self._expect(self._header)  # lets go of the region's mapping
            self._on_lost(reason)


def _decode(header: memoryview) -> Any:
    try:
        return msgpack.unpackb(header, max_array_len=64, max_map_len=64, max_str_len=256, max_bin_len=0, max_ext_len=0)
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a header on the page stream is not msgpack: {error}") from error
