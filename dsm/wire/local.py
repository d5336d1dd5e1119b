"""Frames of the local socket, between a client and the node daemon of its host.

A frame is a length of four bytes, big-endian, and so many bytes of msgpack that hold one map with names as keys.

    request   {"id": 1, "op": "open", "name": "grid"}                      "fds": n if n descriptors accompany it
    reply     {"id": 1, "ok": {...}}                                        the same
    failure   {"id": 1, "error": {"type", "message", "remedy", "definite"}} type: a class name of dsm.errors

Replies come in any order. A daemon that cannot make sense of a frame answers once with id 0 and closes, because
after a bad length nothing on the stream can be trusted any more. Descriptors travel as SCM_RIGHTS beside the first
byte of their frame; this module does not touch sockets.

Caveat: what came before a bad frame in the same `feed` is discarded with it; the connection is over anyway.

This is the only module of `wire` that a client imports, so it imports neither grpc nor generated code.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from typing import Any

import msgpack

from dsm.errors import BY_NAME, DsmError, LimitExceeded, ProtocolError
from dsm.limits import LOCAL_ARRAY_ITEMS_MAX, LOCAL_FRAME_BYTES_MAX

PROTOCOL_VERSION = 1
"""Spoken by both sides of the socket, exchanged by `hello`."""

LENGTH = struct.Struct(">I")
SYSTEM_SOCKET = "/run/dsm/node.sock"

Message = dict[str, Any]


def encode(message: Mapping[str, object]) -> bytes:
    """Return the frame of a message, length included.

    Raises:
        LimitExceeded: it is longer than LOCAL_FRAME_BYTES_MAX.
    """
    body = msgpack.packb(message, use_bin_type=True)
    if len(body) > LOCAL_FRAME_BYTES_MAX:
        raise LimitExceeded(f"a frame of {len(body):,} bytes on the local socket, of {LOCAL_FRAME_BYTES_MAX:,} at most")
    return LENGTH.pack(len(body)) + bytes(body)


class FrameReader:
    """Cuts a stream of bytes into messages; holds at most one unfinished frame and one `feed`."""

    def __init__(self, limit: int = LOCAL_FRAME_BYTES_MAX) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> list[Message]:
        """Take what a socket gave and return the messages that are complete now, oldest first.

        Raises:
            LimitExceeded: a frame announces more than the limit.
            ProtocolError: a frame is empty, or is not one map with names as keys.
        """
        self._buffer += data
        messages = []
        start = 0
        while len(self._buffer) - start >= LENGTH.size:
            end = start + LENGTH.size + self._length(start)
            if len(self._buffer) < end:
                break
            messages.append(_decode(bytes(self._buffer[start + LENGTH.size : end])))
            start = end
        del self._buffer[:start]
        return messages

    def _length(self, start: int) -> int:
        length = int(LENGTH.unpack_from(self._buffer, start)[0])
        if length == 0:
            raise ProtocolError("an empty frame on the local socket")
        if length > self._limit:
            raise LimitExceeded(f"a frame of {length:,} bytes on the local socket, of {self._limit:,} at most")
        return length


def _decode(body: bytes) -> Message:
    try:
        # Strings and maps are bounded by the body's own length. Arrays are reserved as announced, once for each level
        # of nesting, so they need a bound of their own. No extension type has a meaning here.
        message = msgpack.unpackb(
            body, raw=False, strict_map_key=True, max_array_len=LOCAL_ARRAY_ITEMS_MAX, ext_hook=_refuse, max_ext_len=0
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise ProtocolError(f"a frame on the local socket is not msgpack: {error}") from error
    if not isinstance(message, dict) or not all(isinstance(key, str) for key in message):
        raise ProtocolError(f"a frame on the local socket holds {type(message).__name__}, not a map with names as keys")
    return message


def _refuse(code: int, _data: bytes) -> object:
    raise ValueError(f"extension type {code} has no meaning here")


def error_to_map(error: DsmError) -> Message:
    """Return what `error_from_map` makes the same error of."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "definite": error.definite,
    }


def error_from_map(fields: object) -> DsmError:
    """Return the error that a peer reported. A class that this version does not know becomes a plain DsmError.

    Raises:
        ProtocolError: these are not the fields of an error.
    """
    match fields:
        case {"type": str(kind), "message": str(message), "remedy": str(remedy), "definite": bool(definite)}:
            return BY_NAME.get(kind, DsmError)(message, remedy=remedy, definite=definite)
    raise ProtocolError(f"an error without type, message, remedy and definite: {fields!r:.200}")


def default_socket() -> str:
    """Return the socket of this host's node daemon: $DSM_NODE, the system's, or the user's own."""
    if named := os.environ.get("DSM_NODE"):
        return named
    if os.path.exists(SYSTEM_SOCKET):
        return SYSTEM_SOCKET
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return os.path.join(runtime, "dsm", "node.sock")
    return f"/tmp/dsm-{os.getuid()}/node.sock"  # noqa: S108  (made 0700, and checked whose it is)
