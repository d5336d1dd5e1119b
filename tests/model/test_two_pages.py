"""Two pages whose messages share sessions, small enough for every day; `python -m tests.model` goes further.

Numbers of pairs are pinned, for the reason that test_exploration gives. Nodes that are alike are exchanged for each
other, so what is counted stands for more; that this hides nothing is tested, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from dsm.core import cache
from dsm.core.cache import CachePage
from dsm.core.effects import Send
from dsm.core.messages import Ack, Inv
from tests.model import pairs, symmetry
from tests.model.cluster import Cluster, Move, Setting
from tests.model.explorer import Explorer, Violation, explore
from tests.model.pairs import Happening, Pair, Pairs, TwoPages, unpacked
from tests.model.search import Found, Search, Searched, search
from tests.model.symmetry import Renamings
from tests.model.world import Budget, World

SEARCHES = {
    "two nodes with scopes, evictions and runs": (
        TwoPages((2, 1), scopes=True, evictions=True, runs=True),
        Searched(pairs=71_850, moves=192_934, quiet=521, levels=34),
    ),
    "two nodes with runs, bytes are lost, requests repeated": (
        TwoPages((1, 1), runs=True, budget=Budget(losses=1, repeats=1)),
        Searched(pairs=32_718, moves=94_222, quiet=185, levels=39),
    ),
    "two nodes with runs and scopes over both pages, a session ends": (
        TwoPages((1, 1), runs=True, wide_scopes=True, budget=Budget(endings=1)),
        Searched(pairs=36_769, moves=123_939, quiet=290, levels=44),
    ),
    "three nodes with runs": (
        TwoPages((1, 1, 1), runs=True),
        Searched(pairs=37_328, moves=97_966, quiet=122, levels=36),
    ),
    "three nodes, a session ends": (
        TwoPages((1, 1, 1), budget=Budget(endings=1)),
        Searched(pairs=14_134, moves=46_962, quiet=188, levels=22),
    ),
    "four nodes": (
        TwoPages((1, 1, 1, 1)),
        Searched(pairs=8_648, moves=25_736, quiet=106, levels=27),
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_no_law_is_broken_in_any_pair_and_each_can_become_quiet(name: str) -> None:
    setting, searched = SEARCHES[name]
    assert search(setting) == searched


# --- what is left out is left out rightly -----------------------------------------------------------------------------


def searched_through(setting: TwoPages) -> tuple[Pairs, list[Pair]]:
    whole = Search(Pairs(setting))
    whole.search()
    return whole._pairs, [unpacked(number) for number in whole._found.numbers]


def at_leisure(world: World) -> World:
    return world._replace(nodes=tuple(node._replace(operations=0) for node in world.nodes))


def test_beside_a_page_that_nobody_touches_the_other_is_as_it_is_alone() -> None:
    both, found = searched_through(TwoPages((2, 1), evictions=True))
    worlds, first = both.pages.worlds, both.pages.first
    beside_untouched = [pair for pair in found if at_leisure(worlds[pair.second]) == at_leisure(worlds[first])]
    assert len(beside_untouched) == explore(Setting((2, 1), evictions=True)).worlds


@pytest.mark.parametrize("operations", [(1, 1), (1, 1, 1)])
def test_each_pair_stands_for_all_its_renamings_and_no_others(
    operations: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, found = searched_through(TwoPages(operations, hold=len(operations) == 2))
    renamings = range(len(both.pages.renamings.all))
    stood_for = sum(len({both.renamed(pair, renaming) for renaming in renamings}) for pair in found)
    monkeypatch.setattr(symmetry, "permutations", lambda nodes: [tuple(nodes)])
    assert search(TwoPages(operations, hold=len(operations) == 2)).pairs == stood_for > 1.9 * len(found)


def next_worlds(cluster: Cluster, world: World) -> set[World]:
    """The next worlds, but for those in which home has chosen somebody to ask by its number."""
    following = (cluster.after(world, move) for move in cluster.moves(world))
    return {after for after in following if (open_ := after.home.value.transaction) is None or open_.asked is None}


def test_the_next_worlds_of_a_renamed_world_are_the_renamed_next_worlds() -> None:
    setting = Setting((1, 1, 1), budget=Budget(endings=1))
    explorer = Explorer(Cluster(setting))
    explorer.explore()
    cluster = explorer._cluster
    renamings = Renamings(setting.operations, cluster._names)
    for world in explorer._worlds[::20]:
        following = next_worlds(cluster, world)
        for renaming in (1, 3):  # an exchange and a rotation: together they make all
            renamed = {renamings.world(after, renaming) for after in following}
            assert next_worlds(cluster, renamings.world(world, renaming)) == renamed


def test_renamings_make_a_group() -> None:
    renamings = Renamings((1, 2, 1, 1), Cluster(Setting(()))._names)
    assert len(renamings.all) == 6
    for first, inverse in enumerate(renamings.inverse):
        assert renamings.after[inverse][first] == 0
        assert renamings.after[0][first] == renamings.after[first][0] == first


def test_numbers_are_found_again_in_the_order_in_which_they_came() -> None:
    random = Random(1)
    numbers = list(dict.fromkeys(random.getrandbits(64) for _ in range(100_000)))
    found = Found()
    assert [found.place(number) for number in numbers] == list(range(len(numbers)))
    assert [found.place(number) for number in reversed(numbers)] == list(reversed(range(len(numbers))))


class Chooser(Pairs):
    """Two pairs: home may choose the quiet one, or to stay where it is."""

    def next(self, pair: Pair) -> Iterator[Happening]:
        if pair == self.first:
            yield Happening("home chooses", [pair, pair._replace(order=1)])

    def is_quiet(self, pair: Pair) -> bool:
        return pair.order == 1


def test_that_home_might_choose_rightly_is_not_enough_to_become_quiet() -> None:
    with pytest.raises(Violation, match="this can never become quiet"):
        Search(Chooser(TwoPages((1, 2)))).search()


# --- what only two pages show -----------------------------------------------------------------------------------------


def violation(setting: TwoPages) -> str:
    with pytest.raises(Violation) as raised:
        search(setting)
    return str(raised.value)


def test_nodes_whose_scopes_take_the_pages_in_opposite_orders_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    setting = TwoPages((1, 1), wide_scopes=True)
    assert search(setting).quiet > 0
    monkeypatch.setattr(pairs, "ascending", lambda place: place == 0)
    monkeypatch.setattr(symmetry, "permutations", lambda nodes: [tuple(nodes)])  # they are not alike any more
    end, *story = violation(setting).splitlines()
    assert end == "this can never become quiet"
    assert [line[5:] for line in story if "goes on" in line] == [
        "        node 1 goes on with its scope",
        "        node 2 goes on with its scope",
    ]


def test_messages_of_one_page_may_overtake_those_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a run may be cut in two, and heard with anything in between."""
    setting = TwoPages((1, 1), runs=True, budget=Budget(endings=1))
    in_order = search(setting)
    monkeypatch.setattr(pairs, "in_turn", lambda heads, queue, page: True)
    assert search(setting).moves > in_order.moves


def test_a_session_that_ends_for_one_page_only_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    plant_in_second_page(monkeypatch, "ends at home", lambda before, after, place: after._replace(home=before.home))
    end, *story = violation(A_SESSION_ENDS).splitlines()
    assert end.startswith("page 2: agreement: home waits for something that nobody will send")
    assert [line[5:] for line in story if "session" in line] == [
        "        node 1: its session ends at home",
        "        node 1: its session ends at node",
    ]


def test_a_session_that_ends_for_one_page_only_at_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def keep(before: World, after: World, place: int) -> World:
        node = before.nodes[place]
        return after.change(place, page=node.page, memory=node.memory, retained=node.retained)

    plant_in_second_page(monkeypatch, "ends at node", keep)
    assert violation(A_SESSION_ENDS).startswith("page 2: ")


A_SESSION_ENDS = TwoPages((2, 1), budget=Budget(endings=1))


def plant_in_second_page(
    monkeypatch: pytest.MonkeyPatch, kind: str, faulty: Callable[[World, World, int], World]
) -> None:
    right = Pairs._made

    def made(self: Pairs, pair: Pair, page: int, what: Any, move: Move | None) -> Any:
        outcomes = right(self, pair, page, what, move)
        if page == 0 or move is None or move.kind != kind:
            return outcomes
        before, worlds = pair.second, self.pages.worlds
        after = [faulty(worlds[before], worlds[number], move.place) for number, _ in outcomes]
        return self._with_changes(before, tuple(map(self.pages._number, after)))

    monkeypatch.setattr(Pairs, "_made", made)


def test_a_fault_of_the_protocol_is_told_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    right = cache._invalidate

    def keep(page: CachePage, inv: Inv) -> Any:
        return (page, (Send(Ack(inv.request)),)) if inv.to is None else right(page, inv)

    monkeypatch.setattr(cache, "_invalidate", keep)
    story = violation(TwoPages((1, 1), runs=True)).splitlines()
    assert story[0].startswith("page 1: single writer: node 2 may write while [1, 2] may read")
    assert story[6:10] == [
        "  6  page 1  node 2 → home    GetM(request=2.0, held=None)",
        "  7  page 1  home → node 1    Inv(request=2.0, to=None, grants=False)",
        "  8  page 1  node 1 → home    Ack(request=2.0)",
        "  9  page 1  home → node 2    Grant(request=2.0, version=1, write=True, source=ZERO)",
    ]
    assert story[-5:-2] == [
        "             node 1: CachePage(state=S)",
        "             node 2: CachePage(state=M, version=1)",
        "     page 2  HomePage()",
    ]
