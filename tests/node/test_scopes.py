"""Scopes and prefetches: page by page, in order of arrival, given back whatever happens."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.core.types import NodeId, Pin, State
from dsm.errors import DsmError, SessionLost
from dsm.limits import PREFETCH_BYTES_MAX
from dsm.node.attachment import Attachment
from dsm.node.scopes import Scope, Stuck, Sweep
from tests.node.fakes import PAGE, FakeHost, FakeSource, SmallCluster, attachment, info

FIRST, SECOND = NodeId(1), NodeId(2)


class Scene:
    """Scopes of processes on the nodes of a small cluster."""

    def __init__(self, nodes: int = 2, pages: int = 4, hold: float = 0.0) -> None:
        self.cluster = SmallCluster(nodes, pages, hold=hold)

    def process(self, node: NodeId, blind: bool = False) -> Attachment:
        made = attachment(None if blind else FakeSource())
        self.cluster.regions[node].attachments.add(made)
        return made

    def scope(
        self, node: NodeId, first: int = 0, count: int = 1, write: bool = True, by: Attachment | None = None
    ) -> Scope:
        made = Scope(self.cluster.regions[node], by or self.process(node), first, count, write)
        made.start(30)
        return made

    async def begun(self, node: NodeId, first: int = 0, count: int = 1, write: bool = True) -> Scope:
        scope = self.scope(node, first, count, write)
        await self.cluster.settle()
        assert ready(scope)
        return scope

    def nothing_is_left(self) -> None:
        for region in self.cluster.regions.values():
            assert not region.sweeps and not region.locks._locks and not region._waiters
            assert all(page.pin is Pin.NONE for page in region.pages.values())


def ready(sweep: Sweep) -> bool:
    return sweep.ready.done() and sweep.ready.exception() is None


async def test_a_scope_takes_its_pages_and_gives_them_back() -> None:
    scene = Scene()
    scope = await scene.begun(FIRST, 1, 3)
    assert [scene.cluster.regions[FIRST].page(page).pin for page in range(4)] == [Pin.NONE, *[Pin.WRITE] * 3]
    scope.close()
    scene.nothing_is_left()


async def test_readers_share_a_page_on_one_host_and_between_hosts() -> None:
    scene = Scene()
    (await scene.begun(FIRST)).close()
    readers = [await scene.begun(node, write=False) for node in (FIRST, FIRST, SECOND, SECOND)]
    for reader in readers:
        reader.close()
    scene.nothing_is_left()


@pytest.mark.parametrize("node", [FIRST, SECOND], ids=["same host", "other host"])
@pytest.mark.parametrize("held", [True, False], ids=["writer", "reader"])
async def test_a_writer_excludes_everybody(node: NodeId, held: bool) -> None:
    scene = Scene()
    holder = await scene.begun(FIRST, write=held)
    other = scene.scope(node, write=True)
    await scene.cluster.settle()
    assert not other.ready.done()
    holder.close()
    await scene.cluster.settle()
    assert ready(other)
    other.close()
    scene.nothing_is_left()


def _note(order: list[str], name: str, _: object) -> None:
    order.append(name)


async def test_scopes_of_one_host_are_served_in_order_of_arrival() -> None:
    scene = Scene()
    holder = await scene.begun(FIRST)
    order: list[str] = []
    waiting = {name: scene.scope(FIRST, write=name.startswith("w")) for name in ("w1", "r1", "r2", "w2", "r3")}
    for name, scope in waiting.items():
        scope.ready.add_done_callback(partial(_note, order, name))
    holder.close()
    for name in ("w1", "r1", "r2", "w2", "r3"):
        await scene.cluster.settle()
        assert ready(waiting[name])
        if name == "r1":
            assert ready(waiting["r2"]) and not waiting["w2"].ready.done()
        waiting[name].close()
    await scene.cluster.settle()
    assert order == ["w1", "r1", "r2", "w2", "r3"]
    scene.nothing_is_left()


async def test_a_reader_that_ends_lets_a_remote_writer_go_first_though_another_reader_came_meanwhile() -> None:
    """The second reader shares the page's lock but not its pin: the writer's Inv came before it."""
    scene = Scene()
    first = await scene.begun(FIRST, write=False)
    writer = scene.scope(SECOND, write=True)
    await scene.cluster.settle()
    second = scene.scope(FIRST, write=False)
    await scene.cluster.settle()
    assert not writer.ready.done() and not second.ready.done()
    first.close()
    await scene.cluster.settle()
    assert ready(writer) and not second.ready.done()
    writer.close()
    await scene.cluster.settle()
    assert ready(second)
    second.close()
    scene.nothing_is_left()


async def test_a_deadline_names_the_local_holder() -> None:
    scene = Scene()
    holder = await scene.begun(FIRST)
    late = Scope(scene.cluster.regions[FIRST], scene.process(FIRST), 0, 1, True)
    late.start(0)
    with pytest.raises(Stuck) as stuck:
        await late.ready
    assert stuck.value.page == 0 and stuck.value.holder is holder
    holder.close()
    scene.nothing_is_left()


async def test_a_deadline_does_not_name_a_scope_that_only_waits_too() -> None:
    scene = Scene()
    remote = await scene.begun(SECOND)
    waits_too = scene.scope(FIRST, write=False)
    late = Scope(scene.cluster.regions[FIRST], scene.process(FIRST), 0, 1, False)
    late.start(0)
    with pytest.raises(Stuck) as stuck:
        await late.ready
    assert stuck.value.holder is None
    for scope in (remote, waits_too):
        scope.close()


async def test_a_scope_that_gives_up_leaves_no_waiter_behind() -> None:
    scene = Scene()
    remote = await scene.begun(SECOND)
    for _ in range(3):
        late = Scope(scene.cluster.regions[FIRST], scene.process(FIRST), 0, 1, True)
        late.start(0)
        with pytest.raises(Stuck):
            await late.ready
    assert not scene.cluster.regions[FIRST]._waiters
    remote.close()
    await scene.cluster.settle()
    scene.nothing_is_left()


async def test_a_writer_that_gives_up_lets_the_readers_behind_it_in() -> None:
    scene = Scene()
    reader = await scene.begun(FIRST, write=False)
    writer, behind = scene.scope(FIRST, write=True), scene.scope(FIRST, write=False)
    await scene.cluster.settle()
    assert not behind.ready.done()
    writer._expire()
    await scene.cluster.settle()
    assert ready(behind) and isinstance(writer.ready.exception(), Stuck)
    reader.close()
    behind.close()
    scene.nothing_is_left()


async def test_a_scope_that_fails_halfway_gives_back_what_it_had() -> None:
    scene = Scene()
    remote = await scene.begun(SECOND, 2, 1)
    scope = scene.scope(FIRST, 0, 4)
    await scene.cluster.settle()
    assert scope.next == 2
    scope._expire()
    with suppress(Stuck):
        await scope.ready
    remote.close()
    await scene.cluster.settle()
    scene.nothing_is_left()


async def test_a_process_that_detaches_gives_up_its_scopes_and_its_turn() -> None:
    scene = Scene()
    process = scene.process(FIRST)
    holder = scene.scope(FIRST, by=process)
    waiting = scene.scope(FIRST, by=process)
    heir = scene.scope(FIRST)
    await scene.cluster.settle()
    scene.cluster.regions[FIRST].detach(process)
    await scene.cluster.settle()
    assert list(scene.cluster.regions[FIRST].sweeps) == [heir] and ready(heir)
    assert holder.ready.done() and waiting.ready.done()
    heir.close()
    scene.nothing_is_left()


async def test_the_end_of_the_session_breaks_open_scopes_and_fails_those_that_wait() -> None:
    scene = Scene()
    scope, waiting = await scene.begun(FIRST), scene.scope(FIRST)
    scene.cluster.end_session(FIRST)
    assert scope.broken and isinstance(waiting.ready.exception(), SessionLost)
    scope.close()
    scene.nothing_is_left()


async def test_a_page_that_was_pinned_before_a_session_ended_can_be_pinned_and_given_back_after_it() -> None:
    scene = Scene()
    broken = await scene.begun(FIRST, write=False)
    region = scene.cluster.regions[FIRST]
    scene.cluster.end_session(FIRST)
    scene.cluster.hosts[FIRST].joined = True
    reader = await scene.begun(FIRST, write=False)
    reader.close()
    assert region.page(0).pin is Pin.NONE
    broken.close()
    scene.nothing_is_left()


async def test_no_page_comes_while_a_process_without_userfaultfd_is_in_a_broken_scope_on_it() -> None:
    scene = Scene()
    region = scene.cluster.regions[FIRST]
    blind = scene.scope(FIRST, write=False, by=scene.process(FIRST, blind=True))
    await scene.cluster.settle()
    scene.cluster.end_session(FIRST)
    scene.cluster.hosts[FIRST].joined = True
    prefetch = Sweep(region, scene.process(FIRST), 0, 1, False)
    prefetch.start(30)
    await scene.cluster.settle()
    assert region.page(0).state is State.I and not prefetch.ready.done()
    blind.close()
    await scene.cluster.settle()
    assert ready(prefetch)
    scene.nothing_is_left()


async def test_what_a_process_without_userfaultfd_stored_in_a_broken_scope_is_freed_at_its_end() -> None:
    scene = Scene()
    region = scene.cluster.regions[FIRST]
    blind = scene.scope(FIRST, by=scene.process(FIRST, blind=True))
    await scene.cluster.settle()
    scene.cluster.end_session(FIRST)
    region.segment.write(0, b"late")
    blind.close()
    assert region.segment.resident_bytes() == 0
    scene.nothing_is_left()


async def test_a_prefetch_waits_on_over_the_end_of_a_session() -> None:
    host = FakeHost()
    region = host.add(info())
    prefetch = Sweep(region, attachment(), 0, 1, False)
    prefetch.start(30)
    host.joined = False
    region.session_ended()
    assert not prefetch.ready.done()
    host.take()
    host.joined = True
    region.look_at_all()
    assert len(host.take()) == 1


async def test_a_long_scope_asks_for_its_pages_in_one_message_a_window_at_a_time() -> None:
    pages = 2 * PREFETCH_BYTES_MAX // PAGE
    host = FakeHost()
    region = host.add(info(pages))
    Scope(region, attachment(), 0, pages, False).start(30)
    sent = host.take()
    assert len(sent) == PREFETCH_BYTES_MAX // PAGE
    assert len({message for _, message in sent}) == 1


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_order_of_events_a_writer_is_alone_and_nothing_is_left_behind(data: st.DataObject) -> None:
    asyncio.run(_random_schedule(data))


async def _random_schedule(data: st.DataObject) -> None:
    scene = Scene(nodes=3, pages=3)
    scopes: list[Scope] = []
    for _ in range(data.draw(st.integers(5, 40))):
        await asyncio.sleep(0)
        _check_exclusive(scopes)
        acts = ["begin", *(["end"] if scopes else []), *(["give up"] if scopes else [])]
        choices = scene.cluster.choices()
        act = data.draw(st.sampled_from(acts + ["deliver"] * 4 * bool(choices)))
        if act == "begin":
            first = data.draw(st.integers(0, 2))
            count, write = data.draw(st.integers(1, 3 - first)), data.draw(st.booleans())
            scopes.append(scene.scope(data.draw(st.sampled_from(scene.cluster.nodes)), first, count, write))
        elif act == "deliver":
            scene.cluster.deliver(*data.draw(st.sampled_from(choices)))
        else:
            scope = scopes.pop(data.draw(st.integers(0, len(scopes) - 1)))
            scope.abandon() if act == "give up" else _end(scope, scopes)
    while scopes:
        await scene.cluster.settle()
        _check_exclusive(scopes)
        ended = [scope for scope in scopes if ready(scope)]
        assert ended, "somebody holds every page, or somebody waits for nobody"
        for scope in ended:
            scopes.remove(scope)
            scope.close()
    await scene.cluster.settle()
    scene.nothing_is_left()


def _end(scope: Scope, scopes: list[Scope]) -> None:
    if ready(scope):
        scope.close()
    else:
        scopes.append(scope)


def _check_exclusive(scopes: list[Scope]) -> None:
    open_scopes = [scope for scope in scopes if ready(scope)]
    for scope in open_scopes:
        with suppress(DsmError):
            assert scope.region.page(scope.first).state.allows(scope.write)
        for other in open_scopes:
            if other is not scope and (scope.write or other.write):
                assert scope.end <= other.first or other.end <= scope.first
