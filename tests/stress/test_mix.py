"""The recording workload, on memory that is coherent and on memory that is not."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dsm.stress.judge import Judgement, judge_histories
from dsm.stress.mix import Mix
from dsm.stress.plan import Round
from dsm.verify.encoding import from_bytes
from dsm.verify.history import Kind
from tests.stress.memory import Client, Region

PLAN = Round(number=1, seconds=0.15, page_size=4096, hold=0.0, pages=3)


def recording(memory: bytearray, worker: int, access: str = "transparent-full", boot: str = "here") -> dict[str, Any]:
    """What a worker records that has this memory to itself for a moment."""
    region = Region(memory, PLAN.page_size)
    mix = Mix(cast(Any, Client(region, access)), cast(Any, region), PLAN, worker, worker, seed=5)
    mix.act()
    return {"boot": boot} | mix.result()


def judged(*recordings: dict[str, Any]) -> Judgement:
    return judge_histories(list(recordings))


@pytest.mark.parametrize("access", ["transparent-full", "scoped"])
def test_one_memory_in_turns_is_found_good(access: str) -> None:
    memory = bytearray(PLAN.bytes)
    judgement = judged(recording(memory, 1, access), recording(memory, 2, access))
    assert (judgement.violations, judgement.unfinished) == ([], [])
    assert judgement.operations > 100
    assert [check["outcome"] for check in judgement.checks] == ["ok", "ok"]


def test_two_memories_that_nobody_keeps_the_same_are_found_out() -> None:
    judgement = judged(recording(bytearray(PLAN.bytes), 1), recording(bytearray(PLAN.bytes), 2))
    assert judgement.violations


def test_a_lost_update_is_found_out_on_several_machines_too() -> None:
    judgement = judged(recording(bytearray(PLAN.bytes), 1), recording(bytearray(PLAN.bytes), 2, boot="there"))
    assert len(judgement.checks) == 1  # no clock in common, so sequential consistency alone
    assert judgement.violations


def test_every_kind_of_access_is_recorded() -> None:
    history = from_bytes(recording(bytearray(PLAN.bytes), 1)["history"])
    kinds = {operation.kind for operation in history}
    assert kinds == {Kind.READ, Kind.WRITE, Kind.FETCH_ADD}
    assert {operation.word.page for operation in history if operation.word} == set(range(PLAN.pages))
    written = [operation.value for operation in history if operation.kind is Kind.WRITE]
    assert len(written) == len(set(written))


def test_the_hot_set_grows_to_all_pages() -> None:
    plan = Round(number=1, seconds=10.0, page_size=4096, hold=0.0, pages=8)
    assert [plan.hot(elapsed) for elapsed in (0.0, 5.0, 9.9, 20.0)] == [1, 5, 8, 8]
