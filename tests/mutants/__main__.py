"""`python -m tests.mutants`: plant one fault after the other; each has to be caught by the check that it names."""

from __future__ import annotations

import re
import sys
import time

from tests.mutants import core, directory, node
from tests.mutants.checks import Mutant
from tests.mutants.planting import planted

MUTANTS = [*core.MUTANTS, *node.MUTANTS, *directory.MUTANTS]


def main(wanted: str = "") -> int:
    """Plant those whose name contains the text. Return how many survived.

    Raises:
        SystemExit: there is none.
    """
    began, survivors = time.monotonic(), 0
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.name]
    if not mutants:
        sys.exit(f"no mutant has {wanted!r} in its name")
    for mutant in mutants:
        since = time.monotonic()
        verdict, found = judged(mutant)
        survivors += verdict != "caught"
        print(f"{verdict:8} {time.monotonic() - since:5.1f} s  {mutant.name}\n{'':18}{found}", flush=True)
    print(f"{len(mutants) - survivors} of {len(mutants)} mutants caught in {time.monotonic() - began:.0f} s")
    return survivors


def judged(mutant: Mutant) -> tuple[str, str]:
    """Return whether a mutant was caught, and what was said of it."""
    with planted(mutant.module, mutant.old, mutant.new):
        found = mutant.caught_by.finds()
    if found is None:
        return "SURVIVED", f"{mutant.caught_by} finds nothing"
    if not re.search(mutant.told, found):
        return "STRANGE", f"{found!r} does not say {mutant.told!r}"
    return "caught", found[:150]


if __name__ == "__main__":
    sys.exit(min(1, main(*sys.argv[1:])))
