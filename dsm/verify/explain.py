"""A cycle in words: which operations cannot be put in order, and why each must come before the next."""

from __future__ import annotations

from dsm.verify.accesses import Accesses
from dsm.verify.graph import Edges, Why
from dsm.verify.verdict import Violation

Step = tuple[int, int, Why, int]
"""Before, after, why; and what that is inferred from."""


def cycle(accesses: Accesses, edges: Edges) -> Violation:
    """Tell a cycle, given as its edges in order."""
    columns = (edges.before, edges.after, edges.why, edges.because)
    steps = [
        (before, after, Why(why), because)
        for before, after, why, because in zip(*(column.tolist() for column in columns), strict=True)
    ]
    steps = _shortened(steps)
    lines = [f"no order of these {len(steps)} operations is possible, for each must come before the next:"]
    for number, (before, _, why, because) in enumerate(steps, 1):
        lines.append(f"  {number}. {accesses.describe(before)}")
        lines.append(f"     {_reason(accesses, why, because)}")
    lines.append(f"  and so back to 1. {accesses.describe(steps[0][0])}")
    rows = accesses.rows(*(step[0] for step in steps))
    return Violation(_rule(accesses, steps), rows, "\n".join(lines))


def _shortened(steps: list[Step]) -> list[Step]:
    """Join steps that say together what one step could say: A, B, C in program order is A, C in program order."""
    first = next((place for place, step in enumerate(steps) if _follows(steps[place - 1], step) is None), 0)
    joined: list[Step] = []
    for step in steps[first:] + steps[:first]:
        why = _follows(joined[-1], step) if joined else None
        if why is None:
            joined.append(step)
        else:
            joined[-1] = (joined[-1][0], step[1], why, joined[-1][3])
    return joined


def _follows(one: Step, other: Step) -> Why | None:
    """What two steps are together, if that has a name: further along one process, or along the writes of a word."""
    along_process = one[2] is other[2] is Why.PROGRAM
    along_writes = other[2] is Why.OVERWRITES and one[2] in (Why.OVERWRITES, Why.MISSED)
    return one[2] if along_process or along_writes else None


def _reason(accesses: Accesses, why: Why, because: int) -> str:
    match why:
        case Why.PROGRAM:
            return "comes before, in program order,"
        case Why.READS:
            return "wrote what was found by"
        case Why.OVERWRITES:
            return "was overwritten, at once or later, by"
        case Why.MISSED:
            return "found what was overwritten, at once or later, by"
        case Why.INFERRED:
            return f"comes before the next, since {accesses.describe(because)}, later than this, and found the next"
        case Why.INFERRED_MISSED:
            return f"found the value of: {accesses.describe(because)}; which comes before"


def _rule(accesses: Accesses, steps: list[Step]) -> str:
    words = {int(accesses.word[before]) for before, *_ in steps}
    return "one word seen in contradicting orders" if len(words - {-1}) == 1 else "words seen in contradicting orders"
