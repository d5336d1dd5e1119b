"""Long histories of a memory that is right pass; with one fault planted, wherever it lies, they do not.

Each fault is a violation by construction, whatever else the history holds; the reason stands with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.verify import History, Kind, Model, Operation, Order, Outcome, check_linearizable, check_sequential
from tests.verify.memories import changed, simulated
from tests.verify.shorthand import word

LENGTH = 150
SEEDS = range(15)


@settings(deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 60), st.integers(1, 6), st.integers(1, 4), st.booleans())
def test_everything_that_a_right_memory_did_passes(
    seed: int, operations: int, processes: int, words: int, updates: bool
) -> None:
    unknown = 0.1 if seed % 2 else 0.0
    history = simulated(Random(seed), operations, processes, words, updates=updates, unknown=unknown)
    assert check_linearizable(history).ok
    for model in Model:
        for order in Order:
            assert check_sequential(history, model=model, order=order).ok


@settings(deadline=None)
@given(st.integers(0, 1 << 32), st.integers(1, 200), st.integers(2, 6))
def test_no_clock_is_needed_for_sequential_consistency(seed: int, operations: int, processes: int) -> None:
    history = simulated(Random(seed), operations, processes)
    by_process = sorted((replace(one, invoked=0, returned=0) for one in history), key=lambda one: one.process)
    for model in Model:
        assert check_sequential(History.of(by_process), model=model).ok


def reads(history: History) -> list[int]:
    return [row for row, one in enumerate(history) if one.kind is Kind.READ and one.known]


def overwritten_before(history: History, reader: Operation) -> list[int]:
    """Values of the reader's word that were overwritten, by plain writes, well before it began."""
    assert reader.returned is not None
    gone = [
        one
        for one in history
        if one.kind is Kind.WRITE
        and one.word == reader.word
        and one.returned is not None
        and one.returned < reader.invoked
    ]
    return [
        one.value
        for one in gone
        if one.value is not None and any((one.returned or 0) < other.invoked for other in gone)
    ]  # fmt: skip


def stale_read(random: Random, history: History) -> History:
    """A write of the value, then another write, then the read: all three one after the other in time."""
    found = [(row, old) for row in reads(history) for old in overwritten_before(history, history.operation(row))]
    row, old = random.choice(found)
    return changed(history, row, lambda one: replace(one, seen=old))


def read_from_the_future(random: Random, history: History) -> History:
    """The write begins after the read has returned."""
    found = [
        (row, one.value)
        for row in reads(history)
        for one in history
        if one.kind is Kind.WRITE
        and one.word == history.operation(row).word
        and one.invoked > (history.operation(row).returned or 0)
    ]
    row, new = random.choice(found)
    return changed(history, row, lambda one: replace(one, seen=new))


def value_out_of_thin_air(random: Random, history: History) -> History:
    """Nobody writes negative values."""
    return changed(history, random.choice(reads(history)), lambda one: replace(one, seen=-7))


def lost_update(random: Random, history: History) -> History:
    """Two swaps that succeed both find one value, and write values of their own."""
    swaps = [
        row
        for row, one in enumerate(history)
        if one.kind is Kind.COMPARE_AND_SWAP and one.seen == one.expected and one.known
    ]
    pairs = [
        (row, other)
        for row in swaps
        for other in swaps
        if row < other and history.operation(row).word == history.operation(other).word
    ]
    row, other = random.choice(pairs)
    found = history.operation(row).seen
    return changed(history, other, lambda one: replace(one, seen=found, expected=found))


def lost_write(random: Random, history: History) -> History:
    """A value that was read is never written: the write goes elsewhere."""
    read = {(one.word, one.seen) for one in history if one.seen is not None}
    rows = [row for row, one in enumerate(history) if one.kind is Kind.WRITE and (one.word, one.value) in read]
    return changed(history, random.choice(rows), lambda one: replace(one, value=10**9))


Planting = Callable[[Random, History], History]
PLANTINGS: list[Planting] = [stale_read, read_from_the_future, value_out_of_thin_air, lost_update, lost_write]


@pytest.mark.parametrize("plant", PLANTINGS)
def test_every_planted_violation_of_one_word_is_found(plant: Planting) -> None:
    for seed in SEEDS:
        random = Random(seed)
        history = simulated(random, LENGTH)
        assert check_linearizable(history).ok
        assert check_linearizable(plant(random, history)).outcome is Outcome.VIOLATION


def hopping(random: Random, rounds: int, tail: tuple[str, ...]) -> History:
    """Two processes hand two words to and fro, round after round; somewhere one round goes as `tail` says.

    Process 0 writes a and b; process 1 reads b and a, then writes c and d; process 0 reads d and c, and so on. All is
    ordered by the hand-over, so that each round knows exactly what it must see.
    """
    bad = random.randrange(1, rounds)
    operations = []
    for number in range(1, rounds + 1):
        steps = tail if number == bad else AS_IT_SHOULD
        operations += [_hop(step, number) for step in steps]
    return History.of(operations)


def _hop(step: str, number: int) -> Operation:
    old = step.endswith("-")
    value = number - 1 if old else number
    place = word(step[2])
    if step[1] == "W":
        return Operation(int(step[0]), Kind.WRITE, place, value=value)
    return Operation(int(step[0]), Kind.READ, place, seen=value)


AS_IT_SHOULD = ("0Wa", "0Wb", "1Rb", "1Ra", "1Wc", "1Wd", "0Rd", "0Rc")
ACROSS_WORDS = {
    "the flag is seen and the data is not": ("0Wa", "0Wb", "1Rb", "1Ra-", "1Wc", "1Wd", "0Rd", "0Rc"),
    "on the way back": ("0Wa", "0Wb", "1Rb", "1Ra", "1Wc", "1Wd", "0Rd", "0Rc-"),
    "what both found goes round": ("0Wa", "0Wb", "1Rb", "1Ra", "1Rc", "1Wc", "1Wd", "0Rd", "0Rc"),
}


@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("name", ACROSS_WORDS)
def test_every_planted_violation_across_words_is_found(name: str, order: Order, model: Model) -> None:
    verdict = check_sequential(hopping(Random(0), 50, AS_IT_SHOULD), model=model, order=order)
    assert verdict.ok and verdict.proved
    for seed in SEEDS:
        wrong = check_sequential(hopping(Random(seed), 50, ACROSS_WORDS[name]), model=model, order=order)
        assert wrong.violation is not None and len(wrong.violation.rows) <= 8


CONTRADICTING_READERS = ("0Wa", "1Wb", "2Ra", "2Rb-", "3Rb", "3Ra-")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", Order)
def test_two_readers_that_saw_two_words_change_in_contradicting_orders_are_found(order: Order, seed: int) -> None:
    random = Random(seed)
    rounds, bad = 60, random.randrange(1, 60)
    operations = []
    for number in range(1, rounds + 1):
        steps = CONTRADICTING_READERS if number == bad else ("0Wa", "1Wb", "2Ra", "2Rb", "3Rb", "3Ra")
        operations += [_hop(step, number) for step in steps]
    for model in Model:
        assert not check_sequential(History.of(operations), model=model, order=order).ok
