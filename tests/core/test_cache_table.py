"""The node's half of the protocol against its table, and a walk over every pair of a record and an event."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import product

import pytest

from dsm.core.cache import CachePage, Outcome, can_pin, evictable, expects, step
from dsm.core.effects import CacheEffect, Drop, Forget, Send, Supply
from dsm.core.events import (
    Event,
    EvictionChosen,
    Pinned,
    Received,
    SessionEnded,
    Unpinned,
)
from dsm.core.messages import Data, Done, GetM
from dsm.core.types import Pin
from dsm.errors import ProtocolError
from tests.core.cache_table import (
    EVENTS,
    GET,
    INV,
    INV_TO,
    LATE_COMERS,
    PAGES,
    PEER,
    PUT,
    SECOND,
    STATES,
    every_record,
    is_shaped,
    rows,
)


def say(effects: tuple[CacheEffect, ...]) -> str:
    return " ".join(map(_say, effects)) or "."


def _say(effect: CacheEffect) -> str:
    match effect:
        case Send(message=Done(ok=False)):
            return "Done(no)"
        case Send(message=GetM(held=int() as held)):
            return f"GetM({held})"
        case Send(message):
            return type(message).__name__
        case Supply(to=to, data=data):
            assert to == PEER
            return f"Supply({data.version}{'!' if data.write else ''})"
    return type(effect).__name__


def named(page: CachePage) -> str:
    """The name of a record, whatever its version."""
    return next(name for name, known in PAGES.items() if replace(page, version=known.version) == known)


@pytest.mark.parametrize(("event", "page", "becomes", "effects"), rows())
def test_each_row_leads_where_the_table_says(event: str, page: str, becomes: str, effects: str) -> None:
    after, done = step(PAGES[page], EVENTS[event])
    assert (named(after), say(done)) == (page if becomes == "." else becomes, effects)


@pytest.mark.parametrize("event", EVENTS)
def test_what_does_not_stand_in_the_table_is_an_error(event: str) -> None:
    listed = {page for row, page, _, _ in rows() if row == event}
    for page in set(STATES) - listed:
        with pytest.raises(ProtocolError):
            step(PAGES[page], EVENTS[event])


@pytest.mark.parametrize("event", LATE_COMERS, ids=repr)
def test_an_answer_to_a_request_that_is_over_changes_nothing(event: Event) -> None:
    for page in PAGES.values():
        assert step(page, event) == (page, ())


@pytest.mark.parametrize("page", [name for name in PAGES if "," in name])
def test_home_cannot_want_two_things_of_one_page(page: str) -> None:
    for message in (replace(INV, request=SECOND), replace(INV_TO, request=SECOND)):
        with pytest.raises(ProtocolError):
            step(PAGES[page], Received(message))


@pytest.mark.parametrize("page", [name for name in PAGES if "," in name])
def test_a_scope_does_not_take_a_page_that_somebody_else_waits_for(page: str) -> None:
    assert not can_pin(PAGES[page], write=False)
    with pytest.raises(ProtocolError):
        step(PAGES[page], Pinned(write=False))


@pytest.mark.parametrize(
    "page", ["S read", "O read", "M read", "M written", "S held", "O held", "O putting", "SM", "OM"]
)
def test_a_page_that_is_in_use_is_not_evicted(page: str) -> None:
    assert not evictable(PAGES[page])
    with pytest.raises(ProtocolError):
        step(PAGES[page], EvictionChosen(PUT))


@pytest.mark.parametrize("page", ["S read", "O read", "M read", "M written"])
def test_only_the_first_scope_of_a_host_pins_a_page(page: str) -> None:
    for write in (False, True):
        with pytest.raises(ProtocolError):
            step(PAGES[page], Pinned(write))


def test_bytes_are_expected_once_and_only_by_the_request_that_they_answer() -> None:
    read, write = Data(GET, 3, write=False, grants=True), Data(GET, 4, write=True, grants=False)
    assert {name for name in PAGES if expects(PAGES[name], read)} == {"IS", "IM", "IM grant", "IM retains"}
    assert not any(expects(page, replace(write, request=SECOND)) for page in PAGES.values())


def test_a_version_comes_with_the_grant_and_goes_with_the_copy() -> None:
    versions = {name: step(PAGES[page], EVENTS[name])[0].version for name, page in _GRANTS.items()}
    assert versions == {"Data": 3, "Data to write": 4, "Grant zeros": 3, "Grant zeros to write": 4, "Grant held": 4}
    assert step(PAGES["IM bytes"], EVENTS["Grant sent"])[0].version == 4
    for page, event in (("S", "Inv"), ("O", "Inv to"), ("S", "eviction chosen"), ("M", "session ended")):
        assert step(PAGES[page], EVENTS[event])[0].version == 0


_GRANTS = {
    "Data": "IS",
    "Data to write": "IM",
    "Grant zeros": "IS",
    "Grant zeros to write": "IM",
    "Grant held": "SM",
}


# --- every pair ---------------------------------------------------------------------------------------------------


def taken(page: CachePage, event: Event) -> Outcome | None:
    """The outcome of a step, or None if the pair has no row."""
    try:
        return step(page, event)
    except ProtocolError:
        return None


def test_every_pair_of_a_record_and_an_event_moves_or_raises_and_leaves_the_record_alone() -> None:
    records = list(every_record())
    assert len(records) > 200
    moves = 0
    for page, event in product(records, [*EVENTS.values(), *LATE_COMERS]):
        before = copy.deepcopy(page)
        outcome = taken(page, event)
        assert page == before
        assert outcome == taken(page, event)
        if outcome is None:
            continue
        after, _ = outcome
        moves += 1
        if not (isinstance(event, Received) and page.deferred is not None):  # home wants one thing at a time
            assert is_shaped(after), (page, event, after)
    assert moves > len(records) * len(EVENTS) / 2


def test_the_end_of_a_session_voids_every_record() -> None:
    for page in every_record():
        assert step(page, SessionEnded()) == (CachePage(), (Drop(), Forget()))


def test_no_event_takes_a_page_out_of_a_scope() -> None:
    for page, event in product(every_record(), [*EVENTS.values(), *LATE_COMERS]):
        if page.pin is Pin.NONE or isinstance(event, Unpinned | SessionEnded):
            continue
        if (outcome := taken(page, event)) is not None:
            after, _ = outcome
            assert after.pin is page.pin and after.state.allows(page.pin is Pin.WRITE), (page, event, after)


def test_bytes_in_memory_are_dropped_exactly_when_the_right_to_read_them_ends() -> None:
    for page, event in product(every_record(), [*EVENTS.values(), *LATE_COMERS]):
        if not isinstance(event, SessionEnded) and (outcome := taken(page, event)) is not None:
            after, effects = outcome
            assert (page.state.readable and not after.state.readable) == (Drop() in effects), (page, event)
