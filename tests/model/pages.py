"""The worlds of one page as numbers, and all that can happen in each of them, worked out once.

Two pages share nothing but sessions and those who use them, so the steps of one page do not depend on the other page:
`pairs` looks them up here. Worlds that differ by a renaming of nodes only (`symmetry`) form an orbit; all of an orbit
get their numbers at once, the first of them stands for it, and only its steps are ever made. Those of the others are
its own, renamed.

Home chooses among nodes by their numbers, so a renamed world would go on a little differently. Therefore home makes
each of its steps under every renaming, and each outcome, with the names changed back, is one that may follow. The real
one is among them. So what is explored is more than what can happen, and the same under any renaming: a law that holds
in all of it holds in all that can happen. For "can become quiet" a step counts only if each of its outcomes can, since
home picks one and not the explorer.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

from dsm.core.events import Unpinned, Wanted
from dsm.core.types import Pin
from tests.model.cluster import Cluster, Move, Setting
from tests.model.explorer import broken_laws, is_quiet, tell
from tests.model.memory import Broken
from tests.model.symmetry import UNCHANGED, Renamings
from tests.model.world import Named, Session, Waiter, World

AT_HOME = ("home hears", "home hears twice", "ends at home")
ENDS = ("ends at home", "ends at node")
BEGUN = ("wants", "evicts")
QUEUES = {"home hears": 0, "home hears twice": 0, "hears": 1, "hears twice": 1}
NOWHERE = -1
WORLDS_MAX = 1 << 22


class Step(NamedTuple):
    """Something that can happen to one page of itself."""

    begun_at: int
    """The place of the node of whose operations this is one; NOWHERE if it is none."""
    queue: int
    """Which queue (`Pages.queues`) it takes a message from; NOWHERE if from none."""
    outcomes: tuple[int, ...]
    """The worlds of which one follows; none if it breaks a law."""
    broken: str = ""


class ScopeAt(NamedTuple):
    """What a node has to do with scopes on a page."""

    may_begin: bool
    pin: Pin
    waits: bool


class Reaching(Cluster):
    """What a process does to one page on its way to several."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.names = self._names
        self._do["asks ahead"] = self._asks_ahead
        self._do["goes on"] = self._goes_on

    def _asks_ahead(self, world: World, place: int, write: bool) -> World:
        wanted = self._names.name(Wanted(write, world.unused_request(place)))
        world = world.change(place, operations=world.nodes[place].operations - 1)
        return self._happens(world, place, wanted)  # in vain if the page is here or asked for

    def _goes_on(self, world: World, place: int, waiter: Waiter) -> World:
        waiters = tuple(sorted((*world.nodes[place].waiters, waiter)))
        return self._serve(world.change(place, waiters=waiters), place)


class Pages:
    """Everything about the worlds of one page of a setting. A world is its number."""

    def __init__(self, setting: Setting, runs: bool, scopes_end: bool) -> None:
        self._cluster = Reaching(setting)
        self._runs = runs
        self._scopes_end = scopes_end
        self.renamings = Renamings(setting.operations, self._cluster.names)
        self._numbers: dict[World, int] = {}
        self.worlds: list[World] = []
        self.images: list[array[int]] = []
        """For each world and renaming, the renamed world."""
        self.stands: list[int] = []
        """For each world, the one that stands for its orbit."""
        self.towards: list[tuple[int, ...]] = []
        """For each world, the renamings that make it the one that stands for its orbit."""
        self.unpinned = self._cluster.names.name(Unpinned())
        self.first = self._number(self._cluster.first())
        self._steps: dict[int, tuple[Step, ...]] = {}
        self._scopes: dict[int, list[ScopeAt]] = {}
        self._both: dict[int, dict[str, list[Move]]] = {}

    def _number(self, world: World) -> int:
        known = self._numbers.get(world)
        if known is None:
            known = len(self.worlds)
            self._add_orbit([self.renamings.world(world, renaming) for renaming in range(len(self.renamings.all))])
        return known

    def _add_orbit(self, orbit: list[World]) -> None:
        first = len(self.worlds)
        different = list(dict.fromkeys(orbit))
        self._numbers.update((world, first + index) for index, world in enumerate(different))
        for world in different:
            renaming = orbit.index(world)
            images = array("I", (self._numbers[orbit[row[renaming]]] for row in self.renamings.after))
            self.worlds.append(world)
            self.images.append(images)
            self.stands.append(first)
            self.towards.append(tuple(index for index, image in enumerate(images) if image == first))
        assert len(self.worlds) <= WORLDS_MAX, "a pair is a number of 64 bits"

    # --- what can happen ------------------------------------------------------------------------------------------

    def steps(self, number: int) -> tuple[Step, ...]:
        """What can happen to the page without the other one's knowing, but for the order of a session's messages."""
        stands = self.stands[number]
        if stands not in self._steps:
            self._steps[stands] = tuple(self._step(stands, move) for move in self._moves(stands))
        if number == stands:
            return self._steps[stands]
        return self._renamed(self._steps[stands], self.renamings.inverse[self.towards[number][0]])

    def _moves(self, number: int) -> Iterator[Move]:
        for move in self._cluster.moves(self.worlds[number]):
            ends_scope = isinstance(move.subject, Named) and isinstance(move.subject.value, Unpinned)
            if move.kind not in ENDS and (self._scopes_end or not ends_scope):
                yield move

    def _step(self, number: int, move: Move) -> Step:
        begun_at = move.place if move.kind in BEGUN else NOWHERE
        queue = 2 * move.place + QUEUES[move.kind] if move.kind in QUEUES else NOWHERE
        try:
            return Step(begun_at, queue, self.outcomes(number, move))
        except Broken as broken:
            return Step(begun_at, queue, (), str(broken))

    def _renamed(self, steps: tuple[Step, ...], renaming: int) -> tuple[Step, ...]:
        places, images = self.renamings.all[renaming], self.images
        return tuple(
            Step(
                NOWHERE if step.begun_at == NOWHERE else places[step.begun_at],
                NOWHERE if step.queue == NOWHERE else 2 * places[step.queue // 2] + step.queue % 2,
                tuple([images[outcome][renaming] for outcome in step.outcomes]),
                step.broken,
            )
            for step in steps
        )

    def tell(self, number: int, index: int) -> str:
        """A step, as a line of a conversation."""
        away = self.renamings.inverse[self.towards[number][0]]
        return tell(self.renamings.move(list(self._moves(self.stands[number]))[index], away))

    def outcomes(self, number: int, move: Move) -> tuple[int, ...]:
        """Make a move; if home has a part in it, under every renaming.

        Raises:
            Broken: it breaks a law.
        """
        renamings = range(len(self.renamings.all)) if move.kind in AT_HOME else (UNCHANGED,)
        outcomes: dict[int, None] = {}
        for renaming in renamings:
            world = self.worlds[self.images[number][renaming]]
            after = self._number(self._cluster.after(world, self.renamings.move(move, renaming)))
            outcomes[self.images[after][self.renamings.inverse[renaming]]] = None
        return tuple(outcomes)

    def both(self, number: int) -> dict[str, list[Move]]:
        """What can happen to this page if it can to both: the end of a session, a wish for a run of pages."""
        known = self._both.get(number)
        if known is None:
            known = self._both[number] = {}
            for move in self._cluster.moves(self.worlds[number]):
                node = f"node {move.place + 1}"
                if move.kind in ENDS:
                    known.setdefault(f"{node}: its session {move.kind}", []).append(move)
                elif self._runs and isinstance(move.subject, Waiter) and not move.subject.scope:
                    known[f"{node} wants to {'write' if move.subject.write else 'read'} both pages"] = [move]
        return known

    def with_operation_begun(self, number: int, place: int) -> int:
        """The same world after an operation of a node has gone to another page."""
        world = self.worlds[number]
        return self._number(world.change(place, operations=world.nodes[place].operations - 1))

    # --- what is so ------------------------------------------------------------------------------------------------

    def broken_laws(self, number: int) -> str:
        world = self.worlds[number]
        return "; ".join(broken_laws(world, is_quiet(world)))

    def is_quiet(self, number: int) -> bool:
        return is_quiet(self.worlds[number])

    def queues(self, number: int) -> list[tuple[Named[Any], ...]]:
        """To home and from home, for each node."""
        return [queue for node in self.worlds[number].nodes for queue in (node.to_home, node.from_home)]

    def scopes(self, number: int) -> list[ScopeAt]:
        """What each node has to do with scopes on this page."""
        known = self._scopes.get(number)
        if known is None:
            known = self._scopes[number] = [
                ScopeAt(
                    node.operations > 0 and node.session is not Session.ENDED_AT_NODE,
                    node.page.value.pin,
                    any(waiter.scope for waiter in node.waiters),
                )
                for node in self.worlds[number].nodes
            ]
        return known
