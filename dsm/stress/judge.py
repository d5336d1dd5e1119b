"""What worker 1 makes of what all workers recorded: the verdict on a round, and the report on the run."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dsm.stress import torn
from dsm.stress.plan import Round, Run
from dsm.verify import History, Outcome, Verdict, check_linearizable, check_sequential
from dsm.verify.encoding import from_bytes

SEVERAL_MACHINES = "linearizability not judged: several machines"
TRANSFERS_PER_SECOND_MIN = 5
"""For each node but one. On two processors that had ten times as much to do as they could, the slowest workload (scopes
only, one client on each of three nodes, of a large page or of many) still came to five times as many."""


@dataclass
class Judgement:
    """The verdict on one round."""

    operations: int = 0
    violations: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    """Checks that ran out of time."""
    seconds: float = 0.0
    history: History | None = None
    checks: list[dict[str, object]] = field(default_factory=list)
    not_judged: str = ""
    """What could not be asked, and why."""


def judge_histories(recordings: list[dict[str, Any]]) -> Judgement:
    """Join the histories and check them. Linearizability needs one clock, so it is left out for several machines."""
    history = History.joined(from_bytes(recording["history"]) for recording in recordings)
    verdicts: list[Verdict] = []
    one_clock = len({recording["boot"] for recording in recordings}) == 1
    if one_clock:
        verdicts.append(check_linearizable(history))
    verdicts.append(check_sequential(history))
    return Judgement(
        operations=len(history),
        violations=[str(verdict) for verdict in verdicts if verdict.outcome is Outcome.VIOLATION],
        unfinished=[str(verdict) for verdict in verdicts if verdict.outcome is Outcome.TIMEOUT],
        seconds=sum(verdict.seconds for verdict in verdicts),
        history=history,
        checks=[verdict.as_map() for verdict in verdicts],
        not_judged="" if one_clock else SEVERAL_MACHINES,
    )


def judge_torn(recordings: list[dict[str, Any]], versions: list[int]) -> Judgement:
    """Collect what the workers found, and look for writes that were lost."""
    began = time.monotonic()
    found = [fault for recording in recordings for fault in recording["faults"]]
    lost = torn.lost_writes(versions, [recording["writes"] for recording in recordings])
    return Judgement(
        operations=sum(recording["operations"] for recording in recordings),
        violations=found + lost,
        checks=[_count("torn pages", found), _count("lost writes", lost)],
        seconds=time.monotonic() - began,
    )


def _count(check: str, violations: list[str]) -> dict[str, object]:
    return {"check": check, "outcome": (Outcome.VIOLATION if violations else Outcome.OK).value}


class Report:
    """What came of a run so far."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._nodes: dict[str, str] = {}
        self._rounds: list[dict[str, object]] = []
        self.operations = self.transfers = self.invalidations = 0
        self.seconds = self.checker_seconds = 0.0
        self.violations: list[str] = []
        self.unfinished: list[str] = []
        self.checks: dict[str, Counter[str]] = {}
        """By its name, how often each check came to which outcome."""
        self.not_judged: list[str] = []
        self.history: History | None = None
        """Of the first round that was not well."""

    def add(self, plan: Round, recordings: list[dict[str, Any]], judgement: Judgement) -> None:
        """Count one more round."""
        by_node = {recording["node"]: recording["stats"] for recording in recordings}
        self._nodes |= {recording["node"]: recording["access"] for recording in recordings}
        transfers = sum(stats["pages_in"] for stats in by_node.values())
        self.transfers += transfers
        self.invalidations += sum(stats["invalidations"] for stats in by_node.values())
        self.operations += judgement.operations
        self.seconds += plan.seconds
        self.checker_seconds += judgement.seconds
        self.violations += judgement.violations
        self.unfinished += judgement.unfinished
        for check in judgement.checks:
            self.checks.setdefault(str(check["check"]), Counter())[str(check["outcome"])] += 1
        if judgement.not_judged and judgement.not_judged not in self.not_judged:
            self.not_judged.append(judgement.not_judged)
        if self.history is None and not self.well:
            self.history = judgement.history
        self._rounds.append(
            {
                "round": plan.number,
                "pages": plan.pages,
                "page_size": plan.page_size,
                "hold": plan.hold,
                "operations": judgement.operations,
                "transfers": transfers,
                "checks": judgement.checks,
            }
        )

    @property
    def well(self) -> bool:
        """Nothing wrong so far; that it was enough is decided in the end."""
        return not self.violations and not self.unfinished

    @property
    def transfers_min(self) -> int:
        """How many pages have to move, if nobody said how many."""
        if self._run.transfers_min is not None or len(self._nodes) < 2:
            return self._run.transfers_min or 0
        return max(1, int(TRANSFERS_PER_SECOND_MIN * self._run.seconds * (len(self._nodes) - 1)))

    @property
    def enough(self) -> bool:
        transfers = self.transfers >= self.transfers_min or len(self._nodes) < 2
        return transfers and self.operations >= self._run.operations_min

    @property
    def verdict(self) -> str:
        if self.violations:
            return "violation"
        if self.unfinished:
            return "timeout"
        return "ok" if self.enough else "too few operations or transfers"

    def as_map(self) -> dict[str, Any]:
        """For JSON. The later parts of a long list of violations are left out, their number is not."""
        return {
            "verdict": self.verdict,
            "operations": self.operations,
            "violations": len(self.violations),
            "transfers": self.transfers,
            "invalidations": self.invalidations,
            "seconds": self.seconds,
            "operations_per_second": self.operations / self.seconds if self.seconds else 0.0,
            "checker_seconds": self.checker_seconds,
            "nodes": len(self._nodes),
            "workers": self._run.workers,
            "seed": self._run.seed,
            "torn": self._run.torn,
            "access": dict(sorted(self._nodes.items())),
            "operations_min": self._run.operations_min,
            "transfers_min": self.transfers_min,
            "checks": {check: dict(outcomes) for check, outcomes in self.checks.items()},
            "not_judged": self.not_judged,
            "found": (self.violations + self.unfinished)[: torn.FAULTS_MAX],
            "rounds": self._rounds,
        }
