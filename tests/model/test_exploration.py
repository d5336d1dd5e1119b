"""Every order in which things can happen to one page of a small cluster, through the shipped step functions.

The numbers of worlds are pinned: one that changes without a reason in the protocol or in the model is a mistake in
either. A change with a reason comes with the new numbers.
"""

from __future__ import annotations

from functools import cache

import pytest

from dsm.core import cache as node_side
from dsm.core import home, succession
from tests.model.cluster import Setting
from tests.model.explorer import Explored, explore
from tests.model.rows import Rows
from tests.model.world import Budget

EXPLORATIONS = {
    "two nodes with scopes, evictions and a hold time": (
        Setting((2, 2), scopes=True, evictions=True, hold=True),
        Explored(worlds=26_532, moves=88_014, quiet=326),
    ),
    "two nodes that do more": (
        Setting((3, 2), scopes=True, evictions=True),
        Explored(worlds=45_054, moves=140_298, quiet=257),
    ),
    "three nodes": (
        Setting((1, 2, 2), evictions=True),
        Explored(worlds=44_019, moves=108_352, quiet=266),
    ),
    "three nodes with scopes, evictions and a hold time": (
        Setting((1, 1, 1), scopes=True, evictions=True, hold=True),
        Explored(worlds=13_875, moves=41_430, quiet=341),
    ),
    "two nodes, bytes are lost, requests repeated": (
        Setting((2, 2), evictions=True, hold=True, budget=Budget(losses=1, repeats=1)),
        Explored(worlds=32_455, moves=93_964, quiet=351),
    ),
    "three nodes, bytes are lost, requests repeated": (
        Setting((1, 1, 1), evictions=True, budget=Budget(losses=1, repeats=1)),
        Explored(worlds=12_221, moves=31_854, quiet=171),
    ),
    "two nodes, requests repeated, messages heard twice": (
        Setting((2, 2), evictions=True, budget=Budget(repeats=1, duplicates=1)),
        Explored(worlds=40_579, moves=124_536, quiet=217),
    ),
    "two nodes with a hold time, a session ends": (
        Setting((2, 2), evictions=True, hold=True, budget=Budget(endings=1)),
        Explored(worlds=32_790, moves=101_260, quiet=322),
    ),
    "two nodes, bytes are lost, requests repeated, a session ends": (
        Setting((2, 1), scopes=True, evictions=True, budget=Budget(losses=1, repeats=1, endings=1)),
        Explored(worlds=70_529, moves=271_151, quiet=464),
    ),
    "two nodes, all of that": (
        Setting((1, 1), scopes=True, evictions=True, hold=True, budget=Budget(1, 1, 1, 1)),
        Explored(worlds=36_912, moves=160_458, quiet=738),
    ),
    "two nodes, two sessions end": (
        Setting((2, 1), scopes=True, evictions=True, budget=Budget(endings=2)),
        Explored(worlds=37_069, moves=146_976, quiet=269),
    ),
    "three nodes, a session ends": (
        Setting((1, 1, 2), evictions=True, budget=Budget(endings=1)),
        Explored(worlds=93_212, moves=303_640, quiet=340),
    ),
    "three nodes, bytes are lost, a session ends": (
        Setting((1, 1, 1), evictions=True, budget=Budget(losses=1, endings=1)),
        Explored(worlds=32_732, moves=101_043, quiet=253),
    ),
}

ROWS = Rows([node_side, home, succession])


@cache
def explored(name: str) -> Explored:
    return explore(EXPLORATIONS[name][0], ROWS.traced)


@pytest.mark.parametrize("name", EXPLORATIONS)
def test_no_law_is_broken_in_any_world_and_each_can_become_quiet(name: str) -> None:
    assert explored(name) == EXPLORATIONS[name][1]


def test_every_row_of_the_protocol_is_taken_in_some_world() -> None:
    for name in EXPLORATIONS:
        explored(name)
    assert ROWS.never_taken() == []
