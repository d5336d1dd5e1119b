"""What a node offers other nodes over gRPC, as plain records: to protobuf and back.

`PageFrame` is the fallback for the page stream, so it says what the header of a page stream's frame says.
"""

from __future__ import annotations

from dataclasses import dataclass

from dsm.core.types import Epoch, NodeId, Pin, RegionId, RequestId, State
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


@dataclass(frozen=True, slots=True)
class Record:
    """As much of a node's record of a page as the laws of the protocol speak of."""

    state: State = State.I
    version: int = 0
    pin: Pin = Pin.NONE
    waiting: bool = False
    """A request of the node is under way, or one of home is put off."""
    putting: RequestId | None = None
    retained: tuple[RequestId, int] | None = None
    """The request and version of bytes that were sent off and are kept until home confirms it."""


@dataclass(frozen=True, slots=True)
class RecordRun:
    """Adjacent pages with equal records."""

    first: int
    count: int
    record: Record


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


_STATES = {
    pb.CACHE_STATE_INVALID: State.I,
    pb.CACHE_STATE_SHARED: State.S,
    pb.CACHE_STATE_OWNED: State.O,
    pb.CACHE_STATE_MODIFIED: State.M,
}
_STATE_NUMBERS = {state: number for number, state in _STATES.items()}
_PINS = {pb.SCOPE_PIN_NONE: Pin.NONE, pb.SCOPE_PIN_READ: Pin.READ, pb.SCOPE_PIN_WRITE: Pin.WRITE}
_PIN_NUMBERS = {pin: number for number, pin in _PINS.items()}


def encode_records(runs: list[RecordRun], following: int) -> pb.RecordsReply:
    return pb.RecordsReply(runs=map(_encode_record, runs), next=following)


def decode_records(reply: pb.RecordsReply) -> tuple[list[RecordRun], int]:
    """Return the runs, and the first page that they say nothing about.

    Raises:
        ProtocolError: a state or pin is none that this version knows.
    """
    return [_decode_record(run) for run in reply.runs], reply.next


def _encode_record(run: RecordRun) -> pb.RecordRun:
    record = run.record
    request, version = record.retained or (None, 0)
    return pb.RecordRun(
        first=run.first,
        count=run.count,
        state=_STATE_NUMBERS[record.state],
        version=record.version,
        pin=_PIN_NUMBERS[record.pin],
        waiting=record.waiting,
        putting=record.putting,
        retained_request=request,
        retained_version=version,
    )


def _decode_record(run: pb.RecordRun) -> RecordRun:
    if run.state not in _STATES or run.pin not in _PINS:
        raise ProtocolError(f"a page in state number {run.state}, with pin number {run.pin}")
    retained = (RequestId(run.retained_request), run.retained_version) if run.HasField("retained_request") else None
    putting = RequestId(run.putting) if run.HasField("putting") else None
    record = Record(_STATES[run.state], run.version, _PINS[run.pin], run.waiting, putting, retained)
    return RecordRun(run.first, run.count, record)
