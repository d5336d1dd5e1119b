"""Creating, opening, listing, unlinking; when a region goes; what is refused, and how."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dsm import errors
from dsm.core.types import RegionId
from dsm.limits import REGION_BYTES_MAX
from dsm.wire.directory import Lifetime, RegionRequest
from dsm.wire.session import RegionGone
from tests.directory.conftest import Join, running
from tests.directory.fake_node import FakeNode, until

GRID = RegionRequest("grid", 1 << 20)


@pytest.fixture
async def node(directory: str, join: Join) -> FakeNode:
    return await join(directory, "a")


async def names(node: FakeNode) -> list[str]:
    return [info.name for info in await node.calls.regions()]


async def test_what_is_created_can_be_opened_with_everything_that_was_said(node: FakeNode) -> None:
    wanted = RegionRequest("/x", 4097, 4096, Lifetime.CREATOR, 0.5, (512, 2), "<f4")
    info, created = await node.calls.create(node.caller, wanted)
    assert created and info.pages == 2
    assert (info.name, info.size, info.page_size, info.lifetime) == ("x", 4097, 4096, Lifetime.CREATOR)
    assert (info.hold, info.shape, info.dtype, info.creator) == (0.5, (512, 2), "<f4", "a")
    assert await node.calls.open(node.caller, "x") == info
    assert info.to_map()["lifetime"] == "creator" and info.to_map()["shape"] == [512, 2]


async def test_what_is_not_said_has_a_default(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, GRID)
    assert (info.page_size, info.lifetime, info.hold, info.shape, info.dtype) == (
        65536,
        Lifetime.UNLINK,
        0.001,
        None,
        None,
    )


async def test_a_scalar_is_not_a_region_without_shape(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, replace(GRID, shape=()))
    assert info.shape == ()


async def test_a_name_can_be_taken_once(node: FakeNode) -> None:
    await node.calls.create(node.caller, GRID)
    with pytest.raises(FileExistsError, match="'grid'"):
        await node.calls.create(node.caller, GRID)


async def test_an_existing_region_is_opened_where_that_is_wanted(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, replace(GRID, page_size=4096))
    assert await node.calls.create(node.caller, replace(GRID, exist_ok=True)) == (info, False)


@pytest.mark.parametrize(
    "other",
    [
        replace(GRID, size=4096),
        replace(GRID, page_size=8192),
        replace(GRID, shape=(3,)),
        replace(GRID, dtype="<f8"),
    ],
    ids=["size", "page_size", "shape", "dtype"],
)
async def test_an_existing_region_is_not_opened_as_something_else(node: FakeNode, other: RegionRequest) -> None:
    await node.calls.create(node.caller, replace(GRID, dtype="<f4", shape=(2, 2)))
    with pytest.raises(errors.InvalidArgument, match="'grid' exists with"):
        await node.calls.create(node.caller, replace(other, exist_ok=True))


async def test_a_missing_region_is_not_found(node: FakeNode) -> None:
    with pytest.raises(FileNotFoundError, match="'nowhere'"):
        await node.calls.open(node.caller, "nowhere")
    with pytest.raises(errors.RegionNotFound):
        await node.calls.describe("nowhere")
    with pytest.raises(errors.RegionNotFound):
        await node.calls.unlink(node.caller, "nowhere")
    with pytest.raises(errors.RegionNotFound):
        await node.calls.page_map(RegionId(99), 0, 1)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(GRID, name=""), "1 to 255"),
        (replace(GRID, name="/"), "1 to 255"),
        (replace(GRID, name="x" * 256), "not 256"),
        (replace(GRID, name="a/b"), "no '/'"),
        (replace(GRID, name="//b"), "no '/'"),
        (replace(GRID, name="a\0b"), "no NUL"),
        (replace(GRID, size=0), "1 to 1,099,511,627,776 bytes"),
        (replace(GRID, size=-1), "a region cannot be"),
        (replace(GRID, size=REGION_BYTES_MAX + 1), "not 1,099,511,627,777"),
        (replace(GRID, size=1 << 64), "a region cannot be"),
        (replace(GRID, page_size=2048), "power of two"),
        (replace(GRID, page_size=12288), "power of two"),
        (replace(GRID, page_size=1 << 22), "power of two"),
        (replace(GRID, hold=-0.1), "hold time"),
        (replace(GRID, hold=1.5), "hold time"),
        (replace(GRID, hold=float("nan")), "hold time"),
        (replace(GRID, shape=(1,) * 65), "64 dimensions"),
        (replace(GRID, shape=(1 << 63, 1 << 63)), "does not fit"),
        (replace(GRID, shape=(-1,)), "a region cannot be"),
        (replace(GRID, dtype=""), "dtype"),
        (replace(GRID, dtype="x" * 4097), "dtype"),
    ],
)
async def test_a_region_that_cannot_be_is_refused_with_what_can(
    node: FakeNode, request_: RegionRequest, reason: str
) -> None:
    with pytest.raises(errors.InvalidArgument, match=reason):
        await node.calls.create(node.caller, request_)
    assert await names(node) == []


async def test_the_largest_region_has_the_longest_name(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, RegionRequest("/" + "ä" * 255, REGION_BYTES_MAX, 4096))
    assert info.pages == 1 << 28 and info.name == "ä" * 255


async def test_regions_are_listed_in_the_order_of_names(node: FakeNode) -> None:
    for name in ["b", "c", "a", *(f"n{number:03}" for number in range(300))]:
        await node.calls.create(node.caller, replace(GRID, name=name))
    assert await names(node) == ["a", "b", "c", *(f"n{number:03}" for number in range(300))]


async def test_an_unlinked_region_lives_on_for_who_has_it_attached(node: FakeNode, directory: str, join: Join) -> None:
    other = await join(directory, "b")
    info, _ = await node.calls.create(node.caller, GRID)
    await other.calls.open(other.caller, "grid")
    assert (await node.calls.describe("grid")).attached == ("a", "b")
    await other.calls.unlink(other.caller, "grid")
    assert await names(node) == []
    second, created = await node.calls.create(node.caller, GRID)
    assert created and second.id != info.id
    await node.calls.close(node.caller, info.id)
    assert (await node.calls.page_map(info.id, 0, 1))[0] == []
    await other.calls.close(other.caller, info.id)
    with pytest.raises(errors.RegionNotFound):
        await node.calls.page_map(info.id, 0, 1)
    assert await other.heard() == RegionGone(info.id)


async def test_unlinking_twice_is_an_error_and_closing_twice_is_not(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, GRID)
    await node.calls.unlink(node.caller, info.id)
    with pytest.raises(errors.RegionNotFound, match="no name any more"):
        await node.calls.unlink(node.caller, info.id)
    await node.calls.close(node.caller, info.id)
    await node.calls.close(node.caller, info.id)
    with pytest.raises(errors.RegionNotFound, match="no region 1"):
        await node.calls.unlink(node.caller, info.id)


async def test_a_region_of_lifetime_unlink_outlives_its_last_detach(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, GRID)
    await node.calls.close(node.caller, info.id)
    assert await names(node) == ["grid"]


async def test_a_region_of_lifetime_last_detach_goes_with_it(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, replace(GRID, lifetime=Lifetime.LAST_DETACH, attach=False))
    assert await names(node) == ["grid"]
    await node.calls.open(node.caller, "grid")
    await node.calls.close(node.caller, info.id)
    assert await names(node) == [] and await node.heard() == RegionGone(info.id)


async def test_the_end_of_a_session_detaches(node: FakeNode, directory: str, join: Join) -> None:
    last = await join(directory, "last")
    await last.calls.create(last.caller, replace(GRID, lifetime=Lifetime.LAST_DETACH))
    await last.calls.create(last.caller, replace(GRID, name="mine", lifetime=Lifetime.CREATOR))
    await last.calls.create(last.caller, replace(GRID, name="kept"))
    await node.calls.open(node.caller, "mine")
    await last.session.done_writing()
    await last.failure()
    assert await names(node) == ["kept"]
    assert (await node.calls.describe("kept")).attached == ()


async def test_a_session_that_replaces_another_keeps_what_it_holds(node: FakeNode, directory: str, join: Join) -> None:
    ours = replace(GRID, lifetime=Lifetime.LAST_DETACH)
    kept, _ = await node.calls.create(node.caller, ours)
    given_up, _ = await node.calls.create(node.caller, replace(ours, name="given-up"))
    mine, _ = await node.calls.create(node.caller, replace(ours, name="mine", lifetime=Lifetime.CREATOR))
    again = await join(directory, "a", held=(kept.id, mine.id, 77))
    assert await names(again) == ["grid", "mine"]
    assert await again.heard() == RegionGone(RegionId(77))
    assert given_up.id not in (kept.id, mine.id)


async def test_regions_outlive_the_directory(tmp_path: Path, join: Join) -> None:
    store = str(tmp_path / "store")
    async with running(store) as address:
        node = await join(address, "a")
        info, _ = await node.calls.create(node.caller, replace(GRID, shape=(4, 4), dtype="<f8"))
        gone, _ = await node.calls.create(node.caller, replace(GRID, name="gone"))
        await node.calls.unlink(node.caller, "gone")
    async with running(store) as address:
        node = await join(address, "a", held=(info.id, gone.id))
        assert await node.calls.open(node.caller, "grid") == info
        assert await names(node) == ["grid"]
        assert (await node.calls.page_map(gone.id, 0, 1))[1] == 1  # still attached, so it lives on
        third, _ = await node.calls.create(node.caller, replace(GRID, name="third"))
        assert third.id > gone.id


async def test_regions_nobody_claims_after_a_restart_go_when_the_time_is_over(
    tmp_path: Path, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    async with running(store) as address:
        node = await join(address, "a")
        for lifetime in Lifetime:
            for name in ("claimed", "unclaimed"):
                wanted = RegionRequest(f"{name}-{lifetime.value}", 4096, lifetime=lifetime)
                await node.calls.create(node.caller, wanted)
        held = [info.id for info in await node.calls.regions() if not info.name.startswith("un")]
    monkeypatch.setattr("dsm.directory.server.RECOVERY_SECONDS", 0.3)
    async with running(store) as address:
        node = await join(address, "a", held=tuple(held))
        assert len(await names(node)) == 6
        left = ["claimed-creator", "claimed-last-detach", "claimed-unlink", "unclaimed-unlink"]
        await until(lambda: named(node, left))


async def named(node: FakeNode, expected: list[str]) -> bool:
    return await names(node) == expected


async def test_a_page_map_beyond_the_region_is_refused(node: FakeNode) -> None:
    info, _ = await node.calls.create(node.caller, GRID)
    for first, count in [(0, 0), (0, 17), (16, 1)]:
        with pytest.raises(errors.InvalidArgument, match="in a region of 16"):
            await node.calls.page_map(info.id, first, count)


async def test_the_status_tells_who_and_how_much(node: FakeNode) -> None:
    await node.calls.create(node.caller, GRID)
    status = await node.calls.status()
    assert (status.cluster, status.version, status.regions) == (node.welcome.cluster, "test", 1)
    assert status.members == node.welcome.members and status.uptime > 0
