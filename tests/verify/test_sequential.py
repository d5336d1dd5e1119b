"""All words together: the litmus shapes and what each model says of them; the order of writes known and inferred.

Values of a word rise in the order of its writes, so both ways to know that order apply to every shape.
"""

from __future__ import annotations

import pytest

from dsm.errors import InvalidArgument, LimitExceeded
from dsm.verify import History, Model, Order, Outcome, check_sequential, saturation
from tests.verify import oracles
from tests.verify.shorthand import processes, timed

FORBIDDEN, ALLOWED = False, True

#: Name: programs and what they saw; may it be under sequential consistency; may it be on one x86 host.
SHAPES: dict[str, tuple[tuple[str, ...], bool, bool]] = {
    "nothing": ((), ALLOWED, ALLOWED),
    "only fences": (("F F", "F"), ALLOWED, ALLOWED),
    "MP": (("Wa1 Wb1", "Rb1 Ra0"), FORBIDDEN, FORBIDDEN),
    "MP, seen": (("Wa1 Wb1", "Rb1 Ra1"), ALLOWED, ALLOWED),
    "MP on one page": (("Wa1 Wi1", "Ri1 Ra0"), FORBIDDEN, FORBIDDEN),
    "SB": (("Wa1 Rb0", "Wb1 Ra0"), FORBIDDEN, ALLOWED),
    "SB with one fence": (("Wa1 F Rb0", "Wb1 Ra0"), FORBIDDEN, ALLOWED),
    "SB with fences": (("Wa1 F Rb0", "Wb1 F Ra0"), FORBIDDEN, FORBIDDEN),
    "SB with additions": (("Aa1@0 Rb0", "Ab1@0 Ra0"), FORBIDDEN, FORBIDDEN),
    "SB with failed swaps between": (("Wa1 Cc5>6@0 Rb0", "Wb1 Cc5>6@0 Ra0"), FORBIDDEN, FORBIDDEN),
    "SB that reads its own stores": (("Wa1 Ra1 Rb0", "Wb1 Rb1 Ra0"), FORBIDDEN, ALLOWED),
    "n6": (("Wa2 Ra2 Rb0", "Wb1 Wa1 Ra2"), FORBIDDEN, ALLOWED),
    "LB": (("Ra1 Wb1", "Rb1 Wa1"), FORBIDDEN, FORBIDDEN),
    "R": (("Wa1 Wb1", "Wb2 Ra0", "Rb1 Rb2"), FORBIDDEN, ALLOWED),
    "S": (("Wa2 Wb1", "Rb1 Wa1", "Ra1 Ra2"), FORBIDDEN, FORBIDDEN),
    "2+2W": (("Wa2 Wb1", "Wb2 Wa1", "Ra1 Ra2", "Rb1 Rb2"), FORBIDDEN, FORBIDDEN),
    "IRIW": (("Wa1", "Wb1", "Ra1 Rb0", "Rb1 Ra0"), FORBIDDEN, FORBIDDEN),
    "WRC": (("Wa1", "Ra1 Wb1", "Rb1 Ra0"), FORBIDDEN, FORBIDDEN),
    "ISA2": (("Wa1 Wb1", "Rb1 Wc1", "Rc1 Ra0"), FORBIDDEN, FORBIDDEN),
    "RWC": (("Wa1", "Ra1 Rb0", "Wb1 Ra0"), FORBIDDEN, ALLOWED),
    "SB of three": (("Wa1 Rb0", "Wb1 Rc0", "Wc1 Ra0"), FORBIDDEN, ALLOWED),
    "CoRR": (("Wa1 Wa2", "Ra2 Ra1"), FORBIDDEN, FORBIDDEN),
    "CoRR of the initial value": (("Wa1", "Ra1 Ra0"), FORBIDDEN, FORBIDDEN),
    "CoRR by two readers": (("Wa1", "Wa2", "Ra1 Ra2", "Ra2 Ra1"), FORBIDDEN, FORBIDDEN),
    "CoWW": (("Wa2 Wa1", "Ra1 Ra2"), FORBIDDEN, FORBIDDEN),
    "CoRW of one's own": (("Ra1 Wa1",), FORBIDDEN, FORBIDDEN),
    "CoRW": (("Ra2 Wa1", "Wa2", "Ra1 Ra2"), FORBIDDEN, FORBIDDEN),
    "CoWR": (("Wa1 Ra0",), FORBIDDEN, FORBIDDEN),
    "CoWR of an older value": (("Wa2 Ra1", "Wa1", "Ra1 Ra2"), FORBIDDEN, FORBIDDEN),
    "CoWR of a newer value": (("Wa1 Ra2", "Wa2"), ALLOWED, ALLOWED),
    "a lost update": (("Ca0>1@0", "Ca0>2@0"), FORBIDDEN, FORBIDDEN),
    "a lost addition": (("Aa1@0", "Aa1@0"), FORBIDDEN, FORBIDDEN),
    "a write between an update's read and write": (("Wa2", "Ca0>3@0", "Ra2 Ra3"), FORBIDDEN, FORBIDDEN),
    "a swap that changes nothing": (("Wa1", "Ca1>1@1 Ra1"), ALLOWED, ALLOWED),
    "updates in a circle": (("Ca2>1@2", "Ca1>2@1"), FORBIDDEN, FORBIDDEN),
    "thin air": (("Ra5",), FORBIDDEN, FORBIDDEN),
    "a write in doubt, not seen": (("Wa1 Wb1?", "Rb0 Ra0"), ALLOWED, ALLOWED),
    "a write in doubt, seen": (("Wa1 Wb1?", "Rb1 Ra0"), FORBIDDEN, FORBIDDEN),
    "a swap in doubt, seen": (("Wa1 Cb0>1?", "Rb1 Ra0"), FORBIDDEN, FORBIDDEN),
}


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("model", Model)
@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_judged_as_its_model_says(name: str, model: Model, order: Order) -> None:
    programs, sequentially, on_x86 = SHAPES[name]
    history = processes(*programs)
    verdict = check_sequential(history, model=model, order=order)
    assert verdict.ok is (sequentially if model is Model.SEQUENTIAL else on_x86), verdict
    assert verdict.proved


@pytest.mark.parametrize("name", SHAPES)
def test_machines_that_try_everything_agree_on_each_shape(name: str) -> None:
    programs, sequentially, on_x86 = SHAPES[name]
    history = processes(*programs)
    assert oracles.sequential(history) is sequentially and oracles.x86_tso(history) is on_x86


@pytest.mark.parametrize(("hosts", "ok"), [((1, 1), ALLOWED), ((1, 2), FORBIDDEN), ((), ALLOWED)])
def test_only_processes_that_share_a_host_have_store_buffers(hosts: tuple[int, ...], ok: bool) -> None:
    history = processes("Wa1 Rb0", "Wb1 Ra0", hosts=hosts)
    assert check_sequential(history, model=Model.X86_TSO).ok is ok
    assert not check_sequential(history, model=Model.SEQUENTIAL).ok


def test_a_mixed_cell_relaxes_the_shared_host_only() -> None:
    both_shared = processes("Wa1 Rb0", "Wb1 Ra0", "Ra1", hosts=(1, 1, 2))
    assert check_sequential(both_shared, model=Model.X86_TSO).ok
    readers_elsewhere = processes("Wa1", "Wb1", "Ra1 Rb0", "Rb1 Ra0", hosts=(1, 1, 2, 3))
    assert not check_sequential(readers_elsewhere, model=Model.X86_TSO).ok


def test_a_process_that_goes_on_in_doubt_orders_nothing_after_it() -> None:
    assert check_sequential(processes("Wa1? Wb1", "Rb1 Ra0 Ra1")).ok
    assert not check_sequential(processes("Wa1 Wb1", "Rb1 Ra0 Ra1")).ok


def test_the_counterexample_is_short_and_reads_as_an_argument() -> None:
    history = processes("Wa1 Wa2 Wa3 Wa4 Wb1 Wc1 Wd1", "Ra4 Rb0 Rc0 Ra1 Rd0")
    verdict = check_sequential(history, order=Order.VALUES)
    assert verdict.violation is not None and verdict.violation.rule == "one word seen in contradicting orders"
    assert "no order of these 3 operations is possible" in verdict.violation.text
    assert "process 1 read 1 from word 1:0+0 (row 10)" in verdict.violation.text
    assert "found what was overwritten, at once or later, by" in verdict.violation.text
    assert set(verdict.violation.rows) == {3, 7, 10}


def test_an_inferred_order_is_told_with_what_it_was_inferred_from() -> None:
    verdict = check_sequential(processes("Wa7", "Wa3", "Ra7 Ra3", "Ra3 Ra7"))
    assert verdict.violation is not None and "since process" in verdict.violation.text


def test_a_history_without_times_is_proved_where_a_run_of_it_is_found() -> None:
    verdict = check_sequential(processes("Rb2 Wa9", "Ra9 Wa4 Rb2", "Wb2 Ra4", "Ra0 Ra4"))
    assert verdict.ok and verdict.proved


def test_the_order_by_value_is_a_promise_that_is_held_against_the_history() -> None:
    history = processes("Wa2 Wa1")
    assert check_sequential(history).ok
    assert not check_sequential(history, order=Order.VALUES).ok


def test_one_version_written_twice_is_a_violation_if_values_are_versions() -> None:
    verdict = check_sequential(processes("Wa1", "Wa1"), order=Order.VALUES)
    assert verdict.violation is not None and verdict.violation.rule == "one version written twice"


def test_values_that_repeat_cannot_be_checked_without_versions() -> None:
    with pytest.raises(InvalidArgument, match="unique"):
        check_sequential(processes("Wa1", "Wa1"))


def test_a_word_with_an_addition_in_doubt_is_left_to_the_other_checker() -> None:
    verdict = check_sequential(processes("Aa1?", "Ra1 Wb1", "Rb1"))
    assert verdict.ok and not verdict.proved and verdict.operations == 2
    assert not check_sequential(processes("Wb1 Aa1@0 Wc1", "Rc1 Rb0", "Aa1?")).ok


def test_wrong_times_cost_no_verdict() -> None:
    backwards = timed("0: Ra1 0-1", "1: Wa1 10-20", "1: Wa2 5-6", "0: Ra2 2-3")
    assert check_sequential(backwards).ok


def test_too_many_processes_are_refused_before_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "VERIFY_CLOCK_CELLS_MAX", 10)
    with pytest.raises(LimitExceeded):
        check_sequential(processes("Wa1 Wb1", "Rb1 Ra0"))


def test_a_long_history_is_checked_in_full() -> None:
    programs = ["".join(f"Wa{value} Rb0 " for value in range(1, 5000)), "Ra0 " * 5000]
    verdict = check_sequential(processes(*programs), order=Order.VALUES, operations_min=14_998)
    assert verdict.ok and verdict.operations == 14_998
    empty = check_sequential(History.of([]), operations_min=1)
    assert empty.outcome is Outcome.TOO_FEW
