"""Accepting connections on the daemon's own sockets: the Unix socket of the clients, the port of the page streams.

A connection that cannot be accepted, because the daemon has no descriptor left, stays in the kernel's queue, and the
socket stays readable. Without a rest the event loop would come back to it at once, for ever, a line of log each time.
Whoever waits in the queue is served when others have gone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from dsm.limits import ACCEPT_PAUSE_SECONDS

log = logging.getLogger(__name__)


def accept(listener: socket.socket, on_readable: Callable[[], None], what: str) -> socket.socket | None:
    """Accept what the loop called `on_readable` for. None if that is not possible; then the loop calls again later."""
    try:
        return listener.accept()[0]
    except OSError as error:
        log.warning("cannot accept %s, trying again in %g s: %s", what, ACCEPT_PAUSE_SECONDS, error)
    loop = asyncio.get_running_loop()
    loop.remove_reader(listener)
    loop.call_later(ACCEPT_PAUSE_SECONDS, _listen_again, listener, on_readable)
    return None


def _listen_again(listener: socket.socket, on_readable: Callable[[], None]) -> None:
    if listener.fileno() >= 0:  # the daemon may have ended meanwhile
        asyncio.get_running_loop().add_reader(listener, on_readable)
