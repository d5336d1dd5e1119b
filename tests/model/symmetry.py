"""Nodes are alike but for their numbers: every renaming of the nodes of a world, and of what it says of them.

Nodes that may begin equally many operations can change names. What a world looks like afterwards follows from the types
of the core's records and messages: whatever is annotated as a NodeId or RequestId is renamed, wherever it stands, so a
new field or message needs nothing here. That the next worlds of a renamed world are the renamed next worlds is a claim
about the core, and a test's (`test_two_pages`). It is true but for one thing: where home chooses among nodes it takes
the one with the smallest number (`succession`: who is asked to become the owner). `pages` says what it does about that.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from itertools import permutations
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from dsm.core.types import NodeId, RequestId
from tests.model.cluster import Move
from tests.model.world import REQUESTS_PER_NODE, Named, Names, Node, PeerLeft, Transfer, World

T = TypeVar("T")

UNCHANGED = 0


class Renamings:
    """The group of all renamings, by number; `UNCHANGED` is the one that does nothing."""

    def __init__(self, operations: tuple[int, ...], names: Names) -> None:
        nodes = range(len(operations))
        alike = (to for to in permutations(nodes) if all(operations[place] == operations[to[place]] for place in nodes))
        self.all = tuple(alike)
        """For each renaming, the new place of the node at each place."""
        number = {places: index for index, places in enumerate(self.all)}
        self.inverse = [number[tuple(map(places.index, nodes))] for places in self.all]
        self.after = [[number[tuple(second[place] for place in first)] for first in self.all] for second in self.all]
        """`after[second][first]`: the renaming that is the second one after the first."""
        self._names = names
        self._renamed: dict[tuple[Named[Any], int], Named[Any]] = {}

    def world(self, world: World, renaming: int) -> World:
        places = self.all[renaming]
        nodes = [self._node(world.nodes[places.index(place)], renaming) for place in range(len(places))]
        transfers = sorted(self._transfer(transfer, renaming) for transfer in world.transfers)
        return world._replace(home=self.named(world.home, renaming), nodes=tuple(nodes), transfers=tuple(transfers))

    def move(self, move: Move, renaming: int) -> Move:
        match move.subject:
            case Named() as named:
                subject: Any = self.named(named, renaming)
            case Transfer() as transfer:
                subject = self._transfer(transfer, renaming)
            case other:
                subject = other  # names no node
        return Move(move.kind, self.all[renaming][move.place], subject)

    def named(self, named: Named[T], renaming: int) -> Named[T]:
        key = (named, renaming)
        after = self._renamed.get(key)
        if after is None:
            after = self._renamed[key] = self._names.name(_renamed(type(named.value), named.value, self.all[renaming]))
        return after

    def _node(self, node: Node, renaming: int) -> Node:
        return node._replace(
            page=self.named(node.page, renaming),
            to_home=tuple(self.named(said, renaming) for said in node.to_home),
            from_home=tuple(self.named(said, renaming) for said in node.from_home),
        )

    def _transfer(self, transfer: Transfer, renaming: int) -> Transfer:
        data, places = self.named(transfer.data, renaming), self.all[renaming]
        return Transfer(data.order, data, places[transfer.to], places[transfer.source], transfer.memory)


def _renamed(hint: Any, value: Any, places: tuple[int, ...]) -> Any:
    """Return a value of the annotated type with every number of a node, and of a request, exchanged."""
    if value is None:
        return None
    if isinstance(value, PeerLeft):
        return PeerLeft(places[value.place])
    if is_dataclass(value):
        kind: Any = type(value)
        items = {name: _renamed(inner, getattr(value, name), places) for name, inner in _hints(kind).items()}
        return kind(**items)
    if isinstance(value, frozenset | tuple):
        inner = next(part for part in _parts(hint) if get_origin(part) is type(value))
        return type(value)(_renamed(get_args(inner)[0], item, places) for item in value)
    if NodeId in _parts(hint):
        return NodeId(places[value - 1] + 1)
    if RequestId in _parts(hint) and value >= REQUESTS_PER_NODE:
        node, count = divmod(value, REQUESTS_PER_NODE)
        return RequestId((places[node - 1] + 1) * REQUESTS_PER_NODE + count)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _parts(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; otherwise the type itself."""
    return (hint,) if isinstance(hint, type) or get_origin(hint) in (frozenset, tuple) else get_args(hint) or (hint,)
