"""The node: who has which region open, and what a session's beginning and end mean for that."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from dsm.core.membership import Member
from dsm.core.messages import Grant, Inv
from dsm.core.types import Epoch, NodeId, RegionId, RequestId, Source, State, first_request
from dsm.errors import DirectoryUnavailable, ProtocolError, RegionNotFound, SessionLost
from dsm.memory.faults import Detached, FaultSource
from dsm.node.attachment import Attachment
from dsm.node.node import Node
from dsm.node.region import Region
from dsm.node.scopes import Sweep
from dsm.wire.calls import DirectoryCalls
from dsm.wire.directory import Caller, RegionInfo, RegionRequest
from dsm.wire.runs import Run
from dsm.wire.session import MemberJoined, MemberLeft, RegionGone, Welcome
from tests.node.fakes import PAGE, PLENTY, FakeSource, fault, info, until

ONE = RegionId(1)


class FakeDirectory:
    """Keeps who called, in order. `gate` holds every call up."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: DirectoryUnavailable | None = None

    async def open(self, caller: Caller, name: str) -> RegionInfo:
        await self._note("open", name)
        return info()

    async def create(self, caller: Caller, request: RegionRequest) -> tuple[RegionInfo, bool]:
        await self._note("create", request.name)
        return info(), True

    async def close(self, caller: Caller, region: RegionId) -> None:
        await self._note("close", region)

    async def unlink(self, caller: Caller, target: RegionId) -> None:
        await self._note("unlink", target)

    async def _note(self, what: str, of: Any) -> None:
        await self.gate.wait()
        self.said.append((what, of))
        if self.error is not None:
            raise self.error


class PipeSource(FakeSource):
    """A source with a descriptor that the event loop can watch."""

    def __init__(self) -> None:
        super().__init__()
        self.reading, self.writing = os.pipe()

    def fileno(self) -> int:
        return -1 if self.closed else self.reading

    def close(self) -> None:
        super().close()
        os.close(self.reading)
        os.close(self.writing)


class Scene:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.node = Node("n", "127.0.0.1:1", PLENTY, tasks)
        self.directory = FakeDirectory()
        self.node.directory = cast(DirectoryCalls, self.directory)

    def join(self, epoch: int = 1, cluster: str = "c", *others: Member) -> None:
        self.node.joined_as(Welcome(NodeId(1), Epoch(epoch), cluster, others))

    async def said(self) -> list[tuple[str, Any]]:
        for _ in range(5):
            await asyncio.sleep(0)
        said, self.directory.said = self.directory.said, []
        return said


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks)
        yield scene
        await scene.node.close()


def peer(node: int, epoch: int) -> Member:
    return Member(NodeId(node), Epoch(epoch), f"n{node}", "127.0.0.1:1", "127.0.0.1:1", "1")


async def test_the_directory_hears_of_the_last_leave_only(scene: Scene) -> None:
    scene.join()
    first, _ = await scene.node.open("r1")
    second, _ = await scene.node.open("r1")
    assert first is second and await scene.said() == [("open", "r1")] * 2
    scene.node.leave(first)
    assert await scene.said() == []
    scene.node.leave(second)
    assert await scene.said() == [("close", ONE)]
    assert ONE in scene.node.regions, "its pages stay: this node may own them"


async def test_a_region_that_is_opened_again_before_its_close_was_said_is_not_closed(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    scene.directory.gate.clear()
    opening = asyncio.get_running_loop().create_task(scene.node.open("r1"))
    await asyncio.sleep(0)
    scene.node.leave(region)
    await asyncio.sleep(0)
    scene.directory.gate.set()
    await opening
    assert await scene.said() == [("open", "r1")] * 2
    scene.node.leave(region)
    assert await scene.said() == [("close", ONE)]


async def test_a_directory_that_does_not_answer_a_close_ends_nothing(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    scene.directory.error = DirectoryUnavailable("away")
    scene.node.leave(region)
    scene.node.unlink_soon(ONE)
    assert sorted(what for what, _ in await scene.said()) == ["close", "open", "unlink"]


async def test_nobody_asks_without_a_session(scene: Scene) -> None:
    with pytest.raises(SessionLost, match="not joined yet") as refused:
        await scene.node.open("r1")
    assert refused.value.definite
    with pytest.raises(RegionNotFound):
        scene.node.enter_again(ONE)


async def test_a_region_that_the_node_has_no_descriptor_for_is_not_left_at_the_directory(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Region:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("dsm.node.node.Region", full)
    scene.join()
    with pytest.raises(OSError, match="Too many open files"):
        await scene.node.create(RegionRequest("r1", PAGE))
    with pytest.raises(OSError, match="Too many open files"):
        await scene.node.open("r1")
    assert scene.directory.said[1:3] == [("unlink", ONE), ("close", ONE)] and scene.directory.said[-1] == ("close", ONE)
    assert not scene.node.hello().held


async def test_a_node_that_joins_again_names_what_it_has_open_and_forgets_the_rest(scene: Scene) -> None:
    scene.join()
    await scene.node.open("r1")
    scene.node._enter(info(number=2))
    scene.node.leave(scene.node.regions[RegionId(2)])
    kept, left = scene.node.regions[ONE], scene.node.regions[RegionId(2)]
    scene.node.session_ended()
    assert scene.node.hello().held == (ONE,)
    scene.join(2)
    assert scene.node.regions == {ONE: kept} and left.segment.fd == -1
    assert scene.node.next_request() > first_request(Epoch(2))


async def test_a_region_whose_last_user_leaves_between_hello_and_welcome_is_closed(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    scene.node.session_ended()
    assert scene.node.hello().held == (ONE,)
    scene.node.leave(region)
    await scene.said()
    scene.join(epoch=2)
    assert await scene.said() == [("close", ONE)]


@pytest.mark.parametrize("said_between", [True, False], ids=["the next Hello misses it", "the next Hello names it"])
async def test_a_region_that_is_opened_while_the_session_ends(scene: Scene, said_between: bool) -> None:
    scene.join()
    scene.node.hello()
    scene.directory.gate.clear()
    opening = asyncio.get_running_loop().create_task(scene.node.open("r1"))
    await scene.said()
    scene.node.session_ended()
    if said_between:
        scene.node.hello()
        scene.join(epoch=2)
    scene.directory.gate.set()
    if said_between:
        with pytest.raises(SessionLost, match="ended while it opened a region"):
            await opening
        assert not scene.node.regions, "home does not count this node as attached"
    else:
        await opening
        assert scene.node.hello().held == (ONE,)


async def test_the_end_of_a_session_voids_pages_and_the_next_asks_again(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    sent: list[Any] = []
    scene.node.session.send = lambda region, index, message: sent.append((index, message))  # type: ignore[method-assign]
    sweep = Sweep(region, Attachment(PAGE, 1, None), 0, 1, False)
    sweep.start(30)
    ((_, asked),) = sent
    scene.node.session_ended()
    assert not region.pages and not sweep.ready.done()
    scene.join(2)
    (_, (_, again)) = sent
    assert again.request != asked.request
    scene.node.home_said(Run(ONE, 0, 1, Grant(again.request, 0, False, Source.ZERO)))
    await sweep.ready
    assert region.page(0).state is State.S


async def test_the_directory_of_another_cluster_ends_all_regions(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    scene.node.session_ended()
    with pytest.raises(SessionLost, match="another cluster"):
        scene.join(1, "d")
    assert not scene.node.regions and region.gone is not None and scene.node.hello().held == ()
    scene.join(1, "d")
    assert scene.node.joined


async def test_members_come_and_go_and_an_old_leave_does_not_remove_a_new_session(scene: Scene) -> None:
    scene.join(1, "c", peer(2, 5))
    scene.node.noticed(MemberJoined(peer(2, 6)))
    scene.node.noticed(MemberLeft(NodeId(2), Epoch(5)))
    assert scene.node.member(NodeId(2)) == peer(2, 6)
    scene.node.noticed(MemberLeft(NodeId(2), Epoch(6)))
    assert scene.node.member(NodeId(2)) is None and scene.node.name_of(NodeId(2)) == "node 2"
    with pytest.raises(ProtocolError):
        scene.node.noticed(Welcome(NodeId(1), Epoch(9), "c", ()))


async def test_page_streams_end_before_the_pages_they_send_from(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the own session ends or the receiver's: what is sent later would be holes, or another version."""
    told: list[object] = []
    monkeypatch.setattr(scene.node.streams, "forget_all", lambda: told.append("streams"))
    monkeypatch.setattr(scene.node.streams, "forget", told.append)
    scene.join(1, "c", peer(2, 6))
    region = scene.node.regions[ONE] = Region(scene.node, info(4))
    monkeypatch.setattr(region, "session_ended", lambda: told.append("region"))
    scene.node.noticed(MemberLeft(NodeId(2), Epoch(6)))
    scene.node.session_ended()
    assert told == [NodeId(2), "streams", "region"]


async def test_home_may_speak_of_a_region_that_is_gone_but_not_of_a_page_beyond_the_end(scene: Scene) -> None:
    scene.join()
    scene.node.home_said(Run(RegionId(99), 0, 1, Inv(RequestId(1), None, False)))
    await scene.node.open("r1")
    with pytest.raises(ProtocolError, match="beyond its end"):
        scene.node.home_said(Run(ONE, 3, 2, Inv(RequestId(1), None, False)))


async def test_a_region_that_is_gone_still_answers_faults_until_its_process_detaches(scene: Scene) -> None:
    scene.join()
    region, _ = await scene.node.open("r1")
    source = PipeSource()
    attachment = Attachment(PAGE, 1, cast(FaultSource, source))
    scene.node.attach(region, attachment)
    scene.node.noticed(RegionGone(ONE))
    assert ONE not in scene.node.regions
    source.faults = [fault(2)]
    os.write(source.writing, b"x")
    await until(lambda: source.calls)
    assert source.calls[0] == ("poison", 2 * PAGE, PAGE)
    scene.node.detach(region, attachment)
    scene.node.leave(region)
    assert source.closed


async def test_a_descriptor_of_a_process_that_detached_can_be_anothers(scene: Scene) -> None:
    """The kernel says that the process has unmapped; the number must leave the event loop with the descriptor."""
    scene.join()
    region, _ = await scene.node.open("r1")
    source = PipeSource()
    attachment = Attachment(PAGE, 1, cast(FaultSource, source))
    scene.node.attach(region, attachment)
    source.error = Detached()
    attachment.ensure([(0, True)])
    scene.node.detach(region, attachment)
    assert source.closed and not asyncio.get_running_loop().remove_reader(source.reading)


async def test_status_tells_what_there_is(scene: Scene) -> None:
    status = scene.node.status()
    assert not status["joined"] and status["last_error"] == "not joined yet" and status["regions"] == 0
    scene.join(3, "c", peer(2, 1))
    status = scene.node.status()
    assert status["joined"] and status["epoch"] == 3 and status["last_error"] is None
    assert [member["name"] for member in status["members"]] == ["n2"]
    assert status["memory"] == {"used": 0, "limit": PLENTY}
