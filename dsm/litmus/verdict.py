"""What came of a cell.

Forbidden is an outcome that the memory model does not have, and a store that memory has not got in the end.

A cell that could not have shown such a thing is not good either. So each expected outcome needs a share of the rounds,
and none may have nearly all of a batch: on a cluster whose pages do not move as they should, every round of a region
often finds the same stale values, which looks like one allowed outcome.

The bounds were chosen from healthy runs of 2,000 rounds, on idle and on busy machines: the rarest of three outcomes had
2.6 % of the rounds or more, the rarest of seven 0.15 %, the rarest of the fifteen of IRIW 0.03 %; the most frequent of
any cell had less than 60 %.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dsm.litmus.cells import BUFFERED_REASON, Cell
from dsm.litmus.outcomes import Outcome, describe

SHARE_OF_ONE_MAX = 0.9
SHARE_MIN = 0.045
"""Of the rounds, over the square of how many outcomes are expected: where there are many, most are rarer still."""


@dataclass
class Verdict:
    """The histogram of a cell, judged. Times in seconds."""

    cell: Cell
    seen: Counter[Outcome] = field(default_factory=Counter)
    lost: int = 0
    """Rounds in which a store was lost; they are not among those seen."""
    monotonous: bool = False
    """Whether nearly all rounds of some batch ended alike."""
    seconds: float = 0.0

    @property
    def rounds(self) -> int:
        return self.seen.total() + self.lost

    @property
    def forbidden(self) -> int:
        """How many rounds ended as none may."""
        allowed = self.cell.allowed()
        return self.lost + sum(count for outcome, count in self.seen.items() if outcome not in allowed)

    @property
    def missing(self) -> list[Outcome]:
        """What has to be seen and was not."""
        return sorted(self.cell.expected() - self.seen.keys())

    @property
    def rare(self) -> list[Outcome]:
        """What has to be seen, and was seen too seldom or never."""
        expected = self.cell.expected()
        enough = max(1.0, self.rounds * SHARE_MIN / len(expected) ** 2)
        return sorted(outcome for outcome in expected if self.seen[outcome] < enough)

    @property
    def bad(self) -> bool:
        """Whether something was seen that more rounds cannot mend."""
        return self.forbidden > 0 or self.monotonous

    @property
    def ok(self) -> bool:
        return not self.bad and not self.rare

    def add(self, seen: Counter[Outcome], lost: int) -> None:
        """Count a batch of rounds."""
        self.seen += seen
        self.lost += lost
        self.monotonous |= max(seen.values(), default=0) > SHARE_OF_ONE_MAX * (seen.total() + lost)

    def rows(self) -> list[tuple[str, int, str]]:
        """Every outcome that is allowed or was seen: in words, how often, and what is to be said about it."""
        allowed, expected, rare = self.cell.allowed(), self.cell.expected(), self.rare
        rows = [("a store was lost", self.lost, "FORBIDDEN")] if self.lost else []
        for outcome in sorted(allowed | self.seen.keys()):
            count, remark = self.seen[outcome], ""
            if outcome not in allowed:
                remark = "FORBIDDEN"
            elif not count:
                remark = "NEVER SEEN" if outcome in expected else f"not seen: {BUFFERED_REASON}"
            elif outcome in rare:
                remark = "TOO RARE"
            rows.append((describe(self.cell.shape, outcome), count, remark))
        return rows

    def as_map(self) -> dict[str, Any]:
        """For JSON."""
        cell = self.cell
        return {
            "cell": cell.name,
            "ok": self.ok,
            "shape": cell.shape.name,
            "cycle": cell.shape.cycle,
            "program": str(cell.shape),
            "workers": cell.workers,
            "words": cell.words,
            "access": cell.access,
            "model": "x86-TSO on shared nodes" if cell.buffered else "sequential consistency",
            "rounds": self.rounds,
            "forbidden": self.forbidden,
            "lost": self.lost,
            "monotonous": self.monotonous,
            "rare": [describe(cell.shape, outcome) for outcome in self.rare],
            "missing": [describe(cell.shape, outcome) for outcome in self.missing],
            "outcomes": [{"outcome": what, "count": count, "remark": remark} for what, count, remark in self.rows()],
            "seconds": round(self.seconds, 3),
        }
