"""Mutants keep their place in the shipped code, and planting one does what it says. `make mutants` runs them all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsm.core import cache, home
from tests.mutants import processes
from tests.mutants.__main__ import MUTANTS, judged, main
from tests.mutants.checks import GOES_WELL, Mutant, NamedTests, Simulation
from tests.mutants.planting import changed_source, planted
from tests.mutants.processes import LiveCheck

BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
QUICK = [
    "a reader acknowledges an Inv and keeps its copy",
    "a page is taken out of a scope",
    "home forgets a reader",
    "write access is not taken away",
    "a node takes a page more than it may",
]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_has_its_place_in_the_code_of_today(name: str) -> None:
    mutant = BY_NAME[name]
    compile(changed_source(mutant.module, mutant.old, mutant.new), mutant.module, "exec")


def test_there_are_mutants_of_core_and_node_each_with_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 25
    assert sum(".core." in mutant.module for mutant in MUTANTS) >= 25 <= sum(".node." in m.module for m in MUTANTS)


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_caught_by_its_check(name: str) -> None:
    verdict, found = judged(BY_NAME[name])
    assert verdict == "caught", found


def test_a_mutant_is_gone_afterwards() -> None:
    before = [cache._invalidate.__code__, home.step.__code__]
    mutant = BY_NAME[QUICK[0]]
    with planted(mutant.module, mutant.old, mutant.new):
        assert cache._invalidate.__code__ is not before[0]
    assert [cache._invalidate.__code__, home.step.__code__] == before


def test_a_mutant_that_nothing_finds_has_survived() -> None:
    harmless = Mutant("no fault", "dsm.core.cache", "# dropped in silence before", "# whatever", Simulation(1))
    assert judged(harmless)[0] == "SURVIVED"
    assert judged(replace(harmless, caught_by=GOES_WELL))[0] == "SURVIVED"


def test_a_mutant_that_is_found_for_another_reason_is_strange() -> None:
    mutant = replace(BY_NAME[QUICK[0]], told="quite another law")
    assert judged(mutant)[0] == "STRANGE"


def test_a_name_that_no_mutant_has_is_an_error() -> None:
    with pytest.raises(SystemExit, match="no mutant"):
        main("no such mutant")


def test_a_mutant_that_has_lost_its_place_is_an_error() -> None:
    with pytest.raises(AssertionError, match="0 times"):
        changed_source("dsm.core.cache", "what nobody wrote", "")


def test_what_needs_real_processes_is_left_out_with_a_reason_or_fails_where_it_must_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.mutants.__main__.missing", lambda need: f"no {need} today")
    monkeypatch.delenv("DSM_REQUIRE", raising=False)
    assert judged(processes.MUTANTS[0]) == ("skipped", "needs userfaultfd: no userfaultfd today")
    monkeypatch.setenv("DSM_REQUIRE", "root,userfaultfd")
    assert judged(processes.MUTANTS[0])[0] == "MISSING"


@pytest.mark.needs("userfaultfd")
def test_a_fault_in_daemons_that_really_run_is_caught_by_asking_them() -> None:
    verdict, found = judged(next(mutant for mutant in processes.MUTANTS if isinstance(mutant.caught_by, LiveCheck)))
    assert verdict == "caught", found


def test_tests_that_a_mutant_names_are_there() -> None:
    """An expression that selects nothing would let every mutant through; pytest's own verdict on that is an error."""
    with pytest.raises(AssertionError):
        NamedTests("tests/core/test_membership.py", "no_such_test").finds()
