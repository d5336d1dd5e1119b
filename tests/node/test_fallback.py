"""Page bytes over gRPC, and what a node answers other nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from dsm.core.events import Received
from dsm.core.membership import Member
from dsm.core.messages import Data, Grant
from dsm.core.types import Epoch, RegionId, RequestId, Source
from dsm.limits import FALLBACK_QUEUE_FRAMES_MAX
from dsm.node.fallback import FallbackPeer, NodeService, holders, records
from dsm.node.scopes import Scope
from dsm.node.stream import Frame
from dsm.wire import rpc
from dsm.wire.calls import NodeCalls
from dsm.wire.node import PageFrame, encode_frame
from tests.node.fakes import PAGE, FakeSource, attachment, until
from tests.node.test_stream import HERE, PEER, Two


class Grpc(Two):
    """Both nodes, with the receiver's gRPC service running."""

    address = ""

    def peer(self) -> FallbackPeer:
        member = Member(PEER, self.receiver.epoch, "peer", "", self.address, "1")
        return FallbackPeer(self.sender, member)

    def frame(self, page: int, data: Data, kept: bytes | None = None) -> Frame:
        return Frame(self.source.info.id, page, 1, data, PAGE, self.source.segment, kept)


@pytest.fixture
async def two() -> AsyncIterator[Grpc]:
    server = rpc.server()
    async with asyncio.TaskGroup() as tasks:
        two = Grpc(tasks)
        rpc.add_node(server, NodeService(two.receiver))
        two.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        yield two
        two.out.close()
        two.into.close()
        for fallback in two.sender.fallbacks:
            fallback.close()
        await server.stop(None)


async def test_a_page_comes_over_grpc(two: Grpc) -> None:
    peer = two.peer()
    two.source.segment.write(0, b"first")
    peer.send(two.frame(0, two.want(0)))
    await two.until_here(0)
    assert two.region.segment.read(0, 5) == b"first"
    peer.send(two.frame(1, two.want(1), kept=b"k" * PAGE))
    await two.until_here(1)
    assert two.region.segment.read(PAGE, 1) == b"k"
    peer.close()


async def test_a_node_that_cannot_be_reached_at_all_makes_the_peer_lost(two: Grpc) -> None:
    two.address = "127.0.0.1:1"
    peer = two.peer()
    peer.send(two.frame(0, two.want(0)))
    await until(lambda: peer.lost)


async def test_what_the_queue_does_not_hold_is_lost_and_asked_for_again_by_others(two: Grpc) -> None:
    peer = two.peer()
    data = two.want(0)
    for _ in range(FALLBACK_QUEUE_FRAMES_MAX + 10):
        peer.send(two.frame(0, data))
    assert peer._queue.full()
    peer.close()


async def test_a_page_of_a_region_that_is_gone_here_is_no_error(two: Grpc) -> None:
    peer, data = two.peer(), two.want(0)
    frame = two.frame(0, data)
    two.source.segment.close()
    peer.send(frame)
    assert peer._queue.empty()
    peer.close()


def page_frame(two: Grpc, answer: Data, /, **changes: Any) -> PageFrame:
    fields: dict[str, Any] = {
        "region": two.region.info.id,
        "first": 0,
        "count": 1,
        "request": answer.request,
        "version": answer.version,
        "write": answer.write,
        "grants": answer.grants,
        "sender": HERE,
        "sender_epoch": two.sender.epoch,
        "to_epoch": two.receiver.epoch,
        "data": b"x" * PAGE,
    }
    return PageFrame(**(fields | changes))


async def receipt(two: Grpc, frame: PageFrame) -> bool:
    async with rpc.channel(two.address) as channel:
        call = NodeCalls(channel).pages()
        await call.write(encode_frame(frame))
        answer: Any = await call.read()
        call.cancel()
        return bool(answer.taken)


async def test_a_frame_of_an_old_session_is_not_taken(two: Grpc) -> None:
    data = two.want(0)
    two.receiver.members[HERE] = Member(HERE, two.sender.epoch, "h", "", "", "1")
    assert not await receipt(two, page_frame(two, data, sender_epoch=Epoch(two.sender.epoch - 1)))
    assert not await receipt(two, page_frame(two, data, to_epoch=Epoch(two.receiver.epoch - 1)))
    assert not await receipt(two, page_frame(two, data, region=99))
    assert not two.region.page(0).state.readable
    assert await receipt(two, page_frame(two, data))
    assert two.region.page(0).state.readable


@pytest.mark.parametrize("changes", [{"data": b"short"}, {"first": 8}, {"count": 2}, {"count": 0}, {"data": b""}])
async def test_a_frame_that_no_node_sends_is_refused(two: Grpc, changes: dict[str, Any]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await receipt(two, page_frame(two, two.want(0), **changes))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_holders_are_those_who_have_pages_in_a_scope(two: Grpc) -> None:
    scope = Scope(two.region, attachment(FakeSource(), pid=77), 2, 2, True)
    scope.start(30)
    for index in (2, 3):
        two.region.received(index, Grant(RequestId(1), 1, True, Source.ZERO))
        await asyncio.sleep(0)
    await scope.ready
    waits = Scope(two.region, attachment(FakeSource(), pid=78), 4, 1, True)
    waits.start(30)
    async with rpc.channel(two.address) as channel:
        found = await NodeCalls(channel).holders(two.region.info.id, 0, 8)
    assert [(holder.page, holder.pid, holder.write) for holder in found] == [(2, 77, True), (3, 77, True)]
    assert holders(two.region, 0, 2) == []


async def test_records_are_told_as_runs_of_equal_ones(two: Grpc) -> None:
    for index in (2, 3):
        two.want(index)
    two.region.deliver(5, Received(two.want(5)))
    async with rpc.channel(two.address) as channel:
        calls = NodeCalls(channel)
        runs, end = await calls.records(two.region.info.id, 0, 8)
        assert await calls.records(RegionId(4711), 0, 8) == ([], 8)
    assert [(run.first, run.count, run.record.waiting, run.record.state.readable) for run in runs] == [
        (2, 2, True, False),
        (5, 1, False, True),
    ]
    assert end == 8


async def test_records_that_do_not_fit_into_one_answer_come_with_the_next(
    two: Grpc, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsm.node.fallback.PAGE_MAP_ITEMS_MAX", 2)
    for index in (1, 3, 5):
        two.want(index)
    runs, following = records(two.region, 0, 8)
    assert ([run.first for run in runs], following) == ([1, 3], 5)
    assert [run.first for run in records(two.region, following, 8)[0]] == [5]
