"""When a run is good, and what its report says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsm.stress.judge import SEVERAL_MACHINES, Judgement, Report, judge_histories, judge_torn
from dsm.stress.plan import Run
from dsm.verify import Recorder
from dsm.verify.encoding import to_bytes

RUN = Run("stress", worker=1, workers=2, seed=3, seconds=25.0, torn=False, timeout=60.0)


def recording(node: str, transfers: int) -> dict[str, Any]:
    return {"node": node, "access": "transparent-full", "stats": {"pages_in": transfers, "invalidations": 2}}


def report(judgement: Judgement, transfers: int = 700) -> Report:
    report = Report(RUN)
    report.add(RUN.rounds[0], [recording("a", transfers), recording("b", transfers), recording("b", 99)], judgement)
    return report


def test_a_run_that_did_enough_and_found_nothing_is_good() -> None:
    found = report(Judgement(operations=10_000)).as_map()
    assert (found["verdict"], found["violations"]) == ("ok", 0)
    assert found["nodes"] == 2
    assert found["transfers"] == 700 + 99  # of each node the last that somebody told, not their sum
    assert {"operations", "checker_seconds", "seed", "invalidations", "operations_per_second"} <= set(found)


@pytest.mark.parametrize(
    ("judgement", "transfers", "verdict"),
    [
        (Judgement(operations=10_000, violations=["lost update"]), 700, "violation"),
        (Judgement(operations=10_000, unfinished=["60 s were not enough"]), 700, "timeout"),
        (Judgement(operations=10), 700, "too few operations or transfers"),
        (Judgement(operations=10_000), 62, "too few operations or transfers"),
    ],
)
def test_what_makes_a_run_bad(judgement: Judgement, transfers: int, verdict: str) -> None:
    found = Report(RUN)
    found.add(RUN.rounds[0], [recording("a", transfers), recording("b", transfers)], judgement)
    assert found.verdict == verdict


def test_how_many_pages_have_to_move_grows_with_time_and_nodes() -> None:
    assert report(Judgement(operations=10_000)).transfers_min == 5 * 25
    given = Report(replace(RUN, transfers_min=3))
    given.add(RUN.rounds[0], [recording("a", 2), recording("b", 1)], Judgement(operations=10_000))
    assert (given.transfers_min, given.verdict) == (3, "ok")
    alone = Report(RUN)
    alone.add(RUN.rounds[0], [recording("a", 0)], Judgement(operations=10_000))
    assert (alone.transfers_min, alone.verdict) == (0, "ok")


def test_every_check_is_told_with_what_came_of_it_in_how_many_rounds() -> None:
    found = Report(RUN)
    for lost in ([[1], [1]], [[1], [2]]):
        recordings = [recording("a", 90) | {"faults": [], "operations": 5_000, "writes": writes} for writes in lost]
        found.add(RUN.rounds[0], recordings, judge_torn(recordings, [2]))
    assert found.as_map()["checks"] == {"torn pages": {"ok": 2}, "lost writes": {"ok": 1, "violation": 1}}


def test_histories_of_several_machines_are_not_asked_for_linearizability_and_it_says_so() -> None:
    empty = to_bytes(Recorder(1, 1).history())
    judgement = judge_histories([{"boot": boot, "history": empty} for boot in ("one", "other")])
    assert judgement.not_judged == SEVERAL_MACHINES
    assert [str(check["check"]).split(",")[0] for check in judgement.checks] == ["sequential consistency"]
    assert report(judgement).as_map()["not_judged"] == [SEVERAL_MACHINES]
    assert judge_histories([{"boot": "one", "history": empty}]).not_judged == ""


def test_a_run_is_cut_into_rounds_that_the_seed_decides() -> None:
    assert [plan.seconds for plan in RUN.rounds] == [25 / 3] * 3
    assert RUN.rounds == RUN.rounds
    other = Run("stress", 1, 2, seed=4, seconds=25.0, torn=False, timeout=60.0)
    assert other.rounds != RUN.rounds


def test_ten_rounds_of_torn_pages_have_every_page_size() -> None:
    run = Run("stress", 1, 2, seed=8, seconds=100.0, torn=True, timeout=60.0)
    assert {plan.page_size for plan in run.rounds} == {1 << exponent for exponent in range(12, 22)}
