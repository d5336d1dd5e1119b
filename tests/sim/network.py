"""The network of a run: who reaches whom, how late, and what fails."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from dsm.directory import service
from dsm.node.fallback import NodeService
from dsm.node.node import Node
from dsm.wire.rpc import EOF
from tests.sim.calls import Channel, Stream, Stub
from tests.sim.clock import loop
from tests.sim.options import Options
from tests.sim.pipes import Socket

if TYPE_CHECKING:
    from dsm.directory.state import Directory

DIRECTORY = "directory:1"
SLOW = 10.0
LOST_SHARE = 0.2


class Backlog:
    """In the place of a listening socket."""

    def __init__(self) -> None:
        self._waiting: list[Socket] = []
        self._fd = loop().open(self)

    def is_ready(self, writing: bool) -> bool:
        return bool(self._waiting)

    def fileno(self) -> int:
        return self._fd

    def comes(self, sock: Socket) -> None:
        self._waiting.append(sock)
        loop().look(self._fd)

    def accept(self) -> tuple[Socket, str]:
        return self._waiting.pop(0), "somebody"

    def close(self) -> None:
        loop().shut(self._fd)


class Network:
    def __init__(self, options: Options, rng: random.Random, tasks: asyncio.TaskGroup) -> None:
        self.options = options
        self.random = rng
        self.failing = True
        """Whether things may go wrong by themselves still."""
        self.directory: Directory | None = None
        self.nodes: dict[str, Node] = {}
        """By the address of their gRPC service."""
        self.backlogs: dict[str, Backlog] = {}
        self.sessions: dict[str, Stream] = {}
        """The last session of each node, by its name."""
        self.streams: list[Stream] = []
        self.connections: list[tuple[Socket, Socket]] = []
        self._stubs: list[Stub] = []
        self._tasks = tasks
        self._services: service.Sessions | None = None
        self._opener = ""

    def serve(self, directory: Directory) -> None:
        self.directory = directory
        self._services = service.Sessions(directory)

    def add(self, node: Node) -> None:
        self.nodes[node.grpc_address] = node
        backlog = self.backlogs[node.page_address] = Backlog()
        node.streams._listener = backlog  # type: ignore[assignment]
        loop().add_reader(backlog, node.streams._accept)

    def delay(self) -> float:
        options = self.options
        slow = SLOW if self.random.random() < options.tail else 1.0
        return self.random.expovariate(1.0) * options.delay * slow

    # --- what the daemons find in the place of gRPC ---------------------------------------------------------------

    def channel(self, address: str) -> Channel:
        return Channel(address)

    def open_session(self, to: Channel) -> Stream:
        assert self._services is not None
        caller = to.address.partition(" ")[0]
        stream = Stream(caller, self.delay, lambda: self.random.random() < self.options.tail)
        stream.serve(self._services.Session(None, stream.context), self._tasks.create_task)  # type: ignore[arg-type]
        self.sessions[caller] = stream
        self.streams.append(stream)
        return stream

    def directory_stub(self, to: Channel) -> Stub:
        assert self.directory is not None
        return self._stub(service.Regions(self.directory))

    def _stub(self, service: Any) -> Stub:
        stub = Stub(service, self.delay, self._loses_call)
        self._stubs.append(stub)
        return stub

    def node_stub(self, to: Channel) -> Any:
        node = self.nodes[to.address]
        stub: Any = self._stub(NodeService(node))
        stub.Pages = lambda: self._pages(to, node)
        return stub

    def _pages(self, channel: Channel, node: Node) -> Stream:
        stream = Stream("a node", self.delay)
        channel.streams.append(stream)
        stream.serve(NodeService(node).Pages(_read_all(stream), stream.context), self._tasks.create_task)  # type: ignore[arg-type]
        self.streams.append(stream)
        return stream

    def _loses_call(self) -> bool:
        return self.failing and self.options.lost_calls and self.random.random() < LOST_SHARE

    # --- and in the place of TCP ----------------------------------------------------------------------------------

    async def connect(self, address: str) -> Socket:
        await asyncio.sleep(self.delay())
        if self.failing and self.options.refusals and self.random.random() < 0.5:
            raise ConnectionRefusedError("nobody listens there")
        here, there = Socket.pair(self.options.buffer, self.delay)
        self.connections = [pair for pair in self.connections if pair[0].fd >= 0 or pair[1].fd >= 0]
        self.connections.append((here, there))
        self.backlogs[address].comes(there)
        return here

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def break_connection(self) -> bool:
        """Break some page stream, in the middle of what is on it. Each end notices when it does."""
        if not self.connections:
            return False
        for end in self.random.choice(self.connections):
            loop().call_later(self._notice(), end.breaks)
        return True

    def stall_connection(self) -> bool:
        """Let nothing through on some page stream for some seconds."""
        if not self.connections:
            return False
        until = loop().time() + self.random.uniform(0.1, 12.0)
        for end in self.random.choice(self.connections):
            end.stalled_until = until
        return True

    def end_session(self) -> str | None:
        """End the session of some node. Return whose."""
        alive = [name for name, stream in self.sessions.items() if stream.context.alive and not stream.over]
        if not alive:
            return None
        name, coin = self.random.choice(alive), self.random.random
        self.sessions[name].cut(coin() < 0.5, coin() < 0.5, self._notice(), self._notice())
        return name

    def _notice(self) -> float:
        return self.random.choice((0.0, self.delay(), 0.01 * self.random.random(), 2.0 * self.random.random()))

    def quiet(self) -> bool:
        """Whether nothing is on its way."""
        self.streams = [stream for stream in self.streams if not stream.over]
        ends = [end for pair in self.connections for end in pair if end.fd >= 0]
        calls = any(stub.under_way for stub in self._stubs)
        return not calls and all(map(Stream.quiet, self.streams)) and not any(map(Socket.has_something, ends))


async def _read_all(stream: Stream) -> Any:
    while (message := await stream.there.read()) is not EOF:
        yield message
