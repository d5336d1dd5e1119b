"""The protocol as a Promela model, checked by Spin: a second opinion on what the explorer says of the shipped core.

Spin turns the model into a C program that searches every state. The runs here are exhaustive; nothing is hashed away.
The numbers of states are pinned, for the reason that test_exploration.py gives. A larger
run, which tests/nightly.sh makes, has 6,526,088 states, and takes half a minute and 1.3 GB.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.needs("spin")

MODEL = Path(__file__).with_name("coherence.pml")
DEADLINE_SECONDS = 300.0
DEPTH_MAX = 200_000
MEMORY_MB_MAX = 2000

SAFETY = ("-DSAFETY",)
LIVENESS = ("-DNFAIR=5",)  # copies of each state that weak fairness over this many processes needs
FAIRLY = ("-a", "-f")


@dataclass(frozen=True)
class Run:
    """What Spin said."""

    output: str

    @property
    def errors(self) -> int:
        return int(self._number(r"errors: (\d+)"))

    @property
    def states(self) -> int:
        return int(self._number(r"(\d+) states, stored"))

    @property
    def complete(self) -> bool:
        """Whether every state was searched: neither depth nor memory ran out, and no transition was cut short."""
        bad = ("Search not completed", "max search depth too small", "out of memory", "error: ")
        return not any(words in self.output for words in bad)

    @property
    def violated(self) -> str:
        found = re.search(r"^pan:\d+: (.*) \(at depth", self.output, re.MULTILINE)
        return found[1] if found else ""

    def _number(self, pattern: str) -> str:
        found = re.search(pattern, self.output)
        assert found, f"Spin did not come to an end:\n{self.output}"
        return found[1]


def spin(directory: Path, *model: str, live: bool = False) -> Run:
    """Check the model with some of its macros defined."""
    defined = [f"-D{macro}" for macro in (*model, *(["LIVE"] if live else []))]
    _command(directory, "spin", "-a", *defined, str(MODEL))
    flags = ["-DCOLLAPSE", "-DSEPQS", "-DVECTORSZ=1024", f"-DMEMLIM={MEMORY_MB_MAX}", *(LIVENESS if live else SAFETY)]
    _command(directory, "gcc", "-O1", "-w", *flags, "-o", "pan", "pan.c")
    return Run(_command(directory, "./pan", f"-m{DEPTH_MAX}", *(FAIRLY if live else ())))


def _command(directory: Path, *words: str) -> str:
    done = subprocess.run(
        words,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"`{' '.join(words)}`:\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize(
    ("model", "states"),
    [
        (("NODES=2", "LOSSES=1", "REPEATS=1"), 1_798_140),
        (("NODES=3", "LOSSES=1", "OPERATIONS=2"), 861_885),
    ],
    ids=["two nodes that do as much as they like", "three nodes that do two things each"],
)
def test_no_law_is_broken_and_nobody_is_left_waiting(model: tuple[str, ...], states: int, tmp_path: Path) -> None:
    run = spin(tmp_path, *model)
    print(f"{' '.join(model)}: {run.states} states")
    assert run.complete, run.output
    assert (run.errors, run.states) == (0, states), run.output


@pytest.mark.parametrize(
    ("model", "states"),
    [
        (("NODES=2", "LOSSES=1"), 199_136),
        (("NODES=3", "LOSSES=1", "OPERATIONS=1"), 6_175),
    ],
    ids=["two nodes that do as much as they like", "three nodes that do one thing each"],
)
def test_every_request_is_answered_in_the_end(model: tuple[str, ...], states: int, tmp_path: Path) -> None:
    run = spin(tmp_path, *model, live=True)
    print(f"{' '.join(model)}: {run.states} states")
    assert run.complete, run.output
    assert (run.errors, run.states) == (0, states), run.output


@pytest.mark.parametrize(
    ("fault", "law"),
    [
        ("BUG_KEEP_COPY", "page[other].version==latest"),
        ("BUG_FORGET_SHARER", "home.sharers&(1<<sender)"),
        ("BUG_CLOSE_BEFORE_ACKS", "home.acks&(1<<sender)"),
        ("BUG_RETAIN_NOTHING", "page[home.supplier].retained==latest"),
    ],
    ids=[
        "a reader that acknowledges an Inv and keeps its copy",
        "a sharer that home forgets",
        "a transaction closed before the last Ack",
        "an owner that retains nothing",
    ],
)
def test_a_planted_fault_is_found(fault: str, law: str, tmp_path: Path) -> None:
    run = spin(tmp_path, "NODES=2", fault)
    assert run.errors == 1
    assert law in run.violated


def test_only_the_search_for_liveness_finds_a_repeat_that_home_ignores(tmp_path: Path) -> None:
    """The requester repeats itself for ever: no law is broken, and it never comes to rest."""
    assert spin(tmp_path, "NODES=2", "BUG_IGNORE_REPEAT").errors == 0
    run = spin(tmp_path, "NODES=2", "BUG_IGNORE_REPEAT", live=True)
    assert run.errors == 1
    assert run.violated == "acceptance cycle"
