"""What `dsm check` makes of what a directory and its nodes say, at different moments."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from dsm.core.types import NodeId, Pin, RegionId, RequestId, State
from dsm.errors import RegionNotFound
from dsm.live import Examination, Findings
from dsm.wire.directory import Lifetime, PageMapRun, RegionInfo
from dsm.wire.node import Record, RecordRun

PAGES = 16
A, B = NodeId(1), NodeId(2)
INFO = RegionInfo(RegionId(1), "grid", PAGES * 4096, 4096, Lifetime.UNLINK, 0.0, None, None, "a", 0.0)
OWNED = PageMapRun(3, 2, A, (B,), 4, lost=False)
BUSY = PageMapRun(3, 2, A, (B,), 4, lost=False, busy=True)
WRITTEN = PageMapRun(3, 2, A, (), 4, lost=False)

Runs = list[PageMapRun] | list[RecordRun]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.live.CHECK_POLL_SECONDS", 0.001)


class Said:
    """A directory or a node that says one thing after the other, and the last one again and again."""

    def __init__(self, *answers: Runs) -> None:
        self._answers: Iterator[Runs] = iter(answers)
        self._answer: Runs = []

    async def say(self, _region: RegionId, first: int, count: int) -> tuple[Runs, int]:
        self._answer = next(self._answers, self._answer)
        return self._answer, first + count

    page_map = records = say


def record(state: State, version: int = 4, **more: Any) -> list[RecordRun]:
    return [RecordRun(3, 2, Record(state, version, **more))]


async def examined(home: Said, *nodes: Said, seconds: float = 0.2) -> Findings:
    findings = Findings()
    calls = dict(zip((A, B), nodes, strict=False))
    await Examination(cast(Any, home), cast(Any, calls), INFO, findings).run(time.monotonic() + seconds)
    return findings


async def test_an_owner_and_a_reader_of_its_version_are_good() -> None:
    findings = await examined(Said([OWNED]), Said(record(State.O)), Said(record(State.S)))
    assert (findings.violations, findings.stuck, findings.busy) == ([], [], 0)
    assert (findings.regions, findings.pages, findings.judged, findings.verdict) == (1, 2, 2, "ok")


@pytest.mark.parametrize(
    ("home", "first", "second", "law"),
    [
        (OWNED, record(State.M), record(State.S), "single writer"),
        (OWNED, record(State.O), record(State.S, 3), "latest value"),
        (OWNED, record(State.O), record(State.O), "one owner"),
        (OWNED, record(State.I, pin=Pin.READ), record(State.S), "scope"),
        (WRITTEN, record(State.O), record(State.S), "agreement"),
        (WRITTEN, record(State.M), record(State.I, 0, retained=(RequestId(5), 4)), "agreement"),
        (PageMapRun(3, 2, NodeId(9), (), 4, lost=False), [], [], "agreement"),
    ],
)
async def test_a_law_that_stays_broken_is_told_for_each_page(
    home: PageMapRun, first: list[RecordRun], second: list[RecordRun], law: str
) -> None:
    findings = await examined(Said([home]), Said(first), Said(second))
    assert {page for _, page, what in findings.violations if what.startswith(law)} == {3, 4}
    assert (findings.verdict, findings.judged) == ("broken", 2)


async def test_what_has_mended_when_one_looks_again_is_none() -> None:
    reader = Said(record(State.I, retained=(RequestId(5), 4)), record(State.I, 0))
    findings = await examined(Said([WRITTEN]), Said(record(State.M)), reader)
    assert (findings.verdict, findings.judged, findings.busy) == ("ok", 2, 0)


async def test_records_of_two_moments_are_not_compared() -> None:
    newer = [PageMapRun(3, 2, B, (), 5, lost=False)]
    home = Said([WRITTEN], newer)
    findings = await examined(home, Said(record(State.M), []), Said([], record(State.M, 5)))
    assert (findings.verdict, findings.judged, findings.busy) == ("ok", 2, 0)


async def test_a_page_that_is_never_quiet_is_counted_and_is_not_good() -> None:
    findings = await examined(Said([BUSY]), Said(record(State.M)), Said(record(State.S)))
    assert (findings.verdict, findings.judged, findings.busy) == ("nothing was judged", 0, 2)


async def test_pages_that_are_too_many_to_be_looked_at_again_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.live.CHECK_PAGES_MAX", 1)
    findings = await examined(Said([BUSY]), Said(record(State.M)), Said(record(State.S)))
    assert (findings.judged, findings.busy) == (0, 2)


async def test_one_page_that_was_quiet_is_enough_to_be_judged_by() -> None:
    cold = RecordRun(5, 1, Record(State.M, 1))
    home = Said([BUSY, PageMapRun(5, 1, A, (), 1, lost=False)])
    findings = await examined(home, Said([*record(State.M), cold]), Said(record(State.S)))
    assert (findings.verdict, findings.pages, findings.judged, findings.busy) == ("ok", 3, 1, 2)


@pytest.mark.parametrize("waiting", [True, False], ids=["a node waits", "home waits"])
async def test_a_page_on_which_nothing_moves_is_stuck(waiting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.live.CHECK_STUCK_SECONDS", 0.1)
    findings = await examined(Said([OWNED if waiting else BUSY]), Said(record(State.O, waiting=waiting)), Said())
    assert [page for _, page, _ in findings.stuck] == [3, 4]


async def test_a_page_in_a_scope_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.live.CHECK_STUCK_SECONDS", 0.1)
    findings = await examined(Said([BUSY]), Said(record(State.M, pin=Pin.WRITE)), Said())
    assert (findings.stuck, findings.busy) == ([], 2)


async def test_a_region_that_goes_meanwhile_is_left_out() -> None:
    class Gone(Said):
        async def say(self, _region: RegionId, first: int, count: int) -> tuple[Runs, int]:
            raise RegionNotFound("gone")

        page_map: Callable[..., Any] = say

    findings = await examined(Gone(), Said())
    assert (findings.violations, findings.verdict) == ([], "nothing was judged")
