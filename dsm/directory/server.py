"""The directory as a process: opens the store, serves until it is cancelled, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from dsm.directory.service import Regions, Sessions
from dsm.directory.state import Directory
from dsm.directory.store import Store
from dsm.errors import DirectoryUnavailable, InvalidArgument
from dsm.limits import RECOVERY_SECONDS, STOP_SECONDS
from dsm.trace.files import recording
from dsm.trace.records import DIRECTORY
from dsm.wire import rpc

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DirectoryOptions:
    listen: str
    """host:port; port 0 picks a free one."""
    store: str
    """A file, or ":memory:"."""
    version: str = ""
    """Of this program, for those who ask."""
    trace: str | None = None
    """A directory in which to record every step of a page."""


async def run_directory(options: DirectoryOptions, ready: Callable[[str], None]) -> None:
    """Serve until cancelled; call `ready` with the host:port that clients can reach.

    Raises:
        DirectoryUnavailable: the store cannot be used.
        InvalidArgument: the address cannot be listened on, or no trace can be written.
    """
    store = Store(options.store)
    try:
        with recording(options.trace, DIRECTORY, DIRECTORY, options.version) as recorder:
            await _serve(options, Directory(store, options.version, recorder), ready)
    finally:
        store.close()


async def _serve(options: DirectoryOptions, directory: Directory, ready: Callable[[str], None]) -> None:
    server = rpc.server()
    rpc.add_directory(server, Regions(directory))
    rpc.add_session(server, Sessions(directory))
    await rpc.add_health_and_reflection(server, rpc.DIRECTORY_SERVICE, rpc.SESSION_SERVICE)
    address = _bind(server, options.listen)
    await server.start()
    log.info("directory at %s with store %s", address, options.store)
    try:
        ready(address)
        # Afterwards there is nothing to do but to answer.
        await asyncio.sleep(RECOVERY_SECONDS)
        _sweep(directory)
        await server.wait_for_termination()
    finally:
        directory.stop()
        await server.stop(STOP_SECONDS / 2)


def _sweep(directory: Directory) -> None:
    try:
        directory.sweep()
    except DirectoryUnavailable as error:
        log.error("regions that nobody claimed are kept until the next start: %s", error)  # noqa: TRY400


def _bind(server: grpc.aio.Server, listen: str) -> str:
    host, colon, port = listen.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise InvalidArgument(f"an address to listen on is host:port, unlike {listen!r:.300}")
    try:
        bound = server.add_insecure_port(listen)
    except RuntimeError as error:
        bound = 0
        log.debug("gRPC says: %s", error)
    if bound == 0:
        raise InvalidArgument(
            f"cannot listen on {listen}", remedy="Choose an address of this host and a port that is free, or 0"
        )
    return f"{host}:{bound}"
