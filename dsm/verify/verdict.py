"""The answer of a checker, and the time it may take.

A history passes only if it was looked at in full and was long enough to mean something: a checker that ran out of
time has not shown anything, nor has one that was given ten operations because the workload never got going.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dsm.errors import DeadlineExceeded, InvalidArgument

Clock = Callable[[], float]


class Outcome(Enum):
    OK = "ok"
    VIOLATION = "violation"
    TIMEOUT = "timeout"
    TOO_FEW = "too few operations"


@dataclass(frozen=True)
class Violation:
    """Why a history is impossible: the rule it breaks, the rows of the operations involved, and the argument."""

    rule: str
    rows: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class Finding:
    """What a check brought to light."""

    operations: int
    violation: Violation | None = None
    proved: bool = True


@dataclass(frozen=True)
class Verdict:
    """The answer of a checker. `operations` are those that bear on it: not reads without an outcome, not fences."""

    check: str
    outcome: Outcome
    operations: int
    seconds: float
    violation: Violation | None = None
    proved: bool = True
    """False if nothing contradicts the history, but no order that explains all of it was found either."""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    def __str__(self) -> str:
        line = f"{self.check}: {self.outcome.value}, {self.operations:,} operations in {self.seconds:.2f} s"
        if self.violation is not None:
            return f"{line}\n{self.violation.rule}: {self.violation.text}"
        return line if self.proved else f"{line} (nothing contradicts it; not proved)"

    def as_map(self) -> dict[str, object]:
        """For JSON."""
        return {
            "check": self.check,
            "outcome": self.outcome.value,
            "operations": self.operations,
            "seconds": round(self.seconds, 3),
            "proved": self.proved,
            "rule": self.violation.rule if self.violation else None,
            "violation": self.violation.text if self.violation else None,
        }


class Deadline:
    """When a checker must have answered. The steps between two looks at the clock take well below a second."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        if seconds <= 0:
            raise InvalidArgument(f"a checker needs some time, not {seconds} s")
        self._clock = clock
        self._began = clock()
        self._seconds = seconds

    @property
    def spent(self) -> float:
        return self._clock() - self._began

    def check(self) -> None:
        """Raise DeadlineExceeded if the time is over."""
        if self.spent > self._seconds:
            raise DeadlineExceeded(f"the history was not checked within {self._seconds} s")


def judge(check: str, deadline: Deadline, operations_min: int, find: Callable[[], Finding]) -> Verdict:
    """Run a check and weigh what it found. A violation counts however few the operations are."""
    try:
        finding = find()
    except DeadlineExceeded:
        return Verdict(check, Outcome.TIMEOUT, 0, deadline.spent)
    outcome = Outcome.OK
    if finding.violation is not None:
        outcome = Outcome.VIOLATION
    elif finding.operations < operations_min:
        outcome = Outcome.TOO_FEW
    return Verdict(check, outcome, finding.operations, deadline.spent, finding.violation, finding.proved)
