"""A seed is the same run on every Python and every machine: the hashes of some stories, pinned.

A number that changed with the code of the daemons or of the simulator is right to be changed here: `python -m
tests.sim.test_same_on_every_python` prints them anew. One that is different on another Python is a fault: something
takes other steps there, and a seed that somebody reports would mean nothing to others.
"""

from __future__ import annotations

import pytest

from tests.sim.simulation import run

HASHES = {
    1: "12530ee9a1d32394",
    2: "6f2570f80e18c1a4",
    3: "f90afe7dbdb8cc6c",
    4: "63818fd871efd775",
    7: "4618625f758518d1",
    11: "e9f3e83ea3642220",
    20: "f9e94be24015f6f9",
    50: "8d8a12b9bb788485",
    100: "74daaccb6ebe216c",
    200: "430ec4fcb7b8c1d7",
}


@pytest.mark.parametrize("seed", HASHES)
def test_a_seed_is_the_run_that_it_was(seed: int) -> None:
    assert run(seed).story.hash() == HASHES[seed]


if __name__ == "__main__":
    for seed in HASHES:
        print(f'    {seed}: "{run(seed).story.hash()}",')
