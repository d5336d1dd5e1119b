"""One connection to the node daemon: frames out, replies in, each to who waits for it. Does not wait itself.

A transport decides how to wait. It calls `start()`, lets `pump()` send and `receive()` take what there is, and is told
through its `Waiter`. All descriptors that arrive are passed on or closed.

Threads: `start()`, `post()`, `pump()` and `abandon()` may be called by any, `receive()` by one at a time. `post()` is
for finalizers, which may run anywhere, also in the middle of the other methods on the same thread: it takes no lock
that it would have to wait for.

A caller that no longer waits (time-out, Ctrl-C, cancelled task) abandons its call: a frame not yet sent is taken back,
for one that was sent `cancel` asks the daemon to undo what it takes for it, and a late reply is thrown away.

An exception in the middle of a frame, from a signal handler say, breaks the connection, since its place in the stream
is lost. `shield.Shield` keeps Ctrl-C out of there.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import socket
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dsm.errors import DsmError, NodeUnavailable, ProtocolError
from dsm.limits import LOCAL_DESCRIPTORS_MAX
from dsm.wire.local import FrameReader, encode, error_from_map

RECEIVE_BYTES = 1 << 16
_ANCILLARY_BYTES = socket.CMSG_SPACE(LOCAL_DESCRIPTORS_MAX * array.array("i").itemsize)
_UNDOABLE = frozenset({"attach", "begin", "create", "open", "prefetch"})


@dataclass(slots=True)
class Reply:
    """What the daemon answered: a value, and descriptors that are the receiver's to close."""

    value: Any
    fds: tuple[int, ...] = ()


Outcome = Reply | DsmError


class Waiter(Protocol):
    """Who waits for a reply."""

    def deliver(self, outcome: Outcome) -> None:
        """Take the outcome. Called once, by whoever received it."""


@dataclass(slots=True, eq=False)
class _Outgoing:
    data: bytes
    fds: tuple[int, ...]
    sent: int = 0


@dataclass(slots=True, eq=False)
class Call:
    """A request under way."""

    number: int
    op: str
    waiter: Waiter
    outgoing: _Outgoing

    @property
    def sent(self) -> bool:
        return self.outgoing.sent == len(self.outgoing.data)


class Channel:
    """A connected socket, frames waiting to be sent, and calls waiting for their reply."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        sock.setblocking(False)
        self.address = address
        self.broken: DsmError | None = None
        self.calls: dict[int, Call] = {}
        self._socket = sock
        self._numbers = itertools.count(1)
        self._outgoing: deque[_Outgoing] = deque()
        self._sending = threading.Lock()
        self._reader = FrameReader()
        self._arrived: deque[int] = deque()
        # Not in close(): a thread may be about to poll the descriptor, and its number would soon be another file's.
        weakref.finalize(self, sock.close).atexit = False

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def unsent(self) -> bool:
        return bool(self._outgoing) and self.broken is None

    def start(self, op: str, arguments: dict[str, object], fds: Sequence[int], waiter: Waiter) -> Call:
        """Queue a request; `fds` stay open until its reply or `abandon()`."""
        if self.broken is not None:
            raise _again(self.broken, definite=True)
        number = next(self._numbers)
        message = {"id": number, "op": op, **arguments}
        if fds:
            message["fds"] = len(fds)
        call = Call(number, op, waiter, _Outgoing(encode(message), tuple(fds)))
        self.calls[number] = call
        self._outgoing.append(call.outgoing)
        return call

    def post(self, op: str, **arguments: object) -> None:
        """Queue a request whose reply does not matter and send what the socket takes now. Never waits or raises."""
        if self.broken is None:
            self._outgoing.append(_Outgoing(encode({"id": next(self._numbers), "op": op, **arguments}), ()))
            self.pump()

    def pump(self) -> bool:
        """Send what is queued, as far as the socket takes it. False if it would take no more."""
        while self._outgoing and self.broken is None:
            if not self._sending.acquire(blocking=False):
                return True  # who sends now looks at the queue once more afterwards, in the line above
            try:
                blocked = not self._send_queue()
            finally:
                self._sending.release()
            if blocked:
                return False
        return True

    def receive(self) -> None:
        """Take what has arrived and deliver the replies that are complete."""
        try:
            self._receive()
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(NodeUnavailable(f"the connection to the node daemon at {self.address} broke: {error.strerror}"))
        except DsmError as error:
            remedy = "Check that a dsm node daemon of the same version listens there"
            self.fail(ProtocolError(f"the node daemon at {self.address} sent {error.message}", remedy=remedy))
        except BaseException:
            self.fail(self._interrupted())
            raise

    def abandon(self, call: Call) -> None:
        """Nobody waits for this call any more."""
        unanswered = self.calls.pop(call.number, None) is not None
        with self._sending:
            if call.outgoing.sent == 0 and call.outgoing in self._outgoing:
                self._outgoing.remove(call.outgoing)
                return
        if call.op in _UNDOABLE or unanswered:
            self.post("cancel", call=call.number)

    def fail(self, error: DsmError) -> None:
        """End the connection: everybody who waits, now or later, gets this error."""
        if self.broken is not None:
            return
        self.broken = error
        with contextlib.suppress(OSError):  # the daemon was faster
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes a thread that polls
        while self._arrived:
            os.close(self._arrived.popleft())
        while self.calls:
            _, call = self.calls.popitem()
            call.waiter.deliver(_again(error, definite=error.definite))

    def discard(self, reason: DsmError) -> None:
        """In a forked child: close this process's copies, which its parent does not notice, and wake nobody."""
        self.broken = reason
        self.calls = {}  # of threads that do not exist here; their locks may be held for ever
        self._socket.close()
        while self._arrived:
            os.close(self._arrived.popleft())

    def _send_queue(self) -> bool:
        try:
            while self._outgoing:
                self._send(self._outgoing[0])
                self._outgoing.popleft()
        except BlockingIOError:
            return False
        except OSError as error:
            self.fail(NodeUnavailable(f"the connection to the node daemon at {self.address} broke: {error.strerror}"))
        except BaseException:
            self.fail(self._interrupted())
            raise
        return True

    def _send(self, frame: _Outgoing) -> None:
        while frame.sent < len(frame.data):
            # The descriptors go with the first byte of their frame, and only once.
            beside = [_rights(frame.fds)] if frame.fds and not frame.sent else []
            rest = memoryview(frame.data)[frame.sent :]
            frame.sent += self._socket.sendmsg([rest], beside, socket.MSG_NOSIGNAL)

    def _receive(self) -> None:
        flags = socket.MSG_CMSG_CLOEXEC
        data, beside, _, _ = self._socket.recvmsg(RECEIVE_BYTES, _ANCILLARY_BYTES, flags)
        for level, kind, payload in beside:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._arrived.extend(_descriptors(payload))
        if len(self._arrived) > LOCAL_DESCRIPTORS_MAX:
            raise ProtocolError("more descriptors than their frames announce")
        if not data:
            self.fail(NodeUnavailable(f"the node daemon at {self.address} closed the connection"))
        for message in self._reader.feed(data):
            self._deliver(message)

    def _deliver(self, message: dict[str, Any]) -> None:
        number, count = message.get("id"), message.get("fds", 0)
        if not isinstance(number, int) or not isinstance(count, int) or not 0 <= count <= len(self._arrived):
            raise ProtocolError(f"a reply without a number or its descriptors: {message!r:.200}")
        fds = tuple(self._arrived.popleft() for _ in range(count))
        outcome = error_from_map(message["error"]) if "error" in message else Reply(message.get("ok"), fds)
        call = self.calls.pop(number, None)
        if call is None or isinstance(outcome, DsmError):
            close_all(fds)
        if call is not None:
            call.waiter.deliver(outcome)
        elif number == 0 and isinstance(outcome, DsmError):
            self.fail(outcome)

    def _interrupted(self) -> NodeUnavailable:
        message = f"the connection to the node daemon at {self.address} was interrupted in the middle of a frame"
        return NodeUnavailable(message, remedy="Connect again")


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that nobody wants."""
    for fd in fds:
        os.close(fd)


def _again(error: DsmError, *, definite: bool) -> DsmError:
    """A copy: one exception raised by several threads would collect the tracebacks of all."""
    return type(error)(error.message, remedy=error.remedy, definite=definite)


def _rights(fds: tuple[int, ...]) -> tuple[int, int, bytes]:
    return socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes()


def _descriptors(payload: bytes) -> array.array[int]:
    descriptors = array.array("i")
    whole = len(payload) - len(payload) % descriptors.itemsize
    descriptors.frombytes(payload[:whole])
    return descriptors
