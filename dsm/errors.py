"""Every exception that this package raises on purpose, in one closed tree.

    DsmError                        (Exception)
    ├── InvalidArgument             (ValueError)         you: a bad name, size, offset, option
    ├── RegionExists                (FileExistsError)    you: create() of a name that is taken
    ├── RegionNotFound              (FileNotFoundError)  you: open() of a name that is not there
    ├── AccessDenied                (PermissionError)    you: a write through "r", a socket of a stranger
    ├── RegionClosed                (ValueError)         you: use after close()
    ├── ArraysAlive                 (BufferError)        you: close() while arrays still point into the region
    ├── TransparentAccessUnavailable(RuntimeError)       this machine: no userfaultfd; scoped access works
    ├── MemoryLimitExceeded         (MemoryError)        this node: its memory limit is reached
    ├── DeadlineExceeded            (TimeoutError)       somebody else holds what was asked for
    ├── PageLost                    (OSError)            the only copy of a page died with its node
    ├── Unavailable                 (ConnectionError)    a process that is needed cannot be reached
    │   ├── NodeUnavailable                              the node daemon of this host
    │   ├── DirectoryUnavailable                         the directory service
    │   └── SessionLost                                  the node's session ended; its copies are void
    ├── LimitExceeded                                    a frame, table or queue beyond its bound
    └── ProtocolError                                    a peer (or this program) broke the protocol

Each also derives from the built-in class that the standard library raises in the same case, so code written for
``multiprocessing.shared_memory`` keeps working. ``definite`` tells whether the operation *certainly* did not
happen; only an ``Unavailable`` may leave that open. ``remedy`` says what to do next and is part of ``str(error)``.
"""

from __future__ import annotations

from typing import ClassVar


class DsmError(Exception):
    """Root of the tree.

    Args:
        message: what was asked, of whom, and why it failed.
        remedy: what to do next, an imperative sentence; empty if the message says it.
        definite: True if the operation certainly did not happen.
    """

    default_remedy: ClassVar[str] = ""

    def __init__(self, message: str, *, remedy: str | None = None, definite: bool = True) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = self.default_remedy if remedy is None else remedy
        self.definite = definite

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.remedy, self.definite))


class InvalidArgument(DsmError, ValueError):
    """An argument is outside what the call accepts."""


class RegionExists(DsmError, FileExistsError):
    """A region of this name exists already."""

    default_remedy = "Use open_or_create(), or unlink() the old region first"


class RegionNotFound(DsmError, FileNotFoundError):
    """No region of this name exists."""

    default_remedy = "Create it with create(), or see `dsm ls` for the names there are"


class AccessDenied(DsmError, PermissionError):
    """The caller has no right to do this."""


class RegionClosed(DsmError, ValueError):
    """The region or client was closed before."""

    default_remedy = "Open it again"


class ArraysAlive(DsmError, BufferError):
    """The region cannot be closed while arrays or views into it are alive."""

    default_remedy = "Delete them, or leave the closing to their garbage collection"


class TransparentAccessUnavailable(DsmError, RuntimeError):
    """Plain loads and stores need userfaultfd, which this process cannot have."""

    default_remedy = "Use region.read() and region.write(), or run `dsm doctor` for the way to enable it"


class MemoryLimitExceeded(DsmError, MemoryError):
    """The node is at its memory limit and nothing on it can be evicted."""

    default_remedy = "Raise the node's --memory-limit, or unlink regions that are not needed"


class DeadlineExceeded(DsmError, TimeoutError):
    """The wait was longer than the caller allowed."""


class PageLost(DsmError, OSError):
    """The only copy of a page is gone with the node that held it."""

    default_remedy = "Unlink the region and create it anew from its source"


class Unavailable(DsmError, ConnectionError):
    """A process that is needed cannot be reached."""

    def __init__(self, message: str, *, remedy: str | None = None, definite: bool = False) -> None:
        super().__init__(message, remedy=remedy, definite=definite)


class NodeUnavailable(Unavailable):
    """The node daemon of this host cannot be reached."""

    default_remedy = "Start one with `dsm node`, or set DSM_NODE to its socket"


class DirectoryUnavailable(Unavailable):
    """The directory service cannot be reached."""

    default_remedy = "Start it with `dsm directory`, or check the address given to the node daemon"


class SessionLost(Unavailable):
    """The node's session with the directory ended during the operation; its copies of pages are void."""

    default_remedy = "Try again when `dsm status` shows the node as joined"


class LimitExceeded(DsmError):
    """A bound of dsm.limits was passed."""


class ProtocolError(DsmError):
    """A message or event has no row in the protocol's table, or bytes could not be decoded."""


def _rebuild(kind: type[DsmError], message: str, remedy: str, definite: bool) -> DsmError:
    return kind(message, remedy=remedy, definite=definite)


def _family(kind: type[DsmError]) -> dict[str, type[DsmError]]:
    found = {kind.__name__: kind}
    for child in kind.__subclasses__():
        found.update(_family(child))
    return found


#: Every class of the tree by name, for carrying an error from one process to another.
BY_NAME: dict[str, type[DsmError]] = _family(DsmError)
