"""Faults planted into the protocol are found: the exploration has the power to find what it does not find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dsm.core import cache, home
from dsm.core.cache import CachePage
from dsm.core.effects import Drop, Protect, Retain, Send, SendTo
from dsm.core.events import Event, EvictionChosen, Received
from dsm.core.home import HomePage, Request, Transaction
from dsm.core.messages import Ack, Adopt, Data, Done, Fetch, GetM, Inv, Lost, Release
from dsm.core.types import NodeId, Pin, RequestId, State
from tests.model import cluster
from tests.model.cluster import Setting
from tests.model.explorer import Violation, explore
from tests.model.world import Budget, World

ALL_GOES_WELL = Setting((2, 2), scopes=True, evictions=True)
BYTES_ARE_LOST = Setting((1, 1), evictions=True, budget=Budget(losses=1, repeats=1))
A_SESSION_ENDS = Setting((2, 1), evictions=True, budget=Budget(endings=1))


class Fault:
    """Replaces functions of the protocol by faulty ones, which get the right one as their first argument."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def plant(self, module: Any, name: str, faulty: Callable[..., Any]) -> None:
        right = getattr(module, name)
        self._patch.setattr(module, name, lambda *arguments, **named: faulty(right, *arguments, **named))

    def is_found_as(self, law: str, setting: Setting) -> str:
        with pytest.raises(Violation, match=law) as violation:
            explore(setting)
        return str(violation.value)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def test_without_a_fault_nothing_is_found() -> None:
    for setting in (ALL_GOES_WELL, BYTES_ARE_LOST, A_SESSION_ENDS):
        assert explore(setting).quiet > 0


def test_a_reader_that_acknowledges_an_inv_and_keeps_its_copy(fault: Fault) -> None:
    def keep(right: Any, page: CachePage, inv: Inv) -> Any:
        return (page, (Send(Ack(inv.request)),)) if inv.to is None else right(page, inv)

    fault.plant(cache, "_invalidate", keep)
    end, *story = fault.is_found_as("single writer", ALL_GOES_WELL).splitlines()
    assert end == (
        "single writer: node 2 may write while [1, 2] may read; "
        "latest value: node 1 may read version 0, the latest is 1"
    )
    assert story[:-4] == [
        "  1  node 1 wants to read",
        "  2  node 1 → home    GetS(request=1.0)",
        "  3  home → node 1    Grant(request=1.0, version=0, write=False, source=ZERO)",
        "  4  node 1 → home    Done(request=1.0, ok=True)",
        "  5  node 2 wants to write",
        "  6  node 2 → home    GetM(request=2.0, held=None)",
        "  7  home → node 1    Inv(request=2.0, to=None, grants=False)",
        "  8  node 1 → home    Ack(request=2.0)",
        "  9  home → node 2    Grant(request=2.0, version=1, write=True, source=ZERO)",
    ]


def test_a_writer_that_is_granted_the_page_before_the_last_ack(fault: Fault) -> None:
    def grant_early(right: Any, page: HomePage, request: Request, message: GetM) -> Any:
        page, orders = right(page, request, message)
        transaction = page.transaction
        if transaction is None or transaction.grant is None:
            return page, orders
        assert request.node is not None
        granted = replace(page, transaction=replace(transaction, grant=None))
        return granted, (*orders, SendTo(request.node, transaction.grant))

    fault.plant(home, "_open_write", grant_early)
    fault.is_found_as("single writer", ALL_GOES_WELL)


def test_a_reader_that_home_forgets(fault: Fault) -> None:
    fault.plant(home, "_close_read", lambda right, page, transaction: page)
    fault.is_found_as("single writer|agreement: home does not know", ALL_GOES_WELL)


def test_a_supplier_that_does_not_retain_what_it_gives_away(fault: Fault) -> None:
    def forget(right: Any, page: CachePage, inv: Inv) -> Any:
        page, effects = right(page, inv)
        return replace(page, retained=None), tuple(effect for effect in effects if effect != Retain())

    fault.plant(cache, "_invalidate", forget)
    fault.is_found_as("of a page that is not there", BYTES_ARE_LOST)


def test_a_retained_copy_that_is_released_with_the_ack(fault: Fault) -> None:
    def release_early(right: Any, page: HomePage, sender: NodeId, ack: Ack) -> Any:
        page, effects = right(page, sender, ack)
        return page, (*effects, SendTo(sender, Release(ack.request)))

    fault.plant(home, "_acknowledged", release_early)
    fault.is_found_as("home is wrong about the owner", BYTES_ARE_LOST)


def test_a_transaction_that_closes_before_its_requester_is_done(fault: Fault) -> None:
    def close_early(right: Any, page: HomePage, transaction: Transaction) -> Any:
        over = transaction.done is None and transaction.grant is None and not transaction.acks
        return right(page, replace(transaction, done=True) if over else transaction)

    fault.plant(home, "_proceed", close_early)
    fault.is_found_as("no row for Received.message=Fetch", ALL_GOES_WELL)


def test_bytes_of_an_old_request_that_count_for_a_new_one(fault: Fault) -> None:
    def any_request(right: Any, page: CachePage, data: Data) -> Any:
        return page.pending is not None and right(page, replace(data, request=page.pending.request))

    fault.plant(cache, "expects", any_request)
    fault.is_found_as("does not answer", Setting((2, 2), budget=Budget(repeats=1)))


def test_a_writer_whose_copy_is_judged_by_what_it_was_when_it_asked(fault: Fault) -> None:
    def as_asked(right: Any, page: HomePage, request: Request, message: GetM) -> Any:
        if message.held is not None and request.node != page.owner:
            assert request.node is not None
            page, message = replace(page, sharers=page.sharers | {request.node}), GetM(message.request, page.version)
        return right(page, request, message)

    fault.plant(home, "_open_write", as_asked)
    fault.is_found_as("home is wrong about the owner", ALL_GOES_WELL)


def test_an_heir_that_has_no_copy(fault: Fault) -> None:
    def say_yes(right: Any, page: CachePage, adopt: Adopt) -> Any:
        return replace(page, state=State.O, version=adopt.version), (Send(Done(adopt.request, ok=True)),)

    fault.plant(cache, "_adopt", say_yes)
    fault.is_found_as("reads version None as 1", ALL_GOES_WELL)


def test_an_owner_that_is_evicted_like_a_reader(fault: Fault) -> None:
    def drop(right: Any, page: CachePage, event: Event) -> Any:
        if isinstance(event, EvictionChosen):
            return replace(page, state=State.I, version=0), (Drop(),)
        return right(page, event)

    fault.plant(cache, "step", drop)
    fault.is_found_as("reads version 0 as 1", ALL_GOES_WELL)


def test_an_owner_whose_processes_write_while_the_bytes_leave(fault: Fault) -> None:
    def unprotected(right: Any, page: CachePage, event: Event) -> Any:
        page, effects = right(page, event)
        return page, tuple(effect for effect in effects if effect != Protect())

    fault.plant(cache, "step", unprotected)
    fault.is_found_as("while processes may still write", ALL_GOES_WELL)


def test_a_page_that_is_taken_out_of_a_scope(fault: Fault) -> None:
    def take(right: Any, page: CachePage, message: Fetch | Inv) -> Any:
        taken, effects = cache.step(replace(page, pin=Pin.NONE, held=False), Received(message))
        return replace(taken, pin=page.pin), effects

    fault.plant(cache, "_defer", take)
    fault.is_found_as("scope: node", ALL_GOES_WELL)


def test_a_broken_transfer_that_nobody_starts_again(fault: Fault) -> None:
    fault.plant(home, "_start_transfer_again", lambda right, page, transaction: (page, ()))
    fault.is_found_as("this can never become quiet", BYTES_ARE_LOST)


def test_a_lost_page_that_is_read_as_zeros(fault: Fault) -> None:
    def zeros(right: Any, page: HomePage, request: Request) -> Any:
        return right(replace(page, lost=False, version=0) if page.lost else page, request)

    fault.plant(home, "_open", zeros)
    fault.is_found_as("latest value", A_SESSION_ENDS)


def test_a_reader_that_is_told_of_a_loss_although_others_have_the_page(fault: Fault) -> None:
    def give_up(right: Any, page: HomePage, transaction: Transaction, node: NodeId) -> Any:
        told = Lost(transaction.opened_by.message.request)
        left = replace(page, transaction=replace(transaction, acks=transaction.acks - {node}, supplier=None))
        return left, (SendTo(NodeId(transaction.opened_by.node or 0), told),)

    fault.plant(home, "_supplier_gone", give_up)
    fault.is_found_as("a reader is told", Setting((1, 1, 1), budget=Budget(endings=1)))


def test_a_dead_node_whose_ack_home_waits_for(fault: Fault) -> None:
    def wait_on(right: Any, page: HomePage, node: NodeId) -> Any:
        return (page, ()) if page.transaction is not None and node in page.transaction.acks else right(page, node)

    fault.plant(home, "_session_ended", wait_on)
    fault.is_found_as("agreement: home waits", A_SESSION_ENDS)


def test_a_requester_that_is_told_of_a_loss_and_does_not_say_done(fault: Fault) -> None:
    def silence(right: Any, page: CachePage, request: RequestId) -> Any:
        page, effects = right(page, request)
        return page, tuple(effect for effect in effects if effect != Send(Done(request, ok=False)))

    fault.plant(cache, "_lost", silence)
    fault.is_found_as("agreement: home waits", A_SESSION_ENDS)


def test_bytes_that_leave_memory_after_the_end_of_a_session(fault: Fault) -> None:
    def stay_open(right: Any, world: World, place: int, to: int | None, lose: bool = False) -> World:
        return world

    fault.plant(cluster, "_close_streams", stay_open)
    fault.is_found_as("reads version 0 as 1", A_SESSION_ENDS)
