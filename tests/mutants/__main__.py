"""`python -m tests.mutants`: plant one fault after the other; each has to be caught by the check that it names."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter

from tests.mutants import core, directory, node, processes
from tests.mutants.checks import Mutant
from tests.mutants.launcher import planted_in_daemons
from tests.mutants.planting import planted
from tests.needs import missing

MUTANTS = [*core.MUTANTS, *node.MUTANTS, *directory.MUTANTS, *processes.MUTANTS]


def main(wanted: str = "") -> int:
    """Plant those whose name contains the text. Return how many survived.

    Raises:
        SystemExit: there is none.
    """
    began, verdicts = time.monotonic(), Counter[str]()
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.name]
    if not mutants:
        sys.exit(f"no mutant has {wanted!r} in its name")
    for mutant in mutants:
        since = time.monotonic()
        verdict, found = judged(mutant)
        verdicts[verdict] += 1
        print(f"{verdict:8} {time.monotonic() - since:5.1f} s  {mutant.name}\n{'':18}{found}", flush=True)
    skipped = f", {verdicts['skipped']} skipped" if verdicts["skipped"] else ""
    print(f"{verdicts['caught']} of {len(mutants)} mutants caught{skipped} in {time.monotonic() - began:.0f} s")
    return len(mutants) - verdicts["caught"] - verdicts["skipped"]


def judged(mutant: Mutant) -> tuple[str, str]:
    """Return whether a mutant was caught, and what was said of it."""
    real = isinstance(mutant.caught_by, processes.OnDaemons)
    if real and (why := missing("userfaultfd")):
        required = "userfaultfd" in os.environ.get("DSM_REQUIRE", "").split(",")
        return "MISSING" if required else "skipped", f"needs userfaultfd: {why}"
    with (planted_in_daemons if real else planted)(mutant.module, mutant.old, mutant.new):
        found = mutant.caught_by.finds()
    if found is None:
        return "SURVIVED", f"{mutant.caught_by} finds nothing"
    if not re.search(mutant.told, found):
        return "STRANGE", f"{found!r} does not say {mutant.told!r}"
    return "caught", found[:150]


if __name__ == "__main__":
    sys.exit(min(1, main(*sys.argv[1:])))
