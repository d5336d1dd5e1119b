"""A pass must mean something: enough operations, looked at in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count

import pytest

from dsm.errors import InvalidArgument
from dsm.verify import Outcome, check_linearizable, check_sequential
from tests.verify.shorthand import processes, timed

Check = Callable[..., object]
RIGHT = timed("0: Wa1 0-10", "1: Ra1 20-30")
WRONG = timed("0: Wa1 0-10", "1: Ra0 20-30")
OVERLAPPING = timed(*(f"{number}: Wa{number % 3} 0-100" for number in range(24)), "50: Ra7 90-100")


def test_enough_operations_pass_and_one_less_does_not() -> None:
    assert check_linearizable(RIGHT, operations_min=2).ok
    few = check_linearizable(RIGHT, operations_min=3)
    assert few.outcome is Outcome.TOO_FEW and not few.ok and few.operations == 2
    assert check_sequential(RIGHT, operations_min=3).outcome is Outcome.TOO_FEW


def test_a_violation_counts_however_few_the_operations_are() -> None:
    assert check_linearizable(WRONG, operations_min=1000).outcome is Outcome.VIOLATION


def test_fences_and_reads_without_an_outcome_do_not_count() -> None:
    verdict = check_sequential(processes("Wa1 F Ra?", "Ra1"))
    assert verdict.ok and verdict.operations == 2


def test_time_that_runs_out_is_a_failure() -> None:
    ticks = count()
    verdict = check_sequential(RIGHT, seconds_max=0.5, clock=lambda: float(next(ticks)))
    assert verdict.outcome is Outcome.TIMEOUT and not verdict.ok


def test_a_search_without_end_is_cut_off() -> None:
    verdict = check_linearizable(OVERLAPPING, seconds_max=0.2)
    assert verdict.outcome is Outcome.TIMEOUT and "timeout" in str(verdict)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        check_linearizable(RIGHT, seconds_max=0)


def test_a_verdict_reads_as_text_and_as_json() -> None:
    assert str(check_linearizable(RIGHT)).startswith("linearizable: ok, 2 operations in ")
    found = json.loads(json.dumps(check_linearizable(WRONG).as_map()))
    assert found["outcome"] == "violation" and found["rule"] == "stale read" and "wrote 1" in found["violation"]
    assert "stale read: " in str(check_linearizable(WRONG))
    assert "not proved" in str(check_sequential(processes("Aa1?", "Ra1")))
