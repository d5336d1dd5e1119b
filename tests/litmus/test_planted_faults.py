"""Cells on a cluster whose daemons have a fault are not good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dsm.cluster import LocalCluster
from dsm.litmus.cells import NODES, Cell, everything
from dsm.litmus.crew import Crew
from tests.mutants.launcher import planted_in_daemons

ROUNDS = 2000
TRIES = 5
"""On a busy machine the threads of a run may happen to take turns, and then a fault shows in none of its rounds."""
PROTECT = """                for attachment in self.attachments:
                    attachment.protect(index)
"""
GIVEN_AWAY = """            case Retain():
                self._kept[index] = self.segment.read(index * size, size)
            case Drop():
                self._drop(index)
"""
READERS_DO_NOT_STOP_A_WRITER = (PROTECT + GIVEN_AWAY, "                pass\n" + GIVEN_AWAY)
NOBODY_STOPS_A_WRITER = (PROTECT + GIVEN_AWAY, GIVEN_AWAY.replace("self._drop(index)", "pass"))
CELLS = {cell.name: cell for cell in everything()}

pytestmark = pytest.mark.needs("userfaultfd")


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """On nodes that never take write access away."""
    yield from crew_under(*READERS_DO_NOT_STOP_A_WRITER)


@pytest.fixture(scope="module")
def crew_of_hoarders() -> Iterator[Crew]:
    """On nodes that let processes go on with pages that were given away."""
    yield from crew_under(*NOBODY_STOPS_A_WRITER)


def crew_under(old: str, new: str) -> Iterator[Crew]:
    with planted_in_daemons("dsm.node.region", old, new), LocalCluster(NODES) as cluster:
        sockets = [cluster.socket(node) for node in range(NODES)]
        with cluster.connect(0, scoped_only=True) as client, Crew(client, sockets, seed=1) as crew:
            yield crew


def cell(shape: str, words: str) -> Cell:
    return CELLS[f"{shape}/apart/{words}/plain"]


def noticed(crew: Crew, cell: Cell) -> bool:
    return any(not crew.run(cell, ROUNDS).ok for _ in range(TRIES))


@pytest.mark.parametrize("words", ["page", "pages"])
@pytest.mark.parametrize("shape", ["MP", "SB", "LB", "WRC"])
def test_a_writer_that_goes_on_while_others_read_is_noticed(crew: Crew, shape: str, words: str) -> None:
    assert noticed(crew, cell(shape, words))


@pytest.mark.parametrize("words", ["page", "pages"])
def test_a_writer_that_goes_on_while_others_write_is_noticed(crew_of_hoarders: Crew, words: str) -> None:
    """2+2W has no load, so no node of it ever asks for a page to read, and the fault above is none there."""
    assert noticed(crew_of_hoarders, cell("2+2W", words))
