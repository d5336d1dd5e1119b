"""Two pages of one run, in a small cluster: what can happen, and what it is then.

A pair is the worlds of both pages and the order of their messages on the sessions, three numbers in one integer:
nothing is hashed away. The pages are coupled by

    sessions     one queue each way: a message waits for those before it, whichever page they are about
    their ends   at once for both pages
    operations   a node's processes begin so many in all
    runs         a process asks for both pages at once, as read-ahead does
    scopes       over both pages: taken one after the other in ascending order, asked for ahead, given back at once;
                 one at a time on each node, where the others queue for the locks of its pages

Equal messages about adjacent pages travel as one run and are heard one after the other, with nothing in between; so do
bytes on a page stream. Here everything may come in between, which includes that.

What goes wrong, but for ends of sessions, is counted for each page by itself: a run that is lost is two pages lost.

Of all pairs that differ by a renaming of nodes one is visited: the one whose first page's world stands for its orbit,
and of several the one with the smallest numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from dsm.core.types import Pin
from tests.model.cluster import Move, Setting
from tests.model.explorer import say
from tests.model.memory import Broken
from tests.model.orders import ORDERS_MAX, Orders
from tests.model.pages import NOWHERE, WORLDS_MAX, Pages, ScopeAt
from tests.model.symmetry import UNCHANGED
from tests.model.world import Waiter

WORLD_BITS = (WORLDS_MAX - 1).bit_length()
ORDER_BITS = (ORDERS_MAX - 1).bit_length()
PAGES = (0, 1)
ONLY_UNCHANGED = (UNCHANGED,)

What = str | tuple[int, int, int]
"""In words, or for a page's own step: page, world, index of the step."""

Together = tuple[What, Move | None, Move | None]
"""What happens to both pages at once, and the move of each; None: nothing happens to it."""


@dataclass(frozen=True)
class TwoPages(Setting):
    """What a cluster with two pages may do. `scopes` are over one page."""

    runs: bool = False
    """Processes ask for both pages at once, too."""
    wide_scopes: bool = False
    """Processes begin scopes over both pages, and none over one."""


class Pair(NamedTuple):
    """The worlds of the pages, and an order."""

    first: int
    second: int
    order: int


class Happening(NamedTuple):
    """Something that can happen to a pair, and the pairs of which one follows."""

    what: What
    outcomes: list[Pair]


Outcomes = list[tuple[int, int]]
"""The worlds of one page of which one follows, and what each changes in the queues."""

Ready = list[tuple[int, int, Outcomes, str]]
"""The steps of a world: begun at, queue, outcomes, broken law."""


class Pairs:
    """The next pairs of a pair."""

    def __init__(self, setting: TwoPages) -> None:
        assert not (setting.scopes and setting.wide_scopes), "a page's pin does not say which scope has it"
        self._setting = setting
        self.pages = Pages(setting, setting.runs, not setting.wide_scopes)
        self._orders = Orders(self.pages.renamings)
        self._ready: dict[int, Ready] = {}
        self._moves_made: dict[tuple[int, Move], Outcomes] = {}
        self._with_operation_begun: dict[tuple[int, int], int] = {}
        self._judged: set[int] = set()
        self.first = Pair(self.pages.first, self.pages.first, 0)

    def next(self, pair: Pair) -> Iterator[Happening]:
        """What can happen now.

        Raises:
            Broken: something that can happen breaks a law.
        """
        yield from self._of_page(pair, 0)
        yield from self._of_page(pair, 1)
        for what, of_first, of_second in self._of_both(pair):
            yield Happening(what, self._together(pair, what, of_first, of_second))

    # --- one page goes on ------------------------------------------------------------------------------------------

    def _of_page(self, pair: Pair, page: int) -> Iterator[Happening]:
        first, second, order = pair
        mine, other = (second, first) if page else (first, second)
        heads = self._orders.heads[order]
        for index, (begun_at, queue, outcomes, broken) in enumerate(self._ready_steps(mine)):
            if not in_turn(heads, queue, page):
                continue
            if broken:
                raise Broken(f"page {page + 1}: {self.pages.tell(mine, index)}: {broken}")
            beside = other if begun_at == NOWHERE else self._spent(other, begun_at)
            if page:
                after = [Pair(beside, number, self._orders.after(order, 0, change)) for number, change in outcomes]
            else:
                after = [Pair(number, beside, self._orders.after(order, change, 0)) for number, change in outcomes]
            yield Happening((page, mine, index), after)

    def _ready_steps(self, number: int) -> Ready:
        ready = self._ready.get(number)
        if ready is None:
            ready = self._ready[number] = [
                (begun_at, queue, self._with_changes(number, outcomes), broken)
                for begun_at, queue, outcomes, broken in self.pages.steps(number)
            ]
        return ready

    def _with_changes(self, before: int, outcomes: tuple[int, ...]) -> Outcomes:
        queues = self.pages.queues
        return [(after, self._orders.change(queues(before), queues(after))) for after in outcomes]

    def _spent(self, number: int, place: int) -> int:
        key = (number, place)
        known = self._with_operation_begun.get(key)
        if known is None:
            known = self._with_operation_begun[key] = self.pages.with_operation_begun(number, place)
        return known

    # --- both go on ------------------------------------------------------------------------------------------------

    def _of_both(self, pair: Pair) -> Iterator[Together]:
        others = self.pages.both(pair.second)
        for what, moves in self.pages.both(pair.first).items():
            for of_first, of_second in product(moves, others.get(what, ())):
                yield what, of_first, of_second
        if self._setting.wide_scopes:
            scopes = zip(self.pages.scopes(pair.first), self.pages.scopes(pair.second), strict=True)
            for place, (one, other) in enumerate(scopes):
                yield from self._of_scope(place, one, other)

    def _of_scope(self, place: int, first: ScopeAt, second: ScopeAt) -> Iterator[Together]:
        """A node's scope over both pages. A process may give up in between."""
        if first.waits or second.waits:
            return
        node = f"node {place + 1}"
        if first.pin is Pin.NONE and second.pin is Pin.NONE:
            for write in (False, True) if first.may_begin else ():
                what = f"{node} begins a scope to {'write' if write else 'read'} both pages"
                take, ask = Move("wants", place, Waiter(write, scope=True)), Move("asks ahead", place, write)
                yield (what, take, ask) if ascending(place) else (what, ask, take)
            return
        back = Move("feels", place, self.pages.unpinned)
        yield f"{node} ends its scope", back if first.pin.value else None, back if second.pin.value else None
        on = Move("goes on", place, Waiter(Pin.WRITE in (first.pin, second.pin), scope=True))
        if first.pin is Pin.NONE:
            yield f"{node} goes on with its scope", on, None
        elif second.pin is Pin.NONE:
            yield f"{node} goes on with its scope", None, on

    def _together(self, pair: Pair, what: What, *moves: Move | None) -> list[Pair]:
        of_first, of_second = (self._made(pair, page, what, moves[page]) for page in PAGES)
        return [
            Pair(first, second, self._orders.after(pair.order, first_change, second_change))
            for first, first_change in of_first
            for second, second_change in of_second
        ]

    def _made(self, pair: Pair, page: int, what: What, move: Move | None) -> Outcomes:
        if move is None:
            return [(pair[page], 0)]
        key = (pair[page], move)
        made = self._moves_made.get(key)
        if made is None:
            try:
                made = self._moves_made[key] = self._with_changes(pair[page], self.pages.outcomes(*key))
            except Broken as broken:
                raise Broken(f"page {page + 1}: {what}: {broken}") from broken
        return made

    # --- renaming nodes --------------------------------------------------------------------------------------------

    def canonical(self, pair: Pair) -> int:
        """The number that all pairs share which differ by a renaming of nodes."""
        first, second, order = pair
        images, image = self.pages.images[second], self._orders.image
        towards = self.pages.towards[first]
        if towards == ONLY_UNCHANGED:
            least = second << ORDER_BITS | order
        else:
            least = min([images[renaming] << ORDER_BITS | image(order, renaming) for renaming in towards])
        return self.pages.stands[first] << WORLD_BITS + ORDER_BITS | least

    def renamed(self, pair: Pair, renaming: int) -> Pair:
        first, second, order = pair
        images = self.pages.images
        return Pair(images[first][renaming], images[second][renaming], self._orders.image(order, renaming))

    # --- what is so ------------------------------------------------------------------------------------------------

    def broken_laws(self, pair: Pair) -> str:
        """A law is about one page; so each world is judged once."""
        for page in PAGES:
            if pair[page] not in self._judged:
                broken = self.pages.broken_laws(pair[page])
                if broken:
                    return f"page {page + 1}: {broken}"
                self._judged.add(pair[page])
        return ""

    def is_quiet(self, pair: Pair) -> bool:
        return self.pages.is_quiet(pair.first) and self.pages.is_quiet(pair.second)

    def tell(self, what: What) -> str:
        """What happens, as a line of a conversation."""
        if isinstance(what, str):
            return f"        {what}"
        page, number, index = what
        return f"page {page + 1}  {self.pages.tell(number, index)}"

    def describe(self, pair: Pair) -> list[str]:
        lines = []
        for page in PAGES:
            world = self.pages.worlds[pair[page]]
            lines.append(f"page {page + 1}  {say(world.home)}")
            lines += [f"        node {place}: {say(node.page)}" for place, node in enumerate(world.nodes, 1)]
        return lines


def in_turn(heads: tuple[int, ...], queue: int, page: int) -> bool:
    """Whether a page's first message in a queue is the first of all. A step that takes none waits for none."""
    return queue == NOWHERE or heads[queue] == page


def ascending(place: int) -> bool:
    """Whether a node's scopes take the first page first."""
    return True


def unpacked(number: int) -> Pair:
    second, order = number >> ORDER_BITS & WORLDS_MAX - 1, number & ORDERS_MAX - 1
    return Pair(number >> WORLD_BITS + ORDER_BITS, second, order)
