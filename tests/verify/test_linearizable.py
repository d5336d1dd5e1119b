"""One word at a time, in real time: hand-made histories for each rule, by sorting and by search."""

from __future__ import annotations

import pytest

from dsm.verify import FOREVER, History, Outcome, Recorder, Word, check_linearizable
from tests.verify.shorthand import timed

RIGHT = {
    "nothing happened": (),
    "a read of the initial value": ("0: Ra0 0-10",),
    "a read after its write": ("0: Wa1 0-10", "1: Ra1 20-30"),
    "a read during the write sees the old value": ("0: Wa1 0-30", "1: Ra0 10-20"),
    "a read during the write sees the new value": ("0: Wa1 0-30", "1: Ra1 10-20"),
    "two reads during a write, old then new": ("0: Wa1 0-90", "1: Ra0 10-20", "2: Ra1 30-40"),
    "overlapping writes in either order": ("0: Wa1 0-50", "1: Wa2 0-50", "2: Ra2 60-70"),
    "two words that overlap": ("0: Wa1 0-10", "0: Wb1 20-30", "1: Rb1 40-50", "1: Ra1 60-70"),
    "a tie of the clock is no order": ("0: Wa1 0-10", "1: Ra0 10-20"),
    "additions one after the other": ("0: Aa1@0 0-10", "1: Aa1@1 20-30", "0: Aa5@2 40-50", "1: Ra7 60-70"),
    "a swap that fails reads": ("0: Wa1 0-10", "1: Ca5>6@1 20-30", "1: Ra1 40-50"),
    "a chain of swaps, all at once": ("0: Ca0>1@0 0-90", "1: Ca1>2@1 0-90", "2: Ca2>3@2 0-90", "3: Ra3 95-99"),
    "a swap that changes nothing": ("0: Wa1 0-10", "1: Ca1>1@1 20-30", "0: Ra1 40-50"),
    "one value written twice": ("0: Wa1 0-10", "1: Wa2 20-30", "0: Ra2 40-50", "1: Wa1 60-70", "0: Ra1 80-90"),
    "a write in doubt that nobody saw": ("0: Wa1? 0-0", "1: Ra0 10-20"),
    "a write in doubt that was seen late": ("0: Wa1? 0-0", "1: Ra0 10-20", "1: Ra1 30-40"),
    "a swap in doubt that was seen": ("0: Ca0>1? 0-0", "1: Ra0 10-20", "1: Ra1 30-40"),
    "two swaps in doubt that only they could see": ("0: Ca1>3? 0-0", "1: Ca3>1? 0-0", "2: Ra0 10-20"),
    "an addition in doubt": ("0: Aa5? 0-0", "1: Ra0 10-20", "1: Ra5 30-40"),
    "an addition in doubt that never happened": ("0: Aa5? 0-0", "1: Aa1@0 10-20", "1: Ra1 30-40"),
    "a read in doubt says nothing": ("0: Ra? 0-0", "1: Wa1 10-20"),
    "an old value while its block is under way": ("0: Wa1 0-10", "1: Wa2 20-99", "2: Ra1 30-40", "3: Ra2 35-50"),
}

WRONG = {
    "a stale read": ("stale read", ("0: Wa1 0-10", "0: Wa2 20-30", "1: Ra1 40-50")),
    "a read of the initial value after a write": ("stale read", ("0: Wa1 0-10", "1: Ra0 20-30")),
    "two readers see one write at different times": ("stale read", ("0: Wa1 0-90", "1: Ra1 10-20", "2: Ra0 30-40")),
    "a value comes back": (
        "stale read",
        ("0: Wa1 0-90", "1: Wa2 0-90", "2: Ra1 91-92", "2: Ra2 93-94", "2: Ra1 95-96"),
    ),
    "a read before its write": ("value from the future", ("1: Ra1 0-10", "0: Wa1 20-30")),
    "a value that nobody wrote": ("value out of thin air", ("0: Wa1 0-10", "1: Ra7 20-30")),
    "a lost addition": ("no order explains it", ("0: Aa1@0 0-10", "1: Aa1@0 0-10")),
    "two swaps of one value": ("lost update", ("0: Ca0>1@0 0-90", "1: Ca0>2@0 0-90")),
    "swaps in a circle": ("value from the future", ("0: Ca2>1@2 0-90", "1: Ca1>2@1 0-90")),
    "a swap of a value already gone": (
        "stale read",
        ("0: Wa1 0-10", "0: Wa2 20-30", "1: Ca1>3@1 40-50", "1: Ra2 60-70"),
    ),
    "a chain of swaps against time": ("value from the future", ("1: Ca1>2@1 0-10", "0: Ca0>1@0 20-30")),
    "a swap that failed for no reason": ("stale read", ("0: Wa1 0-10", "1: Ca1>2@0 20-30")),
    "one value written twice, and a third read": (
        "no order explains it",
        ("0: Wa1 0-10", "0: Wa2 20-30", "1: Ra1 40-50", "0: Wa1 60-70"),
    ),
    "a write in doubt seen, then gone": ("stale read", ("0: Wa1? 0-0", "1: Ra1 10-20", "1: Ra0 30-40")),
    "a write in doubt seen too early": ("value from the future", ("1: Ra1 0-10", "0: Wa1? 20-0")),
    "an addition in doubt that counts twice": (
        "no order explains it",
        ("0: Aa5? 0-0", "1: Ra0 10-20", "1: Ra5 30-40", "1: Ra10 50-60"),
    ),
    "wrong on the second word only": ("stale read", ("0: Wa1 0-10", "0: Wb1 20-30", "1: Ra1 40-50", "1: Rb0 60-70")),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_history_with_an_explanation_passes(name: str) -> None:
    verdict = check_linearizable(_timed(*RIGHT[name]))
    assert verdict.outcome is Outcome.OK and verdict.ok and verdict.proved and verdict.violation is None


@pytest.mark.parametrize("name", WRONG)
def test_a_history_without_one_is_told_why(name: str) -> None:
    rule, rows = WRONG[name]
    verdict = check_linearizable(_timed(*rows))
    assert verdict.outcome is Outcome.VIOLATION and not verdict.ok
    assert verdict.violation is not None and verdict.violation.rule == rule
    assert verdict.violation.rows and all(row < len(rows) for row in verdict.violation.rows)


def test_the_explanation_names_the_operations_and_their_times() -> None:
    verdict = check_linearizable(timed("0: Wa1 1000-1010", "0: Wa2 1020-1030", "1: Ra1 1040-1050"))
    assert verdict.violation is not None
    assert "process 0 wrote 1 to word 1:0+0 (row 0) [0 to 10 ns]" in verdict.violation.text
    assert "process 1 read 1 from word 1:0+0 (row 2) [40 to 50 ns]" in verdict.violation.text
    assert set(verdict.violation.rows) == {0, 1, 2}


def test_the_search_names_what_was_under_way() -> None:
    verdict = check_linearizable(timed("0: Wa1 0-99", "2: Wa1 0-5", "1: Ra7 10-20"))
    assert verdict.violation is not None and verdict.violation.rows == (2, 0)
    assert "process 0 wrote 1" in verdict.violation.text and "leaves the word at 1" in verdict.violation.text


def test_many_operations_in_doubt_do_not_drown_the_search() -> None:
    doubtful = [f"{number + 10}: Aa1? 0-0" for number in range(30)]
    counted = [f"0: Ra{number} {10 * number + 10}-{10 * number + 15}" for number in range(31)]
    assert check_linearizable(timed(*doubtful, *counted), seconds_max=20).ok
    assert not check_linearizable(timed(*doubtful, *counted, "0: Ra31 990-999"), seconds_max=20).ok


def test_additions_wrap_like_the_memory_they_are_in() -> None:
    record = Recorder(0)
    record.fetch_add(Word(1, 0, 0), FOREVER, 0, 0, 1)
    record.fetch_add(Word(1, 0, 0), 1, FOREVER, 2, 3)
    record.read(Word(1, 0, 0), -1 - FOREVER, 4, 5)
    record.append(timed("1: Aa1? 6-6").operation(0))
    assert check_linearizable(record.history()).ok


def test_another_initial_value_is_respected() -> None:
    history = timed("0: Ra5 0-10")
    assert check_linearizable(History(history.table, initial=5)).ok
    assert not check_linearizable(history).ok


def _timed(*rows: str) -> History:
    return timed(*rows)
