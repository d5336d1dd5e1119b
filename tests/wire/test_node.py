"""What nodes ask of each other over gRPC, between a real server and a real channel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core.types import Epoch, NodeId, Pin, RegionId, RequestId, State
from dsm.errors import LimitExceeded, ProtocolError, Unavailable
from dsm.limits import PAGE_FRAME_BYTES_MAX
from dsm.wire import rpc
from dsm.wire.calls import NodeCalls
from dsm.wire.node import (
    Holder,
    PageFrame,
    PageReceipt,
    Record,
    RecordRun,
    decode_frame,
    decode_receipt,
    decode_records,
    encode_frame,
    encode_holders,
    encode_receipt,
    encode_records,
)
from dsm.wire.rpc import node_pb2 as pb

FRAME = PageFrame(
    RegionId(1), 7, 2, RequestId(5), 3, True, False, NodeId(2), Epoch(8), Epoch(9), bytes(range(256)) * 32
)
HOLDER = Holder(page=3, pid=4711, comm="python3", write=True, seconds=1.5)

RECORDS = [
    RecordRun(0, 1, Record()),
    RecordRun(1, 2, Record(State.S, 4, Pin.READ)),
    RecordRun(3, 1, Record(State.O, 5, waiting=True, putting=RequestId(0))),
    RecordRun(4, 4000, Record(State.M, 6, Pin.WRITE, retained=(RequestId(7), 8))),
]


class Peer:
    """A node that takes even requests only, and has one page in a scope."""

    async def Pages(  # noqa: N802
        self, requests: AsyncIterator[pb.PageFrame], context: rpc.PagesContext
    ) -> None:
        async for fields in requests:
            frame = decode_frame(fields)
            await context.write(encode_receipt(PageReceipt(frame.request, taken=frame.request % 2 == 0)))

    async def Holders(self, request: pb.HoldersRequest, context: rpc.Context) -> pb.HoldersReply:  # noqa: N802
        return encode_holders([HOLDER] if request.first <= HOLDER.page < request.first + request.count else [])

    async def Records(self, request: pb.RecordsRequest, context: rpc.Context) -> pb.RecordsReply:  # noqa: N802
        return encode_records(RECORDS, request.first + request.count)


@pytest.fixture
async def peer() -> AsyncIterator[NodeCalls]:
    server = rpc.server()
    rpc.add_node(server, Peer())
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with rpc.channel(f"127.0.0.1:{port}") as channel:
        yield NodeCalls(channel)
    await server.stop(None)


async def test_every_page_frame_is_answered_by_a_receipt(peer: NodeCalls) -> None:
    call = peer.pages()
    for number in (1, 2):
        await call.write(pb.PageFrame(**{**fields_of(FRAME), "request": number}))
    receipts = [decode_receipt(cast(pb.PageReceipt, await call.read())) for _ in range(2)]
    assert receipts == [PageReceipt(RequestId(1), taken=False), PageReceipt(RequestId(2), taken=True)]
    await call.done_writing()


def fields_of(frame: PageFrame) -> dict[str, Any]:
    return {descriptor.name: value for descriptor, value in encode_frame(frame).ListFields()}


async def test_a_node_names_the_holders_of_a_run(peer: NodeCalls) -> None:
    assert await peer.holders(RegionId(1), 0, 10) == [HOLDER]
    assert await peer.holders(RegionId(1), 4, 10) == []


async def test_a_node_that_is_not_there_is_an_error() -> None:
    async with rpc.channel("127.0.0.1:1") as channel:
        with pytest.raises(Unavailable) as caught:
            await NodeCalls(channel).holders(RegionId(1), 0, 1)
    assert type(caught.value) is Unavailable and not caught.value.definite


@given(st.binary(min_size=1), st.booleans(), st.integers(0, (1 << 64) - 1))
def test_a_frame_arrives_as_it_was(data: bytes, write: bool, number: int) -> None:
    frame = PageFrame(
        RegionId(1), number, 1, RequestId(number), number, write, not write, NodeId(1), Epoch(1), Epoch(2), data
    )
    assert decode_frame(pb.PageFrame.FromString(encode_frame(frame).SerializeToString())) == frame


@pytest.mark.parametrize("wrong", [{"region": 0}, {"count": 0}, {"count": 4097}, {"sender": 0}, {"data": b""}])
def test_a_frame_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        decode_frame(pb.PageFrame(**{**fields_of(FRAME), **wrong}))


def test_a_frame_with_too_many_bytes_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        decode_frame(pb.PageFrame(**{**fields_of(FRAME), "data": bytes(PAGE_FRAME_BYTES_MAX + 1)}))


async def test_records_arrive_as_they_were(peer: NodeCalls) -> None:
    assert await peer.records(RegionId(1), 5, 20) == (RECORDS, 25)


def test_a_record_in_an_unknown_state_is_refused() -> None:
    with pytest.raises(ProtocolError, match="state number 0"):
        decode_records(pb.RecordsReply(runs=[pb.RecordRun(first=1, count=1, version=3)]))
