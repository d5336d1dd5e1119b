"""When a run is good, and what its report says."""

from __future__ import annotations

from typing import Any

import pytest

from dsm.stress.judge import Judgement, Report
from dsm.stress.plan import Run

RUN = Run("stress", worker=1, workers=2, seed=3, seconds=25.0, torn=False, timeout=60.0)


def recording(node: str, transfers: int) -> dict[str, Any]:
    return {"node": node, "access": "transparent-full", "stats": {"pages_in": transfers, "invalidations": 2}}


def report(judgement: Judgement, transfers: int = 7) -> Report:
    report = Report(RUN)
    report.add(RUN.rounds[0], [recording("a", transfers), recording("b", transfers), recording("b", 99)], judgement)
    return report


def test_a_run_that_did_enough_and_found_nothing_is_good() -> None:
    found = report(Judgement(operations=10_000)).as_map()
    assert (found["verdict"], found["violations"]) == ("ok", 0)
    assert found["nodes"] == 2
    assert found["transfers"] == 7 + 99  # of each node the last that somebody told, not their sum
    assert {"operations", "checker_seconds", "seed", "invalidations", "operations_per_second"} <= set(found)


@pytest.mark.parametrize(
    ("judgement", "transfers", "verdict"),
    [
        (Judgement(operations=10_000, violations=["lost update"]), 7, "violation"),
        (Judgement(operations=10_000, unfinished=["60 s were not enough"]), 7, "timeout"),
        (Judgement(operations=10), 7, "too few operations or transfers"),
        (Judgement(operations=10_000), 0, "too few operations or transfers"),
    ],
)
def test_what_makes_a_run_bad(judgement: Judgement, transfers: int, verdict: str) -> None:
    found = Report(RUN)
    found.add(RUN.rounds[0], [recording("a", transfers), recording("b", transfers)], judgement)
    assert found.verdict == verdict


def test_a_run_is_cut_into_rounds_that_the_seed_decides() -> None:
    assert [plan.seconds for plan in RUN.rounds] == [25 / 3] * 3
    assert RUN.rounds == RUN.rounds
    other = Run("stress", 1, 2, seed=4, seconds=25.0, torn=False, timeout=60.0)
    assert other.rounds != RUN.rounds


def test_ten_rounds_of_torn_pages_have_every_page_size() -> None:
    run = Run("stress", 1, 2, seed=8, seconds=100.0, torn=True, timeout=60.0)
    assert {plan.page_size for plan in run.rounds} == {1 << exponent for exponent in range(12, 22)}
