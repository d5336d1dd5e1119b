"""What the simulator puts in the place of the kernel behaves like it, and its judge sees what it has to see."""

from __future__ import annotations

import asyncio
import random

import pytest

from dsm.core.types import RegionId
from dsm.memory import segment as real
from tests.sim import machine
from tests.sim.clock import Stalled, VirtualLoop, loop
from tests.sim.history import Held, History, Place
from tests.sim.options import OS_PAGE
from tests.sim.pipes import Socket, sendfile

PAGES = 4
REGION = RegionId(1)


def simulated(coroutine: object) -> object:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)  # type: ignore[arg-type]


def test_the_clock_jumps_to_the_next_timer() -> None:
    async def sleeps() -> float:
        await asyncio.sleep(1e6)
        return loop().time()

    assert simulated(sleeps()) == pytest.approx(1e6)


def test_a_run_that_can_never_go_on_ends() -> None:
    async def waits_for_nobody() -> None:
        await loop().create_future()

    with pytest.raises(Stalled):
        simulated(waits_for_nobody())


def test_the_lowest_free_descriptor_is_given_out_again() -> None:
    async def opened() -> list[int]:
        numbers = [loop().open(object()) for _ in range(3)]
        loop().shut(numbers[1])
        return [*numbers, loop().open(object())]

    assert simulated(opened()) == [3, 4, 5, 4]


@pytest.mark.parametrize("seed", range(5))
def test_a_simulated_memfd_is_like_a_real_one(seed: int) -> None:
    async def compared() -> None:
        rng = random.Random(seed)
        ours, theirs = machine.Segment("r", PAGES * OS_PAGE), real.Segment.create("r", PAGES * OS_PAGE)
        for _ in range(50):
            page, act = rng.randrange(PAGES), rng.choice(("write", "zero", "drop"))
            for one in (ours, theirs):
                if act == "write":
                    one.write(page * OS_PAGE + 8, b"content")
                else:
                    getattr(one, act)(page * OS_PAGE, OS_PAGE)
            assert ours.read(0, ours.size) == theirs.read(0, theirs.size)
            assert len(ours.present) * OS_PAGE == theirs.resident_bytes()
        view = ours.view(0, OS_PAGE)
        with pytest.raises(BufferError):
            ours.close()
        view.release()
        ours.close()
        theirs.close()

    simulated(compared())


def test_what_sendfile_wrote_changes_with_the_memory_until_there_is_a_hole() -> None:
    async def received() -> list[bytes]:
        segment = machine.Segment("r", 2 * OS_PAGE)
        here, there = Socket.pair(1 << 20, lambda: 1.0)
        segment.write(0, b"old")
        segment.write(OS_PAGE, b"old")
        for page in range(2):
            sendfile(here.fileno(), segment.fd, page * OS_PAGE, 3)
        segment.write(0, b"new")
        segment.drop(OS_PAGE, OS_PAGE)
        segment.write(OS_PAGE, b"new")
        await asyncio.sleep(2)
        place = bytearray(6)
        there.recv_into(memoryview(place)[:3])
        there.recv_into(memoryview(place)[3:])
        return [bytes(place[:3]), bytes(place[3:])]

    assert simulated(received()) == [b"new", b"old"]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ((2, 0, 0, 0, 0, 0, 0, 0), None),
        ((0, 0, 0, 0, 0, 0, 0, 0), "word 0 is zero, and 2 was stored there"),
        ((1, 0, 0, 0, 0, 0, 0, 0), "word 0 is 1, an old value: 2 was stored there last"),
        ((2, 0, 0, 0, 9, 0, 0, 0), "word 4 is 9, which nobody stored there for others to see; 0 was stored last"),
    ],
)
def test_the_judge_of_loads(found: tuple[int, ...], told: str | None) -> None:
    history = History()
    for value in (1, 2):
        history.stored(Place(REGION, 0, 0), value, certain=True)
    assert history.wrong(REGION, 0, found, certain=True) == told


def test_what_a_cut_off_node_stored_may_be_seen_or_not_but_not_taken_back() -> None:
    history = History()
    history.stored(Place(REGION, 0, 0), 1, certain=True)
    history.stored(Place(REGION, 0, 0), 2, certain=False)
    old, new = (1, *[0] * 7), (2, *[0] * 7)
    assert history.wrong(REGION, 0, old, certain=True) is None
    assert history.wrong(REGION, 0, new, certain=True) is None
    assert history.wrong(REGION, 0, old, certain=True) == "word 0 is 1, an old value: 2 was stored there last"


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ((range(3), False), (range(2, 4), False), True),
        ((range(3), True), (range(3, 4), True), True),
        ((range(3), True), (range(2, 4), False), False),
        ((range(3), False), (range(2, 4), True), False),
    ],
)
def test_the_judge_of_scopes(first: tuple[range, bool], second: tuple[range, bool], together: bool) -> None:
    history = History()
    one, other = Held("p1", REGION, *first), Held("p2", REGION, *second)
    assert history.begun(one) is None
    assert (history.begun(other) is None) is together
    history.ended(one)
    history.ended(other)
    assert history.begun(one) is None
