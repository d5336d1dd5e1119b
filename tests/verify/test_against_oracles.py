"""Thousands of tiny arbitrary histories: the checkers say what machines that try everything say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest

from dsm.errors import InvalidArgument
from dsm.verify import History, Kind, Model, Order, Verdict, check_linearizable, check_sequential
from tests.verify import oracles
from tests.verify.memories import buffered, plausible, rising, tiny

BATCH = 250
Oracle = Callable[..., bool]
ORACLES = [(Model.SEQUENTIAL, oracles.sequential), (Model.X86_TSO, oracles.x86_tso)]


def story(history: History, verdict: Verdict) -> str:
    return "\n".join([str(verdict), str(history.hosts), *(f"{one} {one.invoked}-{one.returned}" for one in history)])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("unique", [True, False])
def test_linearizability_is_decided_exactly(seed: int, unique: bool) -> None:
    seen: Counter[bool] = Counter()
    for number in range(BATCH):
        random = Random(f"{seed} {unique} {number}")
        history = tiny(random, unique=unique, updates=random.random() < 0.7)
        if random.random() < 0.9:
            history = plausible(random, history)
        verdict = check_linearizable(history)
        assert verdict.ok is oracles.linearizable(history), story(history, verdict)
        seen[verdict.ok] += 1
    assert min(seen[True], seen[False]) > BATCH / 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("model", "oracle"), ORACLES)
def test_with_the_order_of_writes_known_a_model_is_decided_exactly(seed: int, model: Model, oracle: Oracle) -> None:
    seen: Counter[bool] = Counter()
    for number in range(BATCH):
        history = rising(Random(f"{seed} {number}"))
        verdict = check_sequential(history, model=model, order=Order.VALUES)
        assert verdict.ok is oracle(history, rising=True), story(history, verdict)
        seen[verdict.ok] += 1
    assert min(seen[True], seen[False]) > BATCH / 10


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("model", "oracle"), ORACLES)
def test_with_the_order_unknown_nothing_right_is_blamed(seed: int, model: Model, oracle: Oracle) -> None:
    """That nothing wrong passes either is no promise, but holds at this size."""
    seen: Counter[bool] = Counter()
    for number in range(BATCH):
        random = Random(f"{seed} {number}")
        history = rising(random) if random.random() < 0.5 else plausible(random, tiny(random, unique=True, fences=True))
        try:
            verdict = check_sequential(history, model=model)
        except InvalidArgument:
            continue
        right = oracle(history)
        if any(one.kind is Kind.FETCH_ADD and not one.known for one in history):
            assert verdict.ok or not right, story(history, verdict)
        else:
            assert verdict.ok is right, story(history, verdict)
            assert verdict.ok or verdict.proved
            seen[right] += 1
    assert min(seen[True], seen[False]) > BATCH / 10


@pytest.mark.parametrize("order", Order)
def test_what_store_buffers_did_is_x86_and_often_not_sequential(order: Order) -> None:
    seen: Counter[bool] = Counter()
    for seed in range(2 * BATCH):
        history = buffered(Random(seed), operations=10)
        assert oracles.x86_tso(history)
        verdict = check_sequential(history, model=Model.X86_TSO, order=order)
        assert verdict.ok, story(history, verdict)
        stricter = check_sequential(history, order=order)
        right = oracles.sequential(history, rising=order is Order.VALUES)
        assert stricter.ok is right, story(history, stricter)
        seen[right] += 1
    assert min(seen[True], seen[False]) > 10


@pytest.mark.parametrize("order", Order)
def test_long_runs_of_store_buffers_pass_as_x86_only(order: Order) -> None:
    for seed in range(20):
        history = buffered(Random(seed), operations=2000, processes=4, words=3)
        assert check_sequential(history, model=Model.X86_TSO, order=order).ok
        assert not check_sequential(history, order=order).ok
