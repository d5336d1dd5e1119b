"""Every world that can be reached, breadth first, and the laws in each of them."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass

from dsm.core import invariants
from dsm.core.types import NodeId
from tests.model.cluster import Broken, Cluster, Move, Setting
from tests.model.world import Session, World


class Violation(AssertionError):
    """A law is broken. The message tells the shortest story that leads there."""


@dataclass(frozen=True)
class Explored:
    worlds: int
    moves: int
    quiet: int


class Explorer:
    def __init__(self, setting: Setting, traced: Callable[[Callable[[], object]], object] = lambda call: call()) -> None:
        self._cluster = Cluster(setting, traced)
        self._worlds: list[World] = []
        self._number: dict[World, int] = {}
        self._story: list[tuple[int, Move | None]] = []
        self._edges: list[array[int]] = []
        self._judged: dict[object, list[str]] = {}

    def explore(self) -> Explored:
        self._reach(self._cluster.first(), -1, None)
        quiet = []
        number = 0
        while number < len(self._worlds):
            world = self._worlds[number]
            if self._judge(number, world):
                quiet.append(number)
            self._go_on(number, world)
            number += 1
        self._all_can_become_quiet(quiet)
        return Explored(len(self._worlds), sum(map(len, self._edges)), len(quiet))

    def _reach(self, world: World, parent: int, move: Move | None) -> int:
        number = self._number.setdefault(world, len(self._worlds))
        if number == len(self._worlds):
            self._worlds.append(world)
            self._story.append((parent, move))
            self._edges.append(array("l"))
        return number

    def _go_on(self, number: int, world: World) -> None:
        for move in self._cluster.moves(world):
            try:
                after = self._cluster.after(world, move)
            except Broken as broken:
                raise Violation(self.tell(number, move, str(broken))) from broken
            self._edges[number].append(self._reach(after, number, move))

    def _judge(self, number: int, world: World) -> bool:
        """Check the laws; return whether the world is quiet."""
        nodes = [node for node in world.nodes]
        quiet = is_quiet(world)
        key = (*(node.page for node in nodes), *(node.session for node in nodes), world.latest, quiet and world.home)
        broken = self._judged.get(key)
        if broken is None:
            broken = self._judged[key] = _judgement(world, quiet)
        if broken:
            raise Violation(self.tell(number, None, "; ".join(broken)))
        return quiet and not any(node.waiters for node in nodes)

    def _all_can_become_quiet(self, quiet: list[int]) -> None:
        before: list[list[int]] = [[] for _ in self._worlds]
        for number, after in enumerate(self._edges):
            for other in after:
                before[other].append(number)
        good = bytearray(len(self._worlds))
        todo = quiet.copy()
        for number in todo:
            good[number] = True
        while todo:
            for other in before[todo.pop()]:
                if not good[other]:
                    good[other] = True
                    todo.append(other)
        stuck = good.find(0)
        if stuck >= 0:
            raise Violation(self.tell(stuck, None, "this can never become quiet"))

    def tell(self, number: int, last: Move | None, what: str) -> str:
        world = self._worlds[number]
        moves = [] if last is None else [last]
        while (story := self._story[number])[1] is not None:
            number, move = story
            moves.append(move)
        lines = [f"{count:3}  {describe(move)}" for count, move in enumerate(reversed(moves), 1)]
        lines += ["", f"home    {world.home.value}"]
        lines += [f"node {place}  {node.page.value} {node}" for place, node in enumerate(world.nodes, 1)]
        return "\n".join([what, "", *lines])


def describe(move: Move) -> str:
    subject = getattr(move.subject, "value", move.subject)
    return f"{move.place + 1} {move.kind} {subject}"


def is_quiet(world: World) -> bool:
    """Whether nothing is on its way and nothing is under way."""
    if world.transfers or any(node.to_home or node.from_home for node in world.nodes):
        return False
    return all(
        node.session is Session.UP
        and node.page.value.pending is None
        and node.page.value.putting is None
        and node.page.value.deferred is None
        for node in world.nodes
    )


def _judgement(world: World, quiet: bool) -> list[str]:
    caches = {
        NodeId(place): node.page.value
        for place, node in enumerate(world.nodes, 1)
        if node.session is not Session.ENDED_AT_HOME
    }
    broken = invariants.always(caches, world.latest)
    return broken + invariants.when_quiet(world.home.value, caches) if quiet else broken
