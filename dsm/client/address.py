"""The way to the node daemon: find its socket, connect, and see who is behind it.

A socket in /tmp or in a shared directory may have been put there by anybody, and who answers it decides what this
process's memory reads as. So the process behind it must run as root or as this user; DSM_TRUST_UIDS adds others, as
numbers with commas between.
"""

from __future__ import annotations

import os
import socket
import stat
import struct

from dsm.errors import AccessDenied, InvalidArgument, NodeUnavailable
from dsm.wire.local import default_socket

_PATH_BYTES_MAX = 107  # sun_path of unix(7), less its closing NUL
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


def open_socket(address: str | os.PathLike[str] | None, timeout: float) -> tuple[socket.socket, str]:
    """Return a connected socket whose peer is trusted, and its path. An address of None is this host's default.

    Raises:
        InvalidArgument: the address is no path of a socket.
        NodeUnavailable: nobody listens there.
        AccessDenied: the socket belongs to someone else.
    """
    path = _path(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.settimeout(timeout)
        _connect(sock, path)
        _check_peer(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock, path


def _path(address: str | os.PathLike[str] | None) -> str:
    path = default_socket() if address is None else address
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgument(f"an address is the path of a node daemon's socket, not {address!r:.100}")
    if not os.fspath(path):
        message = "there is no socket at '': the path is empty"
        raise InvalidArgument(message, remedy="Name the node daemon's socket, or leave it out for this host's default")
    absolute = os.path.abspath(path)  # the working directory may change, and a pickled client may wake up elsewhere
    if "\0" in absolute or len(os.fsencode(absolute)) > _PATH_BYTES_MAX:
        raise InvalidArgument(
            f"a Unix socket's path has at most {_PATH_BYTES_MAX} bytes and no NUL: {absolute!r:.200}",
            remedy="Give the node daemon a shorter --socket",
        )
    return absolute


def _connect(sock: socket.socket, path: str) -> None:
    try:
        sock.connect(path)
    except PermissionError as error:
        message = f"this user may not connect to the node daemon's socket {path}"
        raise AccessDenied(
            message, remedy="Join the group that owns the socket, or run a node daemon of your own"
        ) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NodeUnavailable(f"there is no node daemon's socket at {path}", definite=True) from error
    except ConnectionRefusedError as error:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            message = f"there is no socket at {path}, but something else"
            raise NodeUnavailable(message, definite=True) from error
        raise NodeUnavailable(f"no node daemon listens on {path} any more", definite=True) from error
    except OSError as error:  # a time-out, a file that is no stream socket
        raise NodeUnavailable(f"cannot connect to the node daemon at {path}: {error}", definite=True) from error


def _check_peer(sock: socket.socket, path: str) -> None:
    _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid not in {0, os.geteuid(), *_trusted()}:
        raise AccessDenied(
            f"the process that listens on {path} runs as user {uid}, neither root nor this user",
            remedy=f"If that user may see and change your regions, set DSM_TRUST_UIDS={uid}",
        )


def _trusted() -> set[int]:
    text = os.environ.get("DSM_TRUST_UIDS", "")
    try:
        return {int(uid) for uid in text.split(",") if uid.strip()}
    except ValueError:
        message = f"DSM_TRUST_UIDS is {text!r:.100}, not numbers of users with commas between"
        raise InvalidArgument(message) from None
