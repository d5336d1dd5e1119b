"""The two tries that are made where nobody promised an order of writes, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from dsm.verify import History, Model, check_sequential, saturation, sequential
from tests.verify import oracles
from tests.verify.memories import buffered, rising, simulated
from tests.verify.shorthand import processes

MODELS = pytest.mark.parametrize("model", Model)


@pytest.fixture
def only_inference(monkeypatch: pytest.MonkeyPatch) -> None:
    """No order is ever found by a guess."""
    monkeypatch.setattr(sequential, "_explains", lambda *_: False)


def without_times(history: History) -> History:
    operations = sorted((replace(one, invoked=0, returned=0) for one in history), key=lambda one: one.process)
    return History.of(operations)


def test_with_a_clock_the_guess_is_right_and_nothing_has_to_be_inferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "saturate", None)
    for seed in range(20):
        verdict = check_sequential(simulated(Random(seed), 300))
        assert verdict.ok and verdict.proved


@pytest.mark.usefixtures("only_inference")
@pytest.mark.parametrize("oracle", [oracles.sequential, oracles.x86_tso])
def test_inference_alone_blames_nothing_that_is_right(oracle: Callable[[History], bool]) -> None:
    model = Model.SEQUENTIAL if oracle is oracles.sequential else Model.X86_TSO
    for seed in range(300):
        history = rising(Random(seed)) if seed % 2 else buffered(Random(seed), 9)
        verdict = check_sequential(history, model=model)
        assert verdict.ok is oracle(history)
        assert verdict.proved is not verdict.ok, "what only was not blamed is not proved"


@MODELS
@pytest.mark.usefixtures("only_inference")
def test_inference_alone_blames_no_long_history_either(model: Model) -> None:
    for seed in range(10):
        assert check_sequential(simulated(Random(seed), 500, updates=seed % 2 == 0, unknown=0.01), model=model).ok


@MODELS
@pytest.mark.usefixtures("only_inference")
def test_a_write_in_doubt_is_not_taken_to_come_before_what_its_process_did_next(model: Model) -> None:
    assert check_sequential(processes("Wa1? Wb1", "Rb1 Ra0 Ra1"), model=model).ok
    assert not check_sequential(processes("Wb1 Wa1?", "Ra1 Rb0"), model=model).ok


@MODELS
def test_a_run_without_a_clock_finds_an_order_of_most_histories(model: Model) -> None:
    histories = [without_times(simulated(Random(seed), 100, words=2)) for seed in range(40)]
    proved = [check_sequential(one, model=model).proved for one in histories]
    assert sum(proved) >= 36
