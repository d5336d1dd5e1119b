"""Page streams between two nodes: greeting, runs, old epochs, broken transfers, and the other way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import msgpack
import pytest

from dsm.core.membership import Member
from dsm.core.messages import Data, GetS
from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.errors import ProtocolError
from dsm.limits import PAGE_FRAME_BYTES_MAX
from dsm.memory.segment import Segment
from dsm.node.link import LENGTH
from dsm.node.region import Region
from dsm.node.stream import MAGIC, Fallback, Frame, PageStreams, _connect, incoming_frame
from tests.node.fakes import PAGE, SOON, FakeHost, info, until
from tests.node.test_region import Waiter

HERE, PEER = NodeId(1), NodeId(2)
CLUSTER = "c"
HOLE = Segment(-1, 0)


class FakeFallback:
    def __init__(self, member: Member) -> None:
        self.member = member
        self.lost = False
        self.frames: list[Frame] = []
        self.closed = False

    def send(self, frame: Frame) -> None:
        self.frames.append(frame)

    def close(self) -> None:
        self.closed = True


class StreamHost:
    """A node, for its page streams."""

    def __init__(self, tasks: asyncio.TaskGroup, node: NodeId) -> None:
        self.cluster_id = CLUSTER
        self.node_id = node
        self.epoch = Epoch(10 + node)
        self.regions: dict[RegionId, Region] = {}
        self.members: dict[NodeId, Member] = {}
        self.fallbacks: list[FakeFallback] = []
        self._tasks = tasks

    def member(self, node: NodeId) -> Member | None:
        return self.members.get(node)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        return self._tasks.create_task(coroutine, name=name)

    def fallback(self, member: Member) -> Fallback:
        self.fallbacks.append(FakeFallback(member))
        return self.fallbacks[-1]


class Two:
    """A sender, and a receiver with a region of eight pages whose host is `asked`."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.sender, self.receiver = StreamHost(tasks, HERE), StreamHost(tasks, PEER)
        self.out, self.into = PageStreams(self.sender), PageStreams(self.receiver)
        self.port = self.into.listen("127.0.0.1", 0)
        self.asked, owner = FakeHost(), FakeHost()
        self.region, self.source = self.asked.add(info(8)), owner.add(info(8))
        self.receiver.regions[self.region.info.id] = self.region
        self.knows()

    def knows(self, epoch: int | None = None, port: int | None = None) -> Member:
        """What the sender knows of the receiver."""
        at = Epoch(self.receiver.epoch if epoch is None else epoch)
        member = Member(PEER, at, "peer", f"127.0.0.1:{port or self.port}", "", "1")
        self.sender.members[PEER] = member
        return member

    def want(self, *pages: int) -> Data:
        """Let the receiver ask for pages; return what answers it."""
        self.asked.take()
        for page in pages:
            self.region.wait(page, Waiter(False))
        (_, first), *_ = self.asked.take()
        assert isinstance(first, GetS)
        return Data(first.request, 1, False, True)

    def supply(self, page: int, data: Data, kept: bytes | None = None) -> None:
        info_ = self.source.info
        self.out.supply(PEER, Frame(info_.id, page, 1, data, info_.page_size, self.source.segment, kept))

    async def until_here(self, page: int) -> None:
        await until(lambda: self.region.page(page).state.readable)


@pytest.fixture
async def two() -> AsyncIterator[Two]:
    async with asyncio.TaskGroup() as tasks:
        two = Two(tasks)
        yield two
        two.out.close()
        two.into.close()


async def test_a_page_comes_over_the_stream(two: Two) -> None:
    two.source.segment.write(PAGE, b"page one")
    two.supply(1, two.want(1))
    two.out.flush()
    await two.until_here(1)
    assert two.region.segment.read(PAGE, 8) == b"page one"


async def test_adjacent_pages_for_one_request_leave_as_one_frame(two: Two) -> None:
    two.region.ask_for(0, 8, False)
    (request,) = {message.request for _, message in two.asked.take() if isinstance(message, GetS)}
    data = Data(request, 1, False, True)
    for page in (0, 1, 2, 5, 6):
        two.supply(page, data)
    assert [(frame.first, frame.count) for frame in two.out._outgoing[PEER]] == [(0, 3), (5, 2)]
    two.out.flush()
    for page in (0, 1, 2, 5, 6):
        await two.until_here(page)
    assert not two.region.page(3).state.readable


def test_a_run_ends_at_its_limit_and_never_holds_kept_bytes() -> None:
    data = Data(RequestId(1), 1, False, True)
    size = PAGE_FRAME_BYTES_MAX // 2
    one, two, three = (Frame(RegionId(1), page, 1, data, size, HOLE, None) for page in range(3))
    assert one.takes(two) and not one.takes(three)
    one.count = 2
    assert not one.takes(three)
    kept = Frame(RegionId(1), 1, 1, data, size, HOLE, b"x")
    assert not Frame(RegionId(1), 0, 1, data, size, HOLE, None).takes(kept)
    assert not two.takes(Frame(RegionId(1), 2, 1, Data(RequestId(2), 1, False, True), size, HOLE, None))


async def test_bytes_given_away_are_sent_from_where_they_are_kept(two: Two) -> None:
    two.supply(0, two.want(0), kept=b"k" * PAGE)
    two.out.flush()
    await two.until_here(0)
    assert two.region.segment.read(0, PAGE) == b"k" * PAGE


async def test_a_page_for_an_old_session_of_the_receiver_is_thrown_away(two: Two) -> None:
    data = two.want(0)
    two.knows(epoch=two.receiver.epoch - 1)
    two.supply(0, data)
    two.out.flush()
    two.out.flush()
    two.knows()
    two.supply(1, two.want(1))
    two.out.flush()
    await two.until_here(1)
    assert not two.region.page(0).state.readable


async def test_a_page_for_nobody_is_dropped(two: Two) -> None:
    two.sender.members.clear()
    two.supply(0, two.want(0))
    two.out.flush()
    assert not two.out._peers


async def test_a_stream_that_broke_is_made_anew(two: Two) -> None:
    two.supply(0, two.want(0))
    two.out.flush()
    await two.until_here(0)
    for incoming in list(two.into._incoming):
        incoming.close()
    async with asyncio.timeout(SOON):
        data = two.want(1)
        while not two.region.page(1).state.readable:
            two.supply(1, data)
            two.out.flush()
            await asyncio.sleep(0.01)


async def test_a_stream_that_breaks_in_the_middle_of_a_page_makes_its_region_ask_again(two: Two) -> None:
    data = two.want(0)
    frame = Frame(RegionId(1), 0, 1, data, PAGE, HOLE, b"")
    with socket.create_connection(("127.0.0.1", two.port)) as sock:
        for header in (greeting(two), [*frame.header(two.receiver.epoch)[:8], PAGE]):
            packed = msgpack.packb(header)
            sock.send(LENGTH.pack(len(packed)) + packed)
        sock.send(b"only the beginning")
        await until(lambda: two.region._arrivals)
    await until(lambda: not two.region._arrivals)
    assert set(two.asked.take()) == {(0, GetS(data.request))}


@pytest.mark.parametrize("port", [1, 70000])
async def test_a_port_that_cannot_be_reached_is_gone_round_over_grpc(two: Two, port: int) -> None:
    member = two.knows(port=port)
    data = two.want(0, 1)
    two.supply(0, data)
    two.out.flush()
    await until(lambda: two.sender.fallbacks and two.sender.fallbacks[0].frames)
    two.supply(1, data)
    two.out.flush()
    (fallback,) = two.sender.fallbacks
    assert fallback.member == member and [frame.first for frame in fallback.frames] == [0, 1]


async def test_nothing_leaves_after_the_own_session_has_ended(two: Two) -> None:
    """The pages are dropped then, and their holes would be read as zeros."""
    void, valid = two.want(0), two.want(1)
    two.source.segment.write(PAGE, b"page one")
    two.supply(0, void)
    two.out.flush()  # waits for the connection
    two.supply(0, void)  # waits for the next flush
    two.out.forget_all()
    two.source.segment.drop(0, PAGE)
    two.supply(1, valid)
    two.out.flush()
    await two.until_here(1)
    assert not two.region.page(0).state.readable


async def test_what_is_on_its_way_to_a_node_whose_session_has_ended_never_arrives(two: Two) -> None:
    two.supply(0, two.want(0))
    two.out.flush()
    await two.until_here(0)
    sender = two.out._peers[PEER]._sender
    two.out.forget(PEER)
    assert sender is not None and sender.closed and PEER not in two.out._peers
    await until(lambda: not two.into._incoming)


async def test_the_other_way_ends_with_the_peers_session_and_the_stream_is_tried_again(two: Two) -> None:
    two.knows(port=1)
    two.supply(0, two.want(0))
    two.out.flush()
    await until(lambda: two.sender.fallbacks)
    two.receiver.epoch = Epoch(two.receiver.epoch + 1)
    two.knows()
    two.supply(1, two.want(1))
    two.out.flush()
    await two.until_here(1)
    assert two.sender.fallbacks[0].closed and len(two.sender.fallbacks) == 1


def greeting(two: Two) -> list[Any]:
    return [MAGIC, CLUSTER, HERE, two.sender.epoch, PEER]


@pytest.mark.parametrize(
    "change",
    [{0: "dsm-pages-2"}, {1: "another"}, {2: "x"}, {3: 3}, {4: 99}],
    ids=["magic", "cluster", "sender", "epoch", "receiver"],
)
async def test_a_stranger_is_cut_off(two: Two, change: dict[int, Any]) -> None:
    two.receiver.members[HERE] = Member(HERE, two.sender.epoch, "h", "", "", "1")
    header = [change.get(position, field) for position, field in enumerate(greeting(two))]
    reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
    packed = msgpack.packb(header)
    writer.write(LENGTH.pack(len(packed)) + packed)
    async with asyncio.timeout(SOON):
        assert await reader.read() == b""
    writer.close()
    assert not two.into._incoming


@pytest.mark.parametrize(
    "header",
    [
        None,
        [],
        [1, 0, 1, 1, 1, False, True, 12],
        [1, 0, 0, 1, 1, False, True, 12, PAGE],
        [1, -1, 1, 1, 1, False, True, 12, PAGE],
        [1, 8, 1, 1, 1, False, True, 12, PAGE],
        [1, 0, 2, 1, 1, False, True, 12, PAGE],
        [1, 0, 1, 1, -1, False, True, 12, PAGE],
        [1, 0, 1, 1, 1, 0, True, 12, PAGE],
        [1, 0, 1, 1, 1, False, True, 12, 0],
        [1, 0, 1, 1, 1, False, True, 12, PAGE_FRAME_BYTES_MAX + 1],
        [1, 0, 1 << 60, 1, 1, False, True, 12, PAGE],
    ],
)
async def test_a_frame_that_no_node_sends_is_refused(two: Two, header: Any) -> None:
    with pytest.raises(ProtocolError):
        incoming_frame(two.receiver, header, lambda: None)


async def test_a_frame_of_a_region_that_is_gone_is_received_and_thrown_away(two: Two) -> None:
    arrival = incoming_frame(two.receiver, [77, 0, 1, 1, 1, False, True, 12, PAGE], lambda: None)
    assert arrival.region is None and len(arrival.place) == PAGE
    arrival.complete()


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:70000", ":", "", "[::1]:1"])
async def test_an_address_that_leads_nowhere_is_an_error_that_is_expected(address: str) -> None:
    with pytest.raises((OSError, ValueError, OverflowError)):
        await _connect(address)
