"""What a node offers other nodes over gRPC, as plain records: to protobuf and back.

`PageFrame` is the fallback for the page stream, so it says what the header of a page stream's frame says.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.errors import LimitExceeded, ProtocolError
from dsm.limits import PAGE_FRAME_BYTES_MAX, RUN_PAGES_MAX
from dsm.wire.generated import node_pb2 as pb


@dataclass(frozen=True, slots=True)
class PageFrame:
    """The bytes of `count` adjacent pages; for each page they are a core `Data` of this request and version."""

    region: RegionId
    first: int
    count: int
    request: RequestId
    version: int
    write: bool
    grants: bool
    sender: NodeId
    sender_epoch: Epoch
    to_epoch: Epoch
    """The epoch of the receiver that the sender knows of."""
    data: bytes


@dataclass(frozen=True, slots=True)
class PageReceipt:
    request: RequestId
    taken: bool
    """False if the frame was refused: an old epoch, an unknown region, a wrong length."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A process with a page in a scope."""

    page: int
    pid: int
    comm: str
    write: bool
    seconds: float
    """For how long it has had it."""


def encode_frame(frame: PageFrame) -> pb.PageFrame:
    return pb.PageFrame(
        region=frame.region,
        first=frame.first,
        count=frame.count,
        request=frame.request,
        version=frame.version,
        write=frame.write,
        grants=frame.grants,
        sender=frame.sender,
        sender_epoch=frame.sender_epoch,
        to_epoch=frame.to_epoch,
        data=frame.data,
    )


def decode_frame(fields: pb.PageFrame) -> PageFrame:
    """Return the frame. Whether its data are as long as its pages only the receiver can tell.

    Raises:
        LimitExceeded, ProtocolError: it cannot be.
    """
    data = fields.data
    if len(data) > PAGE_FRAME_BYTES_MAX:
        raise LimitExceeded(f"a page frame of {len(data):,} bytes, of {PAGE_FRAME_BYTES_MAX:,} at most")
    if not (1 <= fields.count <= RUN_PAGES_MAX and fields.region and fields.sender and data):
        raise ProtocolError(
            f"a page frame of {fields.count:,} pages and {len(data):,} bytes in region {fields.region} "
            f"from node {fields.sender}; all of these count from 1 up"
        )
    return PageFrame(
        RegionId(fields.region),
        fields.first,
        fields.count,
        RequestId(fields.request),
        fields.version,
        fields.write,
        fields.grants,
        NodeId(fields.sender),
        Epoch(fields.sender_epoch),
        Epoch(fields.to_epoch),
        data,
    )


def encode_receipt(receipt: PageReceipt) -> pb.PageReceipt:
    return pb.PageReceipt(request=receipt.request, taken=receipt.taken)


def decode_receipt(fields: pb.PageReceipt) -> PageReceipt:
    return PageReceipt(RequestId(fields.request), fields.taken)


def encode_holders(holders: list[Holder]) -> pb.HoldersReply:
    return pb.HoldersReply(
        holders=[
            pb.Holder(page=holder.page, pid=holder.pid, comm=holder.comm, write=holder.write, seconds=holder.seconds)
            for holder in holders
        ]
    )


def decode_holders(reply: pb.HoldersReply) -> list[Holder]:
    return [Holder(one.page, one.pid, one.comm, one.write, one.seconds) for one in reply.holders]
