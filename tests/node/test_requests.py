"""What clients ask: wrong arguments, order of calls, and what is given back when a client cancels or goes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from dsm.core.messages import GetM, Grant
from dsm.core.types import RegionId, Source
from dsm.errors import (
    DeadlineExceeded,
    DsmError,
    InvalidArgument,
    LimitExceeded,
    ProtocolError,
    RegionClosed,
    RegionNotFound,
    SessionLost,
)
from dsm.limits import SCOPE_PAGES_MAX
from dsm.node.attachment import Attachment
from dsm.node.local import Call, Peer, Reply
from dsm.node.node import Node
from dsm.node.region import Region
from dsm.node.requests import Client
from dsm.node.scopes import Stuck
from dsm.wire.directory import Lifetime, RegionRequest
from tests.node.fakes import PAGE, FakeHost, info


class FakeNode:
    """A node whose directory answers when `gate` is open."""

    name, node_id, epoch = "n", 1, 1

    def __init__(self) -> None:
        self.host = FakeHost()
        self.regions = self.host.regions
        self.users: dict[RegionId, int] = {}
        self.unlinked: list[RegionId] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def _entered(self) -> Region:
        region = self.regions.get(RegionId(1)) or self.host.add(info())
        self.users[region.info.id] = self.users.get(region.info.id, 0) + 1
        return region

    async def create(self, request: RegionRequest) -> tuple[Region, bool]:
        await self.gate.wait()
        region = self._entered()
        object.__setattr__(region.info, "lifetime", request.lifetime)
        return region, True

    async def open(self, name: str) -> tuple[Region, bool]:
        await self.gate.wait()
        if name != "r1":
            raise RegionNotFound(name)
        return self._entered(), False

    def enter_again(self, region: RegionId) -> Region:
        return self._entered()

    def leave(self, region: Region) -> None:
        self.users[region.info.id] -= 1

    def attach(self, region: Region, attachment: Attachment) -> None:
        region.attachments.add(attachment)

    def detach(self, region: Region, attachment: Attachment) -> None:
        region.detach(attachment)

    def unlink_soon(self, region: RegionId) -> None:
        self.unlinked.append(region)

    async def name_holder(self, region: Region, stuck: Stuck) -> str:
        return "somebody has it"


class Scene:
    def __init__(self) -> None:
        self.node = FakeNode()
        self.client = Client(cast(Node, self.node), Peer(os.getpid(), 0, 0))
        self.number = 0

    def start(self, op: str, **arguments: Any) -> Any:
        self.number += 1
        return self.client.handle(Call(op, {"id": self.number, "op": op, **arguments}, []))

    async def call(self, op: str, **arguments: Any) -> Any:
        answer = self.start(op, **arguments)
        reply = answer if isinstance(answer, Reply) else await answer
        return reply.value

    async def attached(self) -> int:
        await self.call("hello", protocol=1)
        await self.call("open", name="r1")
        return int((await self.call("attach", region=1, base=None))["attachment"])

    @property
    def region(self) -> Region:
        return self.node.regions[RegionId(1)]

    def grant(self) -> None:
        for index, message in self.node.host.take():
            if isinstance(message, GetM):
                self.region.received(index, Grant(message.request, 1, True, Source.ZERO))

    def nothing_is_left(self) -> None:
        assert not any(self.node.users.values())
        for region in self.node.regions.values():
            assert not region.sweeps and not region.attachments and not region.locks._locks


async def settle(task: asyncio.Task[Any]) -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def under_way(coroutine: Coroutine[Any, Any, Reply]) -> asyncio.Task[Reply]:
    return asyncio.get_running_loop().create_task(coroutine)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_hello_comes_first_and_speaks_the_same_protocol(scene: Scene) -> None:
    with pytest.raises(ProtocolError, match="before hello"):
        scene.start("list")
    with pytest.raises(ProtocolError, match="version 2"):
        scene.start("hello", protocol=2)
    assert (await scene.call("hello", protocol=1))["node"] == "n"


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("create", {}),
        ("create", {"name": 1, "size": 1, "lifetime": "unlink"}),
        ("create", {"name": "x", "size": "1", "lifetime": "unlink"}),
        ("create", {"name": "x", "size": -1, "lifetime": "unlink"}),
        ("create", {"name": "x", "size": 1 << 63, "lifetime": "unlink"}),
        ("create", {"name": "x", "size": True, "lifetime": "unlink"}),
        ("create", {"name": "x", "size": 1, "lifetime": "long"}),
        ("create", {"name": "x", "size": 1, "lifetime": "unlink", "hold": "x"}),
        ("create", {"name": "x", "size": 1, "lifetime": "unlink", "hold": float("inf")}),
        ("create", {"name": "x", "size": 1, "lifetime": "unlink", "shape": "x"}),
        ("create", {"name": "x", "size": 1, "lifetime": "unlink", "shape": [1 << 63]}),
        ("open", {}),
        ("begin", {"attachment": 1, "offset": 0, "length": 1}),
        ("begin", {"attachment": 1, "offset": 0, "length": 0, "write": True}),
        ("begin", {"attachment": 1, "offset": 4 * PAGE, "length": 1, "write": True}),
        ("begin", {"attachment": 1, "offset": -1, "length": 1, "write": True}),
        ("begin", {"attachment": 1, "offset": 0, "length": 1, "write": True, "timeout": -1}),
        ("begin", {"attachment": 1, "offset": 0, "length": 1, "write": True, "timeout": True}),
        ("detach", {}),
        ("end", {"scope": "1"}),
        ("cancel", {}),
    ],
)
async def test_wrong_arguments_are_named(scene: Scene, op: str, arguments: dict[str, Any]) -> None:
    await scene.attached()
    with pytest.raises(InvalidArgument) as wrong:
        await scene.call(op, **arguments)
    assert str(wrong.value)


@pytest.mark.parametrize(
    ("op", "arguments"),
    [
        ("nonsense", {}),
        ("attach", {"region": 5, "base": None}),
        ("attach", {"region": 1, "base": 4096}),
        ("detach", {"attachment": 7}),
        ("end", {"scope": 7}),
        ("begin", {"attachment": 7, "offset": 0, "length": 1, "write": True}),
    ],
)
async def test_calls_that_are_out_of_order_are_refused(scene: Scene, op: str, arguments: dict[str, Any]) -> None:
    await scene.call("hello", protocol=1)
    await scene.call("open", name="r1")
    with pytest.raises(ProtocolError):
        await scene.call(op, **arguments)


async def test_a_range_of_too_many_pages_is_refused(scene: Scene) -> None:
    scene.node.host.add(info(SCOPE_PAGES_MAX + 1))
    number = await scene.attached()
    size = (SCOPE_PAGES_MAX + 1) * PAGE
    with pytest.raises(LimitExceeded, match="smaller"):
        await scene.call("begin", attachment=number, offset=0, length=size, write=False)


async def test_a_scope_begins_and_ends(scene: Scene) -> None:
    number = await scene.attached()
    waiting = under_way(scene.start("begin", attachment=number, offset=PAGE - 1, length=2, write=True))
    await settle(waiting)
    scene.grant()
    await settle(waiting)
    scene.grant()
    begun = cast(dict[str, int], (await waiting).value)
    await scene.call("end", **begun)


async def test_a_scope_on_pages_that_are_here_is_answered_at_once(scene: Scene) -> None:
    number = await scene.attached()
    waiting = under_way(scene.start("prefetch", attachment=number, offset=0, length=1, write=True))
    await settle(waiting)
    scene.grant()
    await waiting
    answer = scene.start("begin", attachment=number, offset=0, length=1, write=True)
    assert isinstance(answer, Reply)


async def test_a_deadline_tells_page_region_and_holder(scene: Scene) -> None:
    number = await scene.attached()
    with pytest.raises(DeadlineExceeded, match=r"write page 1 of region 'r1': somebody has it"):
        await scene.call("begin", attachment=number, offset=PAGE, length=1, write=True, timeout=0)


async def test_the_end_of_a_broken_scope_says_so(scene: Scene) -> None:
    number = await scene.attached()
    waiting = under_way(scene.start("begin", attachment=number, offset=0, length=1, write=True))
    await settle(waiting)
    scene.grant()
    begun = cast(dict[str, int], (await waiting).value)
    scene.region.session_ended()
    with pytest.raises(SessionLost):
        await scene.call("end", **begun)
    scene.client.closed()
    scene.nothing_is_left()


async def test_a_region_that_is_gone_can_neither_be_entered_nor_attached(scene: Scene) -> None:
    number = await scene.attached()
    await scene.call("open", name="r1")
    scene.region.close(RegionNotFound("gone"))
    with pytest.raises(RegionNotFound):
        await scene.call("begin", attachment=number, offset=0, length=1, write=True)
    with pytest.raises(RegionNotFound):
        await scene.call("attach", region=1, base=None)


# --- Cancelled, or gone -----------------------------------------------------------------------------------------------


async def test_a_client_that_goes_gives_back_all_it_had(scene: Scene) -> None:
    number = await scene.attached()
    await scene.call("open", name="r1")
    waiting = under_way(scene.start("begin", attachment=number, offset=0, length=1, write=True))
    await settle(waiting)
    scene.client.closed()
    with pytest.raises(RegionClosed):
        await waiting
    scene.nothing_is_left()


async def test_a_client_that_goes_while_it_opens_a_region_leaves_it_again(scene: Scene) -> None:
    await scene.call("hello", protocol=1)
    scene.node.gate.clear()
    opening = under_way(scene.start("open", name="r1"))
    creating = under_way(scene.start("create", name="r1", size=1, lifetime=Lifetime.CREATOR.value))
    await settle(opening)
    scene.client.closed()
    scene.node.gate.set()
    for call in (opening, creating):
        with pytest.raises(RegionClosed):
            await call
    scene.nothing_is_left()
    assert scene.node.unlinked == [RegionId(1)], "the region of a creator that is gone goes too"


@pytest.mark.parametrize("answered", [False, True])
async def test_a_cancelled_scope_is_given_back(scene: Scene, answered: bool) -> None:
    number = await scene.attached()
    waiting = under_way(scene.start("begin", attachment=number, offset=0, length=1, write=True))
    call = scene.number
    await settle(waiting)
    if answered:
        scene.grant()
        await waiting
    await scene.call("cancel", call=call)
    assert not scene.region.sweeps and not scene.region.locks._locks
    if not answered:
        with pytest.raises(DsmError):
            await waiting


async def test_a_scope_that_is_cancelled_just_when_its_page_comes_is_given_back(scene: Scene) -> None:
    number = await scene.attached()
    waiting = under_way(scene.start("begin", attachment=number, offset=0, length=1, write=True))
    call = scene.number
    await settle(waiting)
    scene.grant()
    await asyncio.sleep(0)  # `ready` is set; the call has not gone on yet
    await scene.call("cancel", call=call)
    with pytest.raises(RegionClosed):
        await waiting
    assert not scene.region.sweeps and not scene.region.locks._locks


async def test_a_cancelled_prefetch_attach_and_open_are_undone(scene: Scene) -> None:
    number = await scene.attached()
    prefetch = under_way(scene.start("prefetch", attachment=number, offset=0, length=1))
    await settle(prefetch)
    await scene.call("cancel", call=scene.number)
    with pytest.raises(RegionClosed):
        await prefetch
    await scene.call("detach", attachment=number)
    await scene.call("open", name="r1")
    await scene.call("cancel", call=scene.number)
    await scene.call("open", name="r1")
    await scene.call("attach", region=1, base=None)
    await scene.call("cancel", call=scene.number)
    scene.nothing_is_left()


async def test_an_open_that_is_cancelled_under_way_is_undone(scene: Scene) -> None:
    await scene.call("hello", protocol=1)
    scene.node.gate.clear()
    opening = under_way(scene.start("open", name="r1"))
    call = scene.number
    await settle(opening)
    await scene.call("cancel", call=call)
    scene.node.gate.set()
    with pytest.raises(RegionClosed):
        await opening
    scene.nothing_is_left()


async def test_a_cancel_of_something_else_changes_nothing(scene: Scene) -> None:
    number = await scene.attached()
    await scene.call("cancel", call=12345)
    assert scene.client._attachments.keys() == {number}
