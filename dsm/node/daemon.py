"""Starts and stops a node daemon."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable
from dataclasses import dataclass

from dsm import __version__
from dsm.errors import InvalidArgument
from dsm.node.fallback import NodeService
from dsm.node.local import LocalServer
from dsm.node.node import Node
from dsm.node.requests import Client
from dsm.trace.files import Recorder, recording
from dsm.trace.records import NODE
from dsm.wire import rpc

log = logging.getLogger(__name__)

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104  # to recognise them


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What a node daemon is started with. Addresses are host:port; port 0 picks a free one."""

    name: str
    directory: str
    socket: str
    memory_limit: int
    """Bytes of pages, over all regions."""
    listen: str = "127.0.0.1:0"
    """Where other nodes reach the gRPC service; the page stream listens on the same host."""
    page_port: int = 0
    advertise: str | None = None
    """The host that other nodes are told, if it is not the one listened on."""
    trusted_uids: frozenset[int] = frozenset()
    """Users that may connect to the local socket besides the daemon's own and root."""
    trace: str | None = None
    """A directory in which to record every step of a page."""


async def run_node(options: NodeOptions, ready: Callable[[dict[str, object]], None]) -> None:
    """Serve until cancelled. `ready` is called once, when clients can connect; joining goes on behind it.

    Raises:
        NodeUnavailable: the socket's path cannot be used.
        InvalidArgument: an address cannot be listened on, or no trace can be written.
    """
    _allow_many_descriptors()
    with recording(options.trace, NODE, options.name, __version__) as recorder:
        await _serve(options, ready, recorder)


async def _serve(options: NodeOptions, ready: Callable[[dict[str, object]], None], recorder: Recorder | None) -> None:
    host, port = split_address(options.listen)
    advertised = options.advertise or (socket.gethostname() if host in WILDCARDS else host)
    server = rpc.server()
    async with asyncio.TaskGroup() as tasks:
        node = Node(options.name, options.directory, options.memory_limit, tasks, recorder)
        local = LocalServer(options.socket, options.trusted_uids, lambda peer: Client(node, peer), node.spawn)
        running: list[asyncio.Task[None]] = []
        try:
            rpc.add_node(server, NodeService(node))
            await rpc.add_health_and_reflection(server, rpc.NODE_SERVICE)
            page_port = _listening(lambda: node.streams.listen(host, options.page_port), host, options.page_port)
            grpc_port = _listening(lambda: server.add_insecure_port(options.listen), host, port)
            node.page_address, node.grpc_address = f"{advertised}:{page_port}", f"{advertised}:{grpc_port}"
            await server.start()
            local.listen()
            running += [
                tasks.create_task(node.session.run(), name="session"),
                tasks.create_task(node.tick(), name="tick"),
            ]
            ready(
                {
                    "name": options.name,
                    "socket": options.socket,
                    "grpc": node.grpc_address,
                    "pages": node.page_address,
                }
            )
            await asyncio.Event().wait()
        finally:
            for task in running:
                task.cancel()
            # Without a session nobody asks the directory for anything, over a channel that is about to be closed.
            await asyncio.gather(*running, return_exceptions=True)
            local.close()
            await server.stop(None)  # the calls of other nodes that send pages have no end to wait for
            await node.close()


def _listening(listen: Callable[[], int], host: str, port: int) -> int:
    try:
        return listen()
    except (OSError, RuntimeError) as error:
        raise InvalidArgument(f"cannot listen on {host}:{port}: {error}", remedy="Choose another address") from error


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6 address]:port"."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidArgument(f"an address is host:port, not {address!r:.80}")
    return host.strip("[]"), int(port)


def _allow_many_descriptors() -> None:
    """Each region and each attachment takes a descriptor; the usual soft limit of 1024 is for select()."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
