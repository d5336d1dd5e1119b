"""Every world that can be reached from the first one, breadth first, and the laws in each of them.

A world is quiet if nothing is on its way and nobody waits. From every world, a quiet one can be reached: this is
checked on the whole graph, from the quiet worlds backwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from dsm.core import invariants
from dsm.core.events import Received
from dsm.core.types import NodeId
from tests.model.cluster import Cluster, Move, Setting, directly
from tests.model.memory import Broken
from tests.model.world import REQUESTS_PER_NODE, Named, Session, Transfer, Waiter, World


class Violation(AssertionError):
    """A law is broken. The message tells the shortest story that leads there, and what the records say then."""


@dataclass(frozen=True)
class Explored:
    worlds: int
    moves: int
    quiet: int


def explore(setting: Setting, through: Callable[[Callable[[], Any]], Any] = directly) -> Explored:
    """Visit every world of a setting.

    Raises:
        Violation: a law is broken in one of them.
    """
    return Explorer(Cluster(setting, through)).explore()


class Explorer:
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._worlds: list[World] = []
        self._numbers: dict[World, int] = {}
        self._reached_by: list[tuple[int, Move | None]] = []
        self._next: list[array[int]] = []
        self._judged: dict[object, list[str]] = {}

    def explore(self) -> Explored:
        self._reach(self._cluster.first(), 0, None)
        for number, world in enumerate(self._worlds):  # grows while it is gone through
            self._judge(number, world)
            self._go_on(number, world)
        quiet = [number for number, world in enumerate(self._worlds) if is_quiet(world)]
        self._check_that_all_can_become(quiet)
        return Explored(len(self._worlds), sum(map(len, self._next)), len(quiet))

    def _reach(self, world: World, origin: int, move: Move | None) -> int:
        number = self._numbers.setdefault(world, len(self._worlds))
        if number == len(self._worlds):
            self._worlds.append(world)
            self._reached_by.append((origin, move))
            self._next.append(array("l"))
        return number

    def _go_on(self, number: int, world: World) -> None:
        for move in self._cluster.moves(world):
            try:
                after = self._cluster.after(world, move)
            except Broken as broken:
                raise Violation(self._story(number, str(broken), move)) from broken
            self._next[number].append(self._reach(after, number, move))

    def _judge(self, number: int, world: World) -> None:
        quiet = is_quiet(world)
        key = (*((node.page, node.session) for node in world.nodes), world.latest, quiet and world.home)
        if key not in self._judged:
            self._judged[key] = broken_laws(world, quiet)
        if self._judged[key]:
            raise Violation(self._story(number, "; ".join(self._judged[key])))

    def _check_that_all_can_become(self, quiet: list[int]) -> None:
        origins: list[list[int]] = [[] for _ in self._worlds]
        for number, following in enumerate(self._next):
            for other in following:
                origins[other].append(number)
        able = set(quiet)
        todo = list(quiet)
        while todo:
            new = [origin for origin in origins[todo.pop()] if origin not in able]
            able.update(new)
            todo += new
        stuck = next((number for number in range(len(self._worlds)) if number not in able), None)
        if stuck is not None:
            raise Violation(self._story(stuck, "this can never become quiet"))

    def _story(self, number: int, end: str, *last: Move) -> str:
        world, moves = self._worlds[number], list(last)
        while (move := self._reached_by[number][1]) is not None:
            moves.insert(0, move)
            number = self._reached_by[number][0]
        lines = [f"{count:3}  {tell(move)}" for count, move in enumerate(moves, 1)]
        nodes = [f"     node {place}: {say(node.page)}" for place, node in enumerate(world.nodes, 1)]
        state = "     before the last line:" if last else "     then:"
        return "\n".join([end, *lines, state, f"     {say(world.home)}", *nodes])


def is_quiet(world: World) -> bool:
    return not world.transfers and not any(
        node.to_home
        or node.from_home
        or node.waiters
        or node.session is not Session.UP
        or node.page.value.pending
        or node.page.value.putting
        or node.page.value.deferred
        for node in world.nodes
    )


def broken_laws(world: World, quiet: bool) -> list[str]:
    caches = {
        NodeId(place): node.page.value
        for place, node in enumerate(world.nodes, 1)
        if node.session is not Session.ENDED_AT_HOME
    }
    return invariants.always(caches, world.latest) + (invariants.when_quiet(world.home.value, caches) if quiet else [])


def tell(move: Move) -> str:
    """A move, as a line of a conversation."""
    node, subject = f"node {move.place + 1}", move.subject
    match move.kind, subject:
        case (("home hears" | "home hears twice"), _):
            return f"{node} → home    {say(subject)}{' twice' if 'twice' in move.kind else ''}"
        case (("hears" | "hears twice"), _):
            return f"home → {node}    {say(subject)}{' twice' if 'twice' in move.kind else ''}"
        case (("receives" | "loses"), Transfer() as transfer):
            lost = " is lost" if move.kind == "loses" else ""
            return f"node {transfer.source + 1} ⇒ {node}  {say(transfer.data)}{lost}"
        case _, Waiter(write, scope):
            return f"{node} wants to {'write' if write else 'read'}{' in a scope' if scope else ''}"
        case (("ends at node" | "ends at home"), _):
            return f"{node}: its session {move.kind}{', ' + subject if subject else ''}"
    return f"{node} {move.kind} {say(subject)}"


def say(value: object) -> str:
    """A message, event or record in few words: what has its default value is left out."""
    match value:
        case Named():
            return say(value.value)
        case Received(message):
            return say(message)
        case Enum():
            return value.name
        case tuple() | frozenset():
            return f"[{', '.join(map(say, value))}]"
    if not is_dataclass(value):
        return str(value)
    words = [type(value).__name__]
    for field in fields(value):
        item = getattr(value, field.name)
        if field.name in ("request", "putting") and item is not None:
            words.append(f"{field.name}={item // REQUESTS_PER_NODE}.{item % REQUESTS_PER_NODE}")
        elif item != field.default:
            words.append(f"{field.name}={say(item)}")
    return f"{words[0]}({', '.join(words[1:])})"
