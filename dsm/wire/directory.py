"""What the directory's unary calls say, as plain records: to protobuf and back.

Only form is checked here (a lifetime that is one, a number that is there); which names, sizes and shapes are good is
the directory's to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from dsm.core.membership import Member
from dsm.core.types import Epoch, NodeId, RegionId
from dsm.errors import InvalidArgument
from dsm.wire.generated import directory_pb2 as pb
from dsm.wire.session import decode_member, encode_member


class Lifetime(Enum):
    """When a region goes."""

    UNLINK = "unlink"
    """When it is unlinked and nobody has it attached (POSIX)."""
    LAST_DETACH = "last-detach"
    """When nobody has it attached any more (System V after IPC_RMID)."""
    CREATOR = "creator"
    """It is unlinked when the client that created it closes or dies."""

    @classmethod
    def named(cls, name: object) -> Lifetime:
        """Return the lifetime of this name.

        Raises:
            InvalidArgument: there is none.
        """
        for lifetime in cls:
            if lifetime.value == name:
                return lifetime
        allowed = ", ".join(repr(lifetime.value) for lifetime in cls)
        raise InvalidArgument(f"lifetime {name!r:.80}, of {allowed}")


@dataclass(frozen=True, slots=True)
class RegionInfo:
    id: RegionId
    name: str
    size: int
    """Bytes, as asked for; the last page may be only partly used."""
    page_size: int
    lifetime: Lifetime
    hold: float
    """Seconds."""
    shape: tuple[int, ...] | None
    dtype: str | None
    creator: str
    """Name of the node whose client created it."""
    created_at: float
    """Seconds since the Unix epoch, by the directory's clock."""

    @property
    def pages(self) -> int:
        return -(-self.size // self.page_size)

    def to_map(self) -> dict[str, Any]:
        """Return the map that stands for a region on the local socket and in `-o json`."""
        return {
            "id": self.id,
            "name": self.name,
            "size": self.size,
            "page_size": self.page_size,
            "lifetime": self.lifetime.value,
            "hold": self.hold,
            "shape": None if self.shape is None else list(self.shape),
            "dtype": self.dtype,
            "creator": self.creator,
            "created_at": self.created_at,
        }


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for a change; refused unless its epoch is the current one of its node."""

    node: NodeId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class RegionRequest:
    """What a new region shall be, or an existing one must be."""

    name: str
    size: int
    page_size: int | None = None
    """None: the default, or whatever an existing region has."""
    lifetime: Lifetime = Lifetime.UNLINK
    hold: float | None = None
    """Seconds; None: the default."""
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    exist_ok: bool = False
    attach: bool = True


@dataclass(frozen=True, slots=True)
class PageCounts:
    """How many pages of a region are what; `all` of them, and `touched` are those that somebody has asked for."""

    all: int
    touched: int = 0
    owned: int = 0
    shared: int = 0
    lost: int = 0
    busy: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    info: RegionInfo
    attached: tuple[str, ...]
    """Names of nodes."""
    pages: PageCounts


@dataclass(frozen=True, slots=True)
class PageMapRun:
    """Adjacent pages in the same hands."""

    first: int
    count: int
    owner: NodeId | None
    sharers: tuple[NodeId, ...]
    version: int
    lost: bool
    busy: bool = False
    """A transaction is under way, or a request waits for one."""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    cluster: str
    version: str
    uptime: float
    members: tuple[Member, ...]
    regions: int
    counters: dict[str, int]


_LIFETIMES = {
    pb.LIFETIME_UNLINK: Lifetime.UNLINK,
    pb.LIFETIME_LAST_DETACH: Lifetime.LAST_DETACH,
    pb.LIFETIME_CREATOR: Lifetime.CREATOR,
}
_LIFETIME_NUMBERS = {lifetime: number for number, lifetime in _LIFETIMES.items()}


def _decode_lifetime(number: pb.Lifetime) -> Lifetime:
    if number == pb.LIFETIME_UNSPECIFIED:
        return Lifetime.UNLINK
    if number not in _LIFETIMES:
        raise InvalidArgument(f"lifetime number {number} is none that this version knows")
    return _LIFETIMES[number]


def _encode_shape(shape: tuple[int, ...] | None) -> pb.Shape | None:
    return None if shape is None else pb.Shape(dimensions=shape)


def encode_info(info: RegionInfo) -> pb.RegionInfo:
    return pb.RegionInfo(
        id=info.id,
        name=info.name,
        size=info.size,
        page_size=info.page_size,
        lifetime=_LIFETIME_NUMBERS[info.lifetime],
        hold_seconds=info.hold,
        shape=_encode_shape(info.shape),
        dtype=info.dtype,
        creator=info.creator,
        created_at=info.created_at,
    )


def decode_info(fields: pb.RegionInfo) -> RegionInfo:
    return RegionInfo(
        id=RegionId(fields.id),
        name=fields.name,
        size=fields.size,
        page_size=fields.page_size,
        lifetime=_decode_lifetime(fields.lifetime),
        hold=fields.hold_seconds,
        shape=tuple(fields.shape.dimensions) if fields.HasField("shape") else None,
        dtype=fields.dtype if fields.HasField("dtype") else None,
        creator=fields.creator,
        created_at=fields.created_at,
    )


def encode_caller(caller: Caller) -> pb.Caller:
    return pb.Caller(node=caller.node, epoch=caller.epoch)


def decode_caller(fields: pb.Caller) -> Caller:
    return Caller(NodeId(fields.node), Epoch(fields.epoch))


def encode_region_request(caller: Caller, request: RegionRequest) -> pb.CreateRegionRequest:
    """Return the call's message.

    Raises:
        InvalidArgument: a number does not fit into its field, so no region can have it.
    """
    try:
        return pb.CreateRegionRequest(
            caller=encode_caller(caller),
            name=request.name,
            size=request.size,
            page_size=request.page_size,
            lifetime=_LIFETIME_NUMBERS[request.lifetime],
            hold_seconds=request.hold,
            shape=_encode_shape(request.shape),
            dtype=request.dtype,
            exist_ok=request.exist_ok,
            attach=request.attach,
        )
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"a region cannot be {request!r:.300}: {error}") from error


def decode_region_request(fields: pb.CreateRegionRequest) -> RegionRequest:
    return RegionRequest(
        name=fields.name,
        size=fields.size,
        page_size=fields.page_size or None,
        lifetime=_decode_lifetime(fields.lifetime),
        hold=fields.hold_seconds if fields.HasField("hold_seconds") else None,
        shape=tuple(fields.shape.dimensions) if fields.HasField("shape") else None,
        dtype=fields.dtype if fields.HasField("dtype") else None,
        exist_ok=fields.exist_ok,
        attach=fields.attach,
    )


def encode_description(description: Description) -> pb.DescribeRegionReply:
    counts = description.pages
    pages = pb.PageCounts(
        all=counts.all,
        touched=counts.touched,
        owned=counts.owned,
        shared=counts.shared,
        lost=counts.lost,
        busy=counts.busy,
    )
    return pb.DescribeRegionReply(info=encode_info(description.info), attached=description.attached, pages=pages)


def decode_description(fields: pb.DescribeRegionReply) -> Description:
    pages = fields.pages
    counts = PageCounts(pages.all, pages.touched, pages.owned, pages.shared, pages.lost, pages.busy)
    return Description(decode_info(fields.info), tuple(fields.attached), counts)


def encode_map_run(run: PageMapRun) -> pb.PageMapRun:
    return pb.PageMapRun(
        first=run.first,
        count=run.count,
        owner=run.owner,
        sharers=run.sharers,
        version=run.version,
        lost=run.lost,
        busy=run.busy,
    )


def decode_map_run(fields: pb.PageMapRun) -> PageMapRun:
    return PageMapRun(
        first=fields.first,
        count=fields.count,
        owner=NodeId(fields.owner) if fields.HasField("owner") else None,
        sharers=tuple(map(NodeId, fields.sharers)),
        version=fields.version,
        lost=fields.lost,
        busy=fields.busy,
    )


def encode_status(status: ClusterStatus) -> pb.ClusterStatusReply:
    return pb.ClusterStatusReply(
        cluster=status.cluster,
        version=status.version,
        uptime_seconds=status.uptime,
        members=map(encode_member, status.members),
        regions=status.regions,
        counters=status.counters,
    )


def decode_status(fields: pb.ClusterStatusReply) -> ClusterStatus:
    return ClusterStatus(
        cluster=fields.cluster,
        version=fields.version,
        uptime=fields.uptime_seconds,
        members=tuple(map(decode_member, fields.members)),
        regions=fields.regions,
        counters=dict(fields.counters),
    )
