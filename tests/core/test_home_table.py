"""Home's half of the protocol against its table, and a walk over every pair of a record and a message."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product

import pytest

from dsm.core.events import SessionEnded
from dsm.core.home import HomePage, Outcome, step
from dsm.core.messages import Ack, Done, ToHome
from dsm.core.types import NodeId
from dsm.errors import ProtocolError
from tests.core.home_table import NOT_SAID, PAGES, TABLE, every_record, line, message, rows, sends

SAID = ["GetS", "GetM", "GetM(0)", "GetM(3)", "Put", "Ack", "Done", "Done(no)", "Done(late)", "again", "ends"]


@pytest.mark.parametrize(("page", "said", "becomes", "sent"), rows(TABLE))
def test_each_row_leads_where_the_table_says(page: str, said: str, becomes: str, sent: str) -> None:
    after, effects = step(PAGES[page], *message(PAGES[page], said))
    assert line(after) == (line(PAGES[page]) if becomes == "same" else becomes)
    assert sends(effects) == sent


@pytest.mark.parametrize(("page", "said"), rows(NOT_SAID))
def test_what_nobody_can_have_said_is_an_error(page: str, said: str) -> None:
    with pytest.raises(ProtocolError):
        step(PAGES[page], *message(PAGES[page], said))


def every_pair() -> Iterator[tuple[HomePage, NodeId, ToHome | SessionEnded]]:
    for page, node, said in product(every_record(), range(1, 5), SAID):
        yield page, *message(page, f"{node} {said}")


def taken(page: HomePage, sender: NodeId, said: ToHome | SessionEnded) -> Outcome | None:
    try:
        return step(page, sender, said)
    except ProtocolError:
        return None


def test_every_pair_of_a_record_and_a_message_moves_or_raises_and_leaves_the_record_alone() -> None:
    moves = 0
    for page in every_record():
        before = copy.deepcopy(page)
        outcomes = [taken(page, *message(page, f"{node} {said}")) for node, said in product(range(1, 5), SAID)]
        assert page == before
        assert outcomes == [taken(page, *message(page, f"{node} {said}")) for node, said in product(range(1, 5), SAID)]
        moves += len(outcomes) - outcomes.count(None)
    assert moves > 10_000


def test_the_end_of_a_session_leaves_nothing_of_its_node_in_any_record() -> None:
    for page, node in product(every_record(), map(NodeId, range(1, 5))):
        after, effects = step(page, node, SessionEnded())
        assert node not in after.sharers | {after.owner}
        assert node not in {effect.node for effect in effects}
        assert node not in {request.node for request in after.queue}
        transaction = after.transaction
        if transaction is not None:
            assert node not in transaction.acks | {transaction.supplier, transaction.asked}
            assert transaction.opened_by.node != node or transaction.done is False


def test_home_never_rests_while_somebody_waits() -> None:
    for page, sender, said in every_pair():
        outcome = taken(page, sender, said)
        if outcome is not None and outcome[0].transaction is None:
            after = outcome[0]
            assert not after.queue
            assert after.owner is not None or after.version == 0 or after.lost


def test_an_ack_or_done_that_is_heard_twice_counts_once() -> None:
    for page, sender, said in every_pair():
        outcome = taken(page, sender, said)
        if outcome is not None and isinstance(said, Ack | Done):
            again = taken(outcome[0], sender, said)
            assert again is None or again == (outcome[0], ()), (page, sender, said)
