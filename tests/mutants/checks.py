"""What has to catch a mutant: the exploration, the simulator, recorded traces, or tests by their names."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Protocol

import pytest

from dsm.verify.conformance import check_conformance
from tests.model.cluster import Setting
from tests.model.explorer import Violation, explore
from tests.model.world import Budget
from tests.sim.simulation import run
from tests.sim.traces import Traces

SEEDS_MAX = 500


class Check(Protocol):
    def finds(self) -> str | None:
        """Say what is wrong, if anything is found to be."""


@dataclass(frozen=True)
class Exploration:
    """Every order of events in a small cluster."""

    setting: Setting

    def finds(self) -> str | None:
        try:
            explore(self.setting)
        except Violation as violation:
            return str(violation).splitlines()[0]
        return None


@dataclass(frozen=True)
class Simulation:
    """The first seeds of the simulator."""

    seeds: int = SEEDS_MAX

    def finds(self) -> str | None:
        for seed in range(1, self.seeds + 1):
            outcome = run(seed)
            if outcome.broken is not None:
                return f"seed {seed}: {outcome.broken.strip().splitlines()[-1]}"
        return None


@dataclass(frozen=True)
class Conformance:
    """What the daemons of the first seeds of the simulator record, replayed against the core."""

    seeds: int = SEEDS_MAX

    def finds(self) -> str | None:
        for seed in range(1, self.seeds + 1):
            traces = Traces()
            run(seed, traces=traces)
            if drifts := check_conformance(traces.records()).drifts:
                return f"seed {seed}: {str(drifts[0]).splitlines()[0]}"
        return None


@dataclass(frozen=True)
class NamedTests:
    """Some tests, by the name of their file and an expression as of `pytest -k`."""

    file: str
    expression: str

    def finds(self) -> str | None:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = pytest.main(
                ["-x", "-q", "--no-header", "-p", "no:cacheprovider", "-k", self.expression, self.file]
            )
        assert status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED), said.getvalue()
        failed = [line for line in said.getvalue().splitlines() if line.startswith("FAILED")]
        return failed[0] if status == pytest.ExitCode.TESTS_FAILED else None


GOES_WELL = Exploration(Setting((2, 2), scopes=True, evictions=True))
MORE_OPERATIONS = Exploration(Setting((3, 1), evictions=True))
BYTES_LOST = Exploration(Setting((1, 1), evictions=True, budget=Budget(losses=1, repeats=1)))
REPEATED = Exploration(Setting((2, 2), budget=Budget(repeats=1)))
HEARD_TWICE = Exploration(Setting((2, 1), evictions=True, budget=Budget(duplicates=1)))
SESSION_ENDS = Exploration(Setting((2, 1), evictions=True, budget=Budget(endings=1)))
THREE_NODES = Exploration(Setting((1, 1, 1), budget=Budget(endings=1)))
SEEDS = Simulation()
TRACES = Conformance()


@dataclass(frozen=True)
class Mutant:
    name: str
    """The fault, so that the name reads as what such a program does."""
    module: str
    old: str
    new: str
    caught_by: Check
    told: str = ""
    """What the check says of it: a regular expression."""
