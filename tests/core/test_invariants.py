"""Each law, broken on purpose."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsm.core.cache import CachePage
from dsm.core.home import HomePage, Request, Transaction
from dsm.core.invariants import always, when_quiet
from dsm.core.messages import Data, GetS
from dsm.core.types import NodeId, Pin, RequestId, State

ONE, TWO = NodeId(1), NodeId(2)
NOTHING = CachePage()
SHARED, OWNED, MODIFIED = (CachePage(state, 3) for state in (State.S, State.O, State.M))
READING = Transaction(Request(TWO, GetS(RequestId(1))))


@pytest.mark.parametrize(
    ("one", "two", "law"),
    [
        (MODIFIED, SHARED, "single writer: node 1 may write while [1, 2] may read"),
        (MODIFIED, MODIFIED, "single writer: node 1 may write while [1, 2] may read"),
        (OWNED, OWNED, "one owner: nodes [1, 2] all own the page"),
        (OWNED, replace(SHARED, version=2), "latest value: node 2 may read version 2, the latest is 3"),
        (OWNED, replace(NOTHING, pin=Pin.READ), "scope: node 2 lost the page while it was pinned for READ"),
        (replace(OWNED, pin=Pin.WRITE), NOTHING, "scope: node 1 lost the page while it was pinned for WRITE"),
    ],
)
def test_a_broken_law_is_named_at_any_time(one: CachePage, two: CachePage, law: str) -> None:
    assert law in always({ONE: one, TWO: two}, latest=3)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (NOTHING, NOTHING),
        (MODIFIED, NOTHING),
        (OWNED, SHARED),
        (SHARED, SHARED),
        (replace(OWNED, putting=RequestId(1)), OWNED),
        (replace(OWNED, pin=Pin.READ), replace(SHARED, pin=Pin.READ)),
        (replace(MODIFIED, pin=Pin.WRITE), NOTHING),
    ],
)
def test_what_may_be_is_not_complained_of(one: CachePage, two: CachePage) -> None:
    assert always({ONE: one, TWO: two}, latest=3) == []


@pytest.mark.parametrize(
    ("home", "two", "law"),
    [
        (HomePage(3, ONE, transaction=READING), NOTHING, "home waits for something that nobody will send"),
        (HomePage(3, ONE, queue=(READING.opened_by,)), NOTHING, "home waits for something that nobody will send"),
        (HomePage(3, TWO), NOTHING, "node 1 owns the page, home thinks node 2 does"),
        (HomePage(3, TWO), NOTHING, "home thinks node 2 owns the page, which is I there"),
        (HomePage(3, ONE), SHARED, "home does not know that node 2 reads the page"),
        (HomePage(3, lost=True), NOTHING, "home thinks the page is lost, node 1 may read it"),
        (HomePage(3, ONE), replace(NOTHING, retained=Data(RequestId(1), 4, True, True)), "node 2 still retains"),
    ],
)
def test_home_and_nodes_that_disagree_when_all_is_quiet_are_named(home: HomePage, two: CachePage, law: str) -> None:
    broken = when_quiet(home, {ONE: OWNED, TWO: two})
    assert any(complaint.startswith("agreement: ") and law in complaint for complaint in broken)


def test_home_may_count_readers_that_dropped_their_copies() -> None:
    assert when_quiet(HomePage(3, ONE, frozenset({TWO})), {ONE: OWNED, TWO: NOTHING}) == []
