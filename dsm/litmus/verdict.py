"""What came of a cell."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from dsm.litmus.cells import BUFFERED_REASON, Cell
from dsm.litmus.outcomes import Outcome, describe


@dataclass
class Verdict:
    """The histogram of a cell, judged. Times in seconds."""

    cell: Cell
    seen: Counter[Outcome] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def rounds(self) -> int:
        return self.seen.total()

    @property
    def forbidden(self) -> int:
        """How many rounds ended as none may."""
        allowed = self.cell.allowed()
        return sum(count for outcome, count in self.seen.items() if outcome not in allowed)

    @property
    def missing(self) -> list[Outcome]:
        """What has to be seen and was not."""
        return sorted(self.cell.expected() - self.seen.keys())

    @property
    def ok(self) -> bool:
        return not self.forbidden and not self.missing

    def rows(self) -> list[tuple[str, int, str]]:
        """Every outcome that is allowed or was seen: in words, how often, and what is to be said about it."""
        allowed, expected = self.cell.allowed(), self.cell.expected()
        rows = []
        for outcome in sorted(allowed | self.seen.keys()):
            count, remark = self.seen[outcome], ""
            if outcome not in allowed:
                remark = "FORBIDDEN"
            elif not count:
                remark = "NEVER SEEN" if outcome in expected else f"not seen: {BUFFERED_REASON}"
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
            "missing": [describe(cell.shape, outcome) for outcome in self.missing],
            "outcomes": [{"outcome": what, "count": count, "remark": remark} for what, count, remark in self.rows()],
            "seconds": round(self.seconds, 3),
        }
