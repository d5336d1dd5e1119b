"""Page bytes from node to node: one TCP connection in each direction that is used, opened by whoever has bytes to send.

    first header      ["dsm-pages-1", cluster id, sender, its epoch, receiver]
    every further     [region, first page, pages, request, version, write, grants, receiver's epoch, bytes], bytes

A sender goes through three states for each peer: frames wait while the connection is made, then they go out on it; if
it cannot be made, they go over gRPC (`fallback`) until the peer's next session. A connection that breaks later is
forgotten and made anew for the next frame. What was on it is lost, which is nobody's problem here: a requester that
waits for too long asks again, and the supplier still has the bytes.

A receiver puts bytes straight into the pages' own place if the region expects them (`Region.land`), else into a
scratch buffer; either way the protocol's core decides whether they count. Adjacent pages that are sent for the same
request travel as one frame, up to PAGE_FRAME_BYTES_MAX.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from dsm.core.membership import Member
from dsm.core.messages import Data
from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.errors import DsmError, ProtocolError
from dsm.limits import CONNECT_SECONDS, PAGE_FRAME_BYTES_MAX, PAGE_STREAMS_MAX
from dsm.memory.segment import Segment
from dsm.node.accepting import accept
from dsm.node.arrival import Arrival
from dsm.node.link import FileSpan, Landing, Piece, Receiver, Sender, prepare
from dsm.node.region import Region

log = logging.getLogger(__name__)

MAGIC = "dsm-pages-1"


@dataclass(slots=True)
class Frame:
    """A run of pages on its way out. `kept` holds the bytes of a page given away; else they are read from `fd`."""

    region: RegionId
    first: int
    count: int
    data: Data
    page_size: int
    segment: Segment
    kept: bytes | None

    def takes(self, other: Frame) -> bool:
        """Whether `other` can travel in this frame, as its next page."""
        return (
            self.kept is None
            and other.kept is None
            and other.first == self.first + self.count
            and other.region == self.region
            and other.data == self.data
            and (self.count + 1) * self.page_size <= PAGE_FRAME_BYTES_MAX
        )

    @property
    def length(self) -> int:
        return self.count * self.page_size

    def piece(self) -> Piece:
        if self.kept is not None:
            return memoryview(self.kept)
        return FileSpan(self.segment, self.first * self.page_size, self.length)

    def content(self) -> bytes:
        if self.kept is not None:
            return self.kept
        return os.pread(self.segment.fd, self.length, self.first * self.page_size)

    def header(self, to_epoch: int) -> list[Any]:
        data = self.data
        return [
            self.region,
            self.first,
            self.count,
            data.request,
            data.version,
            data.write,
            data.grants,
            to_epoch,
            self.length,
        ]


class Fallback(Protocol):
    """Another way to a peer."""

    lost: bool

    def send(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class Host(Protocol):
    """What the page streams need of their node."""

    cluster_id: str
    node_id: NodeId
    epoch: Epoch
    regions: dict[RegionId, Region]

    def member(self, node: NodeId) -> Member | None: ...
    def spawn(self, coroutine: Any, name: str) -> asyncio.Task[Any]: ...
    def fallback(self, member: Member) -> Fallback: ...


class Peer:
    """The way to one session of one other node."""

    def __init__(self, host: Host, member: Member) -> None:
        self._host = host
        self.member = member
        self._waiting: list[Frame] = []
        self._sender: Sender | None = None
        self._fallback: Fallback | None = None
        self._broken = False
        self._dialling = host.spawn(self._dial(), f"page stream to {member.name}")

    @property
    def lost(self) -> bool:
        return self._broken or (self._fallback is not None and self._fallback.lost)

    def send(self, frame: Frame) -> None:
        if self._sender is not None:
            self._sender.send(frame.header(self.member.epoch), frame.piece())
        elif self._fallback is not None:
            self._fallback.send(frame)
        else:
            self._waiting.append(frame)

    async def _dial(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                sock = await _connect(self.member.page_address)
        except (OSError, ValueError, OverflowError) as error:
            log.warning(
                "no page stream to node %s at %s (%s); using gRPC", self.member.name, self.member.page_address, error
            )
            self._fallback = self._host.fallback(self.member)
        else:
            self._sender = Sender(sock, self._on_lost)
            host = self._host
            self._sender.send([MAGIC, host.cluster_id, host.node_id, host.epoch, self.member.node])
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self.send(frame)

    def _on_lost(self) -> None:
        self._broken = True
        log.warning("the page stream to node %s broke", self.member.name)

    def close(self) -> None:
        self._broken = True
        self._dialling.cancel()
        if self._sender is not None:
            self._sender.close()
        if self._fallback is not None:
            self._fallback.close()


async def _connect(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    family, kind, protocol, _, where = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        prepare(sock)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


class PageStreams:
    """All page streams of a node, out and in."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._peers: dict[NodeId, Peer] = {}
        self._outgoing: dict[NodeId, list[Frame]] = {}
        self._incoming: set[Incoming] = set()
        self._listener: socket.socket | None = None

    def listen(self, address: str, port: int) -> int:
        """Accept connections on `address`; returns the port, which is a free one if `port` was 0."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=64)
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)
        return int(self._listener.getsockname()[1])

    def _accept(self) -> None:
        assert self._listener is not None
        sock = accept(self._listener, self._accept, "a page stream")
        if sock is None:
            return
        if len(self._incoming) >= PAGE_STREAMS_MAX:
            log.warning("more than %d page streams; refusing one", PAGE_STREAMS_MAX)
            sock.close()
            return
        prepare(sock)
        self._incoming.add(Incoming(self._host, sock, self._incoming.discard))

    def supply(self, to: NodeId, frame: Frame) -> None:
        """Send a page with the next flush. Silently dropped if the receiver's session is over: nobody waits for it."""
        frames = self._outgoing.setdefault(to, [])
        if frames and frames[-1].takes(frame):
            frames[-1].count += 1
        else:
            frames.append(frame)

    def flush(self) -> None:
        outgoing, self._outgoing = self._outgoing, {}
        for node, frames in outgoing.items():
            member = self._host.member(node)
            if member is None:
                continue
            peer = self._peers.get(node)
            if peer is None or peer.lost or peer.member != member:
                if peer is not None:
                    peer.close()
                peer = self._peers[node] = Peer(self._host, member)
            for frame in frames:
                peer.send(frame)

    def forget(self, node: NodeId) -> None:
        """A node's session is over: what is on its way to it must not arrive, as the pages may change from now on."""
        self._outgoing.pop(node, None)
        peer = self._peers.pop(node, None)
        if peer is not None:
            peer.close()

    def forget_all(self) -> None:
        """The own session is over: what is on its way may be void before it arrives."""
        for node in {*self._outgoing, *self._peers}:
            self.forget(node)

    def close(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        self.forget_all()
        for incoming in list(self._incoming):
            incoming.close()


class Incoming:
    """One accepted page stream. Its first frame says who sends."""

    def __init__(self, host: Host, sock: socket.socket, on_closed: Callable[[Incoming], None]) -> None:
        self._host = host
        self._sender: NodeId | None = None
        self._arrival: Arrival | None = None
        self._on_closed = on_closed
        self._receiver = Receiver(sock, self._header, self._lost)

    def _header(self, header: Any) -> Landing | None:
        if self._sender is None:
            self._sender = self._greet(header)
            return None
        arrival = incoming_frame(self._host, header, self._receiver.close)
        self._arrival = arrival
        return Landing(arrival.place, self._arrived)

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, None
        assert arrival is not None
        arrival.complete()

    def _greet(self, header: Any) -> NodeId:
        host = self._host
        match header:
            case [str(magic), str(cluster), int(sender), int(epoch), int(receiver)] if magic == MAGIC:
                member = host.member(NodeId(sender))
                if cluster != host.cluster_id or receiver != host.node_id:
                    raise ProtocolError(f"a page stream for node {receiver} of cluster {cluster} came here")
                if member is not None and epoch < member.epoch:
                    raise ProtocolError(f"a page stream from an old session of node {sender}: epoch {epoch}")
                return NodeId(sender)
        raise ProtocolError("a page stream that does not begin with a greeting")

    def _lost(self, reason: BaseException | None) -> None:
        if isinstance(reason, DsmError):
            log.warning("closed a page stream: %s", reason)
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.broken()
        if self._sender is not None:
            for region in list(self._host.regions.values()):
                region.ask_again()
        self._on_closed(self)

    def close(self) -> None:
        self._receiver.close()


def incoming_frame(host: Host, header: Any, abort: Callable[[], None]) -> Arrival:
    """Check a frame's header and return where its bytes go. `abort` cuts the stream if they are not wanted any more.

    Raises:
        ProtocolError: no sender that follows the protocol sends this.
    """
    match header:
        case [
            int(region_id),
            int(first),
            int(count),
            int(request),
            int(version),
            bool(write),
            bool(grants),
            int(to_epoch),
            int(length),
        ] if 0 < length <= PAGE_FRAME_BYTES_MAX and first >= 0 and count >= 1 and version >= 0:
            data = Data(RequestId(request), version, write, grants)
        case _:
            raise ProtocolError(f"a page frame with a wrong header: {header!r:.200}")
    region = host.regions.get(RegionId(region_id))
    if region is None or to_epoch != host.epoch:
        return Arrival.unwanted(length)
    if length != count * region.info.page_size or first + count > region.page_count:
        raise ProtocolError(f"{length} bytes for pages {first} to {first + count - 1} of region {region.info.name!r}")
    return region.land(first, count, data, abort)
