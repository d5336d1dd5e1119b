"""`python -m tests.sim`: run many seeds, or tell the whole story of one."""

from __future__ import annotations

import argparse
import sys
import time

from tests.sim.simulation import run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="how many")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="this one only, with its whole story")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error("no seeds, no runs")
    if arguments.seed is not None:
        return _tell(arguments.seed)
    return _run_all(range(arguments.first, arguments.first + arguments.seeds))


def _tell(seed: int) -> int:
    outcome = run(seed)
    print(outcome.story.last(len(outcome.story)))
    print(outcome)
    print(f"hash {outcome.story.hash()}")
    return 0 if outcome.broken is None else 1


def _run_all(seeds: range) -> int:
    began = time.monotonic()
    loads = stores = events = failed = 0
    for seed in seeds:
        outcome = run(seed)
        loads, stores, events = loads + outcome.loads, stores + outcome.stores, events + len(outcome.story)
        if outcome.broken is not None:
            failed += 1
            print(outcome, flush=True)
    took = time.monotonic() - began
    print(f"{len(seeds):,} seeds in {took:.0f} s: {events:,} events, {loads:,} loads, {stores:,} stores")
    print(f"{len(seeds) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
