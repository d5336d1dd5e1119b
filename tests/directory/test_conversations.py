"""Conversations about pages between two nodes and the directory, message by message."""

from __future__ import annotations

from pathlib import Path

from dsm.core.messages import Ack, Adopt, Done, Fetch, GetM, GetS, Grant, Inv, Lost, Put, PutAck, Release
from dsm.core.types import RegionId, Source
from dsm.wire.directory import PageMapRun, RegionInfo, RegionRequest
from dsm.wire.session import MemberJoined, MemberLeft, RegionGone
from tests.directory.conftest import Join, running
from tests.directory.fake_node import FakeNode, until


async def grid(node: FakeNode, pages: int = 256) -> RegionInfo:
    info, _ = await node.calls.create(node.caller, RegionRequest("grid", pages * 4096, 4096))
    return info


async def take(node: FakeNode, region: RegionId, first: int, count: int = 1) -> None:
    """Write pages that nobody has written before."""
    request = node.request()
    await node.say(region, first, GetM(request, None), count)
    assert await node.heard_about(region) == (first, count, Grant(request, 1, write=True, source=Source.ZERO))
    await node.say(region, first, Done(request, ok=True), count)


async def shared(node: FakeNode, pages: int) -> bool:
    return (await node.calls.describe("grid")).pages.shared == pages


async def test_a_reader_and_then_a_writer_get_a_page_from_its_owner(directory: str, join: Join) -> None:
    a, b = await join(directory, "a"), await join(directory, "b")
    info = await grid(a)
    region = info.id

    await take(a, region, 7)

    read = b.request()
    await b.say(region, 7, GetS(read))
    assert await a.heard_about(region) == (7, 1, Fetch(read, to=b.welcome.node))
    await a.say(region, 7, Ack(read))  # the bytes went over the page stream
    await b.say(region, 7, Done(read, ok=True))

    write = b.request()
    await b.say(region, 7, GetM(write, held=1))
    assert await a.heard_about(region) == (7, 1, Inv(write, to=None, grants=False))
    await a.say(region, 7, Ack(write))
    assert await b.heard_about(region) == (7, 1, Grant(write, 2, write=True, source=Source.HELD))
    await b.say(region, 7, Done(write, ok=True))

    again = a.request()
    await a.say(region, 7, GetM(again, held=None))
    assert await b.heard_about(region) == (7, 1, Inv(again, to=a.welcome.node, grants=True))
    await b.say(region, 7, Ack(again))
    await a.say(region, 7, Done(again, ok=True))
    assert await b.heard_about(region) == (7, 1, Release(again))

    assert await a.calls.page_map(region, 0, 256) == ([PageMapRun(7, 1, a.welcome.node, (), 3, lost=False)], 256)
    counters = (await a.calls.status()).counters
    assert counters["transactions"] == 4
    assert counters["received GetM"] == 3 and counters["sent Inv"] == 2


async def test_a_run_is_answered_by_runs(directory: str, join: Join) -> None:
    a, b = await join(directory, "a"), await join(directory, "b")
    info = await grid(a)
    await take(a, info.id, 10, count=50)
    await take(a, info.id, 60, count=40)
    read = b.request()
    await b.say(info.id, 0, GetS(read), count=256)
    assert await a.heard_about(info.id) == (10, 90, Fetch(read, to=b.welcome.node))
    zeros = Grant(read, 0, write=False, source=Source.ZERO)
    assert await b.heard_about(info.id) == (0, 10, zeros)
    assert await b.heard_about(info.id) == (100, 156, zeros)
    owner = a.welcome.node
    assert (await a.calls.page_map(info.id, 5, 60))[0] == [
        PageMapRun(5, 5, None, (), 0, lost=False, busy=True),
        PageMapRun(10, 55, owner, (), 1, lost=False, busy=True),
    ]


async def test_an_owner_hands_a_page_to_a_sharer(directory: str, join: Join) -> None:
    a, b = await join(directory, "a"), await join(directory, "b")
    info = await grid(a)
    await take(a, info.id, 0)
    read = b.request()
    await b.say(info.id, 0, GetS(read))
    await a.heard_about(info.id)
    await a.say(info.id, 0, Ack(read))
    await b.say(info.id, 0, Done(read, ok=True))
    put = a.request()
    # The two nodes' messages travel apart: ask until home knows of the sharer.
    await until(lambda: shared(a, 1))
    await a.say(info.id, 0, Put(put))
    assert await b.heard_about(info.id) == (0, 1, Adopt(put, version=1))
    await b.say(info.id, 0, Done(put, ok=True))
    assert await a.heard_about(info.id) == (0, 1, PutAck(put, taken=True))


async def test_the_end_of_an_owner_is_told_to_who_waits_for_its_page(directory: str, join: Join) -> None:
    a, b = await join(directory, "a"), await join(directory, "b")
    info = await grid(a)
    await take(a, info.id, 3)
    read = b.request()
    await b.say(info.id, 3, GetS(read))
    assert await a.heard_about(info.id) == (3, 1, Fetch(read, to=b.welcome.node))
    await a.leave()
    assert await b.heard() == MemberLeft(a.welcome.node, a.welcome.epoch)
    assert await b.heard_about(info.id) == (3, 1, Lost(read))
    await b.say(info.id, 3, Done(read, ok=False))
    late = b.request()
    await b.say(info.id, 3, GetM(late, None))
    assert await b.heard_about(info.id) == (3, 1, Lost(late))
    assert (await b.calls.describe("grid")).pages.lost == 1


async def test_a_sharer_is_asked_to_own_the_pages_of_a_node_that_ended(directory: str, join: Join) -> None:
    a, b = await join(directory, "a"), await join(directory, "b")
    info = await grid(a)
    await take(a, info.id, 0, count=4)
    read = b.request()
    await b.say(info.id, 0, GetS(read), count=4)
    await a.heard_about(info.id)
    await a.say(info.id, 0, Ack(read), count=4)
    await b.say(info.id, 0, Done(read, ok=True), count=4)
    await until(lambda: shared(a, 4))
    await a.leave()
    first, count, message = await b.heard_about(info.id)
    assert (first, count) == (0, 4) and isinstance(message, Adopt)
    await b.say(info.id, 0, Done(message.request, ok=True), count=4)
    write = b.request()
    await b.say(info.id, 0, GetM(write, held=1), count=4)
    assert await b.heard_about(info.id) == (0, 4, Grant(write, 2, write=True, source=Source.HELD))


async def test_a_member_is_made_known_before_a_message_names_it(directory: str, join: Join) -> None:
    a = await join(directory, "a")
    info = await grid(a)
    await take(a, info.id, 0)
    b = await join(directory, "b")
    await b.say(info.id, 0, GetS(b.request()))
    heard = await a.heard()
    assert isinstance(heard, MemberJoined) and heard.member.node == b.welcome.node
    assert isinstance((await a.heard_about(info.id))[2], Fetch)


async def test_after_a_restart_written_regions_are_lost_and_never_zeros(tmp_path: Path, join: Join) -> None:
    store = str(tmp_path / "store")
    async with running(store) as address:
        a = await join(address, "a")
        written = (await grid(a)).id
        untouched = (await a.calls.create(a.caller, RegionRequest("untouched", 4096)))[0].id
        await take(a, written, 5)
    async with running(store) as address:
        a = await join(address, "a", held=(written, untouched))
        read = a.request()
        await a.say(written, 5, GetS(read))
        assert await a.heard_about(written) == (5, 1, Lost(read))
        await a.say(written, 5, Done(read, ok=False))
        write = a.request()
        await a.say(written, 9, GetM(write, None))
        assert await a.heard_about(written) == (9, 1, Lost(write))
        zeros = a.request()
        await a.say(untouched, 0, GetS(zeros))
        assert await a.heard_about(untouched) == (0, 1, Grant(zeros, 0, write=False, source=Source.ZERO))
        runs, end = await a.calls.page_map(written, 0, 256)
        assert (runs[0].first, sum(run.count for run in runs), end) == (0, 256, 256)
        assert {(run.owner, run.lost) for run in runs} == {(None, True)}
        assert [run.first for run in runs if run.busy] == [9]
        assert (await a.calls.describe("grid")).pages.lost == 256


async def test_a_message_about_a_region_that_is_gone_is_passed_over(directory: str, join: Join) -> None:
    a = await join(directory, "a")
    info = await grid(a)
    await a.calls.unlink(a.caller, "grid")
    await a.calls.close(a.caller, info.id)
    assert await a.heard() == RegionGone(info.id)
    await a.say(info.id, 0, GetS(a.request()))
    await take(a, (await grid(a)).id, 0)
