"""Runs of the simulator: a few of them for every change; `make sim SEEDS=n` makes more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from dsm.core import cache, effects, events, messages
from dsm.core.cache import CachePage
from dsm.core.events import Received
from dsm.core.messages import Ack, Inv
from tests.sim.options import Options, draw
from tests.sim.simulation import Outcome, run

ROOT = Path(__file__).parent.parent.parent
QUICK_SEEDS = range(1, 201)
HASHED_SEEDS = range(1, 11)


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return [run(seed) for seed in QUICK_SEEDS]


def test_no_law_is_broken_in_any_run(outcomes: list[Outcome]) -> None:
    broken = [str(outcome) for outcome in outcomes if outcome.broken is not None]
    assert not broken, "\n\n".join(broken)


def test_the_runs_reach_everything_that_can_happen_to_a_page(outcomes: list[Outcome]) -> None:
    """A simulator that nothing happens in finds nothing."""
    seen = Counter(kind for outcome in outcomes for kind in outcome.story.kinds())
    kinds = [*events.Event.__args__, *messages.ToHome.__args__, *messages.FromHome.__args__, messages.Data]
    assert not [kind.__name__ for kind in kinds if not seen[kind]]
    assert sum(outcome.loads for outcome in outcomes) > 5_000 < sum(outcome.stores for outcome in outcomes)


def test_each_option_is_on_in_some_runs_and_off_in_others() -> None:
    drawn = [draw(seed)[0] for seed in QUICK_SEEDS]
    for name in Options.__annotations__:
        assert len({getattr(options, name) for options in drawn}) > 1, name


def test_a_seed_is_the_same_run_whatever_the_hashes_of_strings_and_the_addresses_of_objects() -> None:
    program = f"from tests.sim.simulation import run\nfor seed in {HASHED_SEEDS}: print(run(seed).story.hash())"
    hashes = [_printed(program, PYTHONHASHSEED=value) for value in ("1", "4711")]
    assert hashes[0] == hashes[1] and len(set(hashes[0].split())) == len(HASHED_SEEDS)


def _printed(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, env=os.environ | environment | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_run_that_breaks_a_law_tells_the_seed_the_options_and_the_conversation() -> None:
    def keep(page: CachePage, inv: Inv) -> cache.Outcome:
        return page, (effects.Send(Ack(inv.request)),)

    with mock.patch.object(cache, "_invalidate", keep):
        outcome = next(outcome for outcome in map(run, QUICK_SEEDS) if outcome.broken is not None)
    first, *conversation, last = str(outcome).splitlines()
    assert first.startswith(f"seed {outcome.seed}: nodes=")
    assert last == f"seed {outcome.seed}: BROKEN: {outcome.broken}"
    assert "Received(message=Inv(request=" in "\n".join(conversation)
    assert run(outcome.seed).broken is None


def test_options_can_be_changed_to_look_closer() -> None:
    outcome = run(1, lambda options: replace(options, nodes=2, processes=1, ends=0))
    assert outcome.broken is None and outcome.options.nodes == 2


def test_nobody_is_told_of_a_loss_in_a_run_in_which_no_session_ends(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.options.ends and not outcome.options.temporary:
            received = [what for what in outcome.story.subjects() if isinstance(what, Received)]
            assert received and not [what for what in received if isinstance(what.message, messages.Lost)]
