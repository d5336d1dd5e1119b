"""What travels on the session between a node and the directory, as plain records: to protobuf and back.

    node to directory                        directory to node
    ─────────────────────────────────        ──────────────────────────────────────────────────────────────
    Hello          first, and only once      Welcome        answers Hello; who is in the cluster
    runs of pages  see dsm.wire.runs         MemberJoined   before any message about a page can name it
                                             MemberLeft     nothing will come from this epoch any more
                                             RegionGone     whatever is kept for the region may go
                                             runs of pages

Both directions carry the session's epoch with every message but Hello. What comes in is checked; what goes out is cut
into messages within the limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from dsm.core.membership import Member
from dsm.core.messages import FromHome, ToHome
from dsm.core.types import Epoch, NodeId, RegionId
from dsm.errors import LimitExceeded, ProtocolError
from dsm.limits import ADDRESS_CHARS_MAX, NAME_CHARS_MAX, REGIONS_PER_NODE_MAX
from dsm.wire.generated import session_pb2 as pb
from dsm.wire.runs import Run, batches, runs_from_home, runs_to_home

PROTOCOL_VERSION = 1
"""Spoken by both ends of a session, exchanged by Hello. Counted up when a message changes its meaning."""

ToHomeMessage: TypeAlias = pb.ToHome
FromHomeMessage: TypeAlias = pb.FromHome


@dataclass(frozen=True, slots=True)
class Hello:
    name: str
    page_address: str
    grpc_address: str
    version: str = ""
    held: tuple[RegionId, ...] = ()
    """Regions that clients of this node have attached from before."""
    protocol: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class Welcome:
    node: NodeId
    epoch: Epoch
    cluster: str
    members: tuple[Member, ...]
    """All of them, the new one included."""


@dataclass(frozen=True, slots=True)
class MemberJoined:
    member: Member


@dataclass(frozen=True, slots=True)
class MemberLeft:
    node: NodeId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class RegionGone:
    region: RegionId


Notice = Welcome | MemberJoined | MemberLeft | RegionGone
"""What the directory says that is not about a page."""


def encode_hello(hello: Hello) -> pb.ToHome:
    fields = pb.Hello(
        protocol=hello.protocol,
        name=hello.name,
        page_address=hello.page_address,
        grpc_address=hello.grpc_address,
        version=hello.version,
        held=hello.held,
    )
    return pb.ToHome(hello=fields)


def encode_to_home(epoch: Epoch, runs: list[Run[ToHome]]) -> Iterator[pb.ToHome]:
    """Yield what a node says about pages, as messages within the limits."""
    for batch in batches(runs):
        yield pb.ToHome(epoch=epoch, pages=batch)


def decode_to_home(message: pb.ToHome) -> Hello | list[Run[ToHome]]:
    """Return what a node said. The caller checks `message.epoch`.

    Raises:
        LimitExceeded, ProtocolError: nothing of it counts.
    """
    match message.WhichOneof("content"):
        case "hello":
            return _decode_hello(message.hello)
        case "pages":
            return runs_to_home(message.pages)
    raise ProtocolError("a session message without content")


def encode_from_home(epoch: Epoch, runs: list[Run[FromHome]]) -> Iterator[pb.FromHome]:
    """Yield what the directory says about pages, as messages within the limits."""
    for batch in batches(runs):
        yield pb.FromHome(epoch=epoch, pages=batch)


def encode_notice(epoch: Epoch, notice: Notice) -> pb.FromHome:
    match notice:
        case Welcome(node, own, cluster, members):
            fields = pb.Welcome(node=node, epoch=own, cluster=cluster, members=map(encode_member, members))
            return pb.FromHome(epoch=epoch, welcome=fields)
        case MemberJoined(member):
            return pb.FromHome(epoch=epoch, joined=pb.MemberJoined(member=encode_member(member)))
        case MemberLeft(node, left):
            return pb.FromHome(epoch=epoch, left=pb.MemberLeft(node=node, epoch=left))
        case RegionGone(region):
            return pb.FromHome(epoch=epoch, gone=pb.RegionGone(region=region))


def decode_from_home(message: pb.FromHome) -> Notice | list[Run[FromHome]]:
    """Return what the directory said. The caller checks `message.epoch`; Welcome tells the one to expect.

    Raises:
        LimitExceeded, ProtocolError: nothing of it counts.
    """
    match message.WhichOneof("content"):
        case "pages":
            return runs_from_home(message.pages)
        case "welcome":
            welcome = message.welcome
            members = tuple(map(decode_member, welcome.members))
            return Welcome(_node(welcome.node), _epoch(welcome.epoch), welcome.cluster, members)
        case "joined":
            return MemberJoined(decode_member(message.joined.member))
        case "left":
            return MemberLeft(_node(message.left.node), _epoch(message.left.epoch))
        case "gone":
            return RegionGone(_region(message.gone.region))
    raise ProtocolError("a session message without content")


def encode_member(member: Member) -> pb.Member:
    return pb.Member(
        node=member.node,
        epoch=member.epoch,
        name=member.name,
        page_address=member.page_address,
        grpc_address=member.grpc_address,
        version=member.version,
    )


def decode_member(fields: pb.Member) -> Member:
    return Member(
        _node(fields.node),
        _epoch(fields.epoch),
        fields.name,
        fields.page_address,
        fields.grpc_address,
        fields.version,
    )


def _decode_hello(hello: pb.Hello) -> Hello:
    if len(hello.held) > REGIONS_PER_NODE_MAX:
        raise LimitExceeded(f"Hello holds {len(hello.held):,} regions, of {REGIONS_PER_NODE_MAX:,} at most")
    return Hello(
        name=_text("name", hello.name, NAME_CHARS_MAX),
        page_address=_text("page address", hello.page_address, ADDRESS_CHARS_MAX),
        grpc_address=_text("gRPC address", hello.grpc_address, ADDRESS_CHARS_MAX),
        version=hello.version[:NAME_CHARS_MAX],
        held=tuple(map(_region, hello.held)),
        protocol=hello.protocol,
    )


def _text(what: str, value: str, chars_max: int) -> str:
    if not 1 <= len(value) <= chars_max or not value.isprintable():
        raise ProtocolError(f"the {what} of a node has 1 to {chars_max} printable characters, not {value!r:.80}")
    return value


def _node(number: int) -> NodeId:
    if number == 0:
        raise ProtocolError("a session message names node 0; nodes count from 1 up")
    return NodeId(number)


def _epoch(number: int) -> Epoch:
    if number == 0:
        raise ProtocolError("a session message names epoch 0; epochs count from 1 up")
    return Epoch(number)


def _region(number: int) -> RegionId:
    if number == 0:
        raise ProtocolError("a session message names region 0; regions count from 1 up")
    return RegionId(number)
