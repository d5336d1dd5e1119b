"""`python -m tests.model`: every order of events in clusters of four nodes and two pages, up to renaming the nodes.

Takes about a quarter of an hour of one core, and four GiB. Ends with 1 if a law is broken, or if fewer pairs were seen
than a setting promises: a search that has become small by mistake finds nothing.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time

from tests.model.explorer import Violation
from tests.model.pairs import TwoPages
from tests.model.search import search
from tests.model.world import Budget

LARGE = {
    "four nodes, two pages, all goes well": (TwoPages((1, 1, 1, 1), runs=True), 1_000_000),
    "four nodes, two pages, a session ends": (TwoPages((1, 1, 1, 1), runs=True, budget=Budget(endings=1)), 10_000_000),
}
"""Settings, and how many pairs of worlds each has at least."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SETTING", help=f"these only, of: {'; '.join(LARGE)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - LARGE.keys():
        parser.error(f"no such setting: {', '.join(sorted(unknown))}")
    passed = [_run(name, *LARGE[name]) for name in arguments.names or LARGE]
    return 0 if all(passed) else 1


def _run(name: str, setting: TwoPages, promised: int) -> bool:
    print(f"{name}: {setting}", flush=True)
    began = time.monotonic()
    try:
        searched = search(setting)
    except Violation as violation:
        print(violation)
        return False
    took = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"  {searched.pairs:,} pairs, {searched.moves:,} moves, {searched.quiet:,} quiet, {searched.levels} levels")
    print(f"  {took:,.0f} s, {searched.pairs / took:,.0f} pairs a second, {memory:.1f} GiB at most", flush=True)
    if searched.pairs < promised:
        print(f"  fewer than the {promised:,} promised")
    return searched.pairs >= promised


if __name__ == "__main__":
    sys.exit(main())
