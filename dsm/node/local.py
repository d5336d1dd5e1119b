"""The local socket: frames and descriptors to and from the processes of this host.

Only the daemon's own user, root, and users it was told to trust may connect (SO_PEERCRED). A connection is a client:
what it opened, attached and locked is its own, and goes when it closes, for whatever reason.

A client that sends what is not a frame, or more than the limits allow, gets one error frame and is cut off; nobody else
notices. Replies that a client does not read pile up only to the limit, then it is cut off too.

Calls that are under way when a client goes are carried through: what they took is given back by their handler, which
knows best. An error that nobody expected is logged, and told to the client that asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dsm.errors import AccessDenied, DsmError, LimitExceeded, NodeUnavailable, ProtocolError
from dsm.limits import LOCAL_CALLS_MAX, LOCAL_CLIENTS_MAX, LOCAL_DESCRIPTORS_MAX, LOCAL_REPLY_FRAMES_MAX
from dsm.node.accepting import accept
from dsm.wire.local import FrameReader, Message, encode, error_to_map

log = logging.getLogger(__name__)

RECEIVE_BYTES = 64 << 10
PEER = struct.Struct("3i")  # struct ucred: pid, uid, gid
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)
DESCRIPTORS_REMEDY = "Close regions, or start the node daemon with more open files (ulimit -n)"
TURNED_AWAY_MAX = 16  # connections that were refused and are still open for their last word


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel saw it at connect()."""

    pid: int
    uid: int
    gid: int


@dataclass(slots=True)
class Call:
    """One request of a client, with the descriptors that came with it. Who takes one owns it."""

    op: str
    arguments: Message
    descriptors: list[int]

    @property
    def number(self) -> int:
        """What the client calls it by."""
        return int(self.arguments["id"])

    def close(self) -> None:
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors.clear()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers. Descriptors stay the handler's."""

    value: object
    descriptors: Sequence[int] = ()


Answer = Reply | Coroutine[Any, Any, Reply]


class Handler(Protocol):
    """What answers one client's calls."""

    def handle(self, call: Call) -> Answer: ...

    def closed(self) -> None: ...


class Connection:
    """One client."""

    def __init__(
        self,
        sock: socket.socket,
        handler: Handler,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        on_closed: Callable[[Connection], None],
    ) -> None:
        self._sock = sock
        self._handler = handler
        self._spawn = spawn
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._descriptors: deque[int] = deque()
        self._outgoing: deque[tuple[memoryview, list[int]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self.closed = False
        sock.setblocking(False)
        self._loop.add_reader(sock, self._readable)

    def _readable(self) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._sock, RECEIVE_BYTES, LOCAL_DESCRIPTORS_MAX)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors, flags = b"", [], 0
        self._descriptors.extend(descriptors)
        if data:
            self._arrived(data, flags)
        else:
            self.close()

    def _arrived(self, data: bytes, flags: int) -> None:
        try:
            if len(self._descriptors) > LOCAL_DESCRIPTORS_MAX:
                raise LimitExceeded(f"more than {LOCAL_DESCRIPTORS_MAX} descriptors wait for their frame")
            if flags & socket.MSG_CTRUNC:
                raise LimitExceeded("the node daemon had no room for a client's descriptors", remedy=DESCRIPTORS_REMEDY)
            for message in self._reader.feed(data):
                if not self.closed:
                    self._received(message)
        except (LimitExceeded, ProtocolError) as error:
            self._refuse(error)

    def _received(self, message: Message) -> None:
        match message:
            case {"id": int(number), "op": str(op)} if number > 0:
                call = Call(op, message, self._take(message.get("fds", 0)))
            case _:
                raise ProtocolError(f"a request needs a positive id and an op: {message!r:.200}")
        if len(self._calls) >= LOCAL_CALLS_MAX:
            call.close()
            raise LimitExceeded(f"more than {LOCAL_CALLS_MAX} calls of one client under way")
        try:
            answer = self._handler.handle(call)
        except DsmError as error:
            self._reply_error(number, error)
        except Exception as error:
            log.exception("%s of a client failed", op)
            self._reply_error(number, _unexpected(error, op))
        else:
            self._answer(number, call, answer)
            return
        call.close()

    def _answer(self, number: int, call: Call, answer: Answer) -> None:
        if isinstance(answer, Reply):
            call.close()
            self._reply(number, answer)
            return
        task = self._spawn(self._finish(number, call, answer), f"{call.op} of a client")
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _finish(self, number: int, call: Call, answer: Coroutine[Any, Any, Reply]) -> None:
        try:
            self._reply(number, await answer)
        except DsmError as error:
            self._reply_error(number, error)
        except Exception as error:
            log.exception("%s of a client failed", call.op)
            self._reply_error(number, _unexpected(error, call.op))
        finally:
            call.close()

    def _take(self, count: object) -> list[int]:
        if not isinstance(count, int) or not 0 <= count <= len(self._descriptors):
            raise ProtocolError(f"a frame announces {count!r} descriptors, {len(self._descriptors)} came with it")
        return [self._descriptors.popleft() for _ in range(count)]

    # --- replies ----------------------------------------------------------------------------------------------

    def _reply(self, number: int, reply: Reply) -> None:
        try:
            frame = encode({"id": number, "ok": reply.value, "fds": len(reply.descriptors)})
        except LimitExceeded as error:
            self._reply_error(number, error)
        else:
            self._send(frame, [os.dup(fd) for fd in reply.descriptors])

    def _reply_error(self, number: int, error: DsmError) -> None:
        self._send(encode({"id": number, "error": error_to_map(error)}), [])

    def _refuse(self, error: DsmError) -> None:
        log.warning("cut a client off: %s", error)
        self._reply_error(0, error)
        self.close()

    def _send(self, frame: bytes, descriptors: list[int]) -> None:
        if self.closed or len(self._outgoing) >= LOCAL_REPLY_FRAMES_MAX:
            _close_all(descriptors)
            self.close()
            return
        self._outgoing.append((memoryview(frame), descriptors))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                frame, descriptors = self._outgoing[0]
                sent = socket.send_fds(self._sock, [frame], descriptors)
                _close_all(descriptors)
                self._outgoing[0] = (frame[sent:], [])
                if sent == len(frame):
                    self._outgoing.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._flush)
        except OSError:
            self.close()
        else:
            self._loop.remove_writer(self._sock)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        _close_all(self._descriptors)
        for _, descriptors in self._outgoing:
            _close_all(descriptors)
        self._handler.closed()
        self._on_closed(self)


class LocalServer:
    """Listens on the Unix socket."""

    def __init__(
        self,
        path: str,
        trusted_uids: frozenset[int],
        make_handler: Callable[[Peer], Handler],
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self.path = path
        self._trusted = trusted_uids | {0, os.geteuid()}
        self._make_handler = make_handler
        self._spawn = spawn
        self._connections: set[Connection] = set()
        self._turned_away: deque[socket.socket] = deque()
        self._listener: socket.socket | None = None

    def listen(self) -> None:
        """Make the socket, readable and writable for this user (and those trusted) only.

        Raises:
            NodeUnavailable: another daemon listens there, or the path cannot be used.
        """
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            others = not self._trusted <= {0, os.geteuid()}
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), mode=0o755 if others else 0o700, exist_ok=True)
            _remove_stale(self.path)
            listener.bind(self.path)
            os.chmod(self.path, 0o666 if others else 0o600)
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise NodeUnavailable(
                f"cannot listen on {self.path}: {error}", remedy="Give another path with --socket", definite=True
            ) from error
        listener.setblocking(False)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept)

    def _accept(self) -> None:
        assert self._listener is not None
        sock = accept(self._listener, self._accept, "a client")
        if sock is None:
            return
        peer = Peer(*PEER.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)))
        refusal = self._refusal(peer)
        if refusal is not None:
            self._turn_away(sock, refusal)
            return
        self._connections.add(Connection(sock, self._make_handler(peer), self._spawn, self._connections.discard))

    def _turn_away(self, sock: socket.socket, refusal: DsmError) -> None:
        # Closed later: a client that is about to say hello would get a broken pipe, and not read why.
        with contextlib.suppress(OSError):
            sock.send(encode({"id": 0, "error": error_to_map(refusal)}))
            sock.shutdown(socket.SHUT_WR)
        self._turned_away.append(sock)
        if len(self._turned_away) > TURNED_AWAY_MAX:
            self._turned_away.popleft().close()

    def _refusal(self, peer: Peer) -> DsmError | None:
        if peer.uid not in self._trusted:
            return AccessDenied(
                f"this node daemon does not serve user {peer.uid}", remedy=f"Start it with --trust-uid {peer.uid}"
            )
        if len(self._connections) >= LOCAL_CLIENTS_MAX:
            return LimitExceeded(f"more than {LOCAL_CLIENTS_MAX} clients of one node")
        return None

    def close(self) -> None:
        for connection in list(self._connections):
            connection.close()
        while self._turned_away:
            self._turned_away.popleft().close()
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)


def _remove_stale(path: str) -> None:
    """Remove the socket of a daemon that is gone. OSError if it is alive, or if this is something else."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            if not stat.S_ISSOCK(os.stat(path).st_mode):  # connect() refuses what is no socket, too
                raise OSError("that is no socket")
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except FileNotFoundError:
            return
        else:
            raise OSError("another node daemon listens there")


def _unexpected(error: Exception, op: str) -> DsmError:
    """What a client is told of an error that no handler expected."""
    if isinstance(error, OSError) and error.errno in NO_DESCRIPTOR:
        return LimitExceeded(f"the node daemon has no descriptor left for {op!r:.40}", remedy=DESCRIPTORS_REMEDY)
    return ProtocolError(f"{op!r:.40} failed in the node daemon: {error!r:.200}", remedy="See the daemon's log")


def _close_all(descriptors: deque[int] | list[int]) -> None:
    for fd in descriptors:
        os.close(fd)
    descriptors.clear()
