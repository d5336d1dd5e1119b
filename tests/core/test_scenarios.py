"""The conversations that the protocol consists of, when all goes well."""

from __future__ import annotations

from inspect import cleandoc

import pytest

from tests.core.conversation import Conversation


def said(text: str) -> list[str]:
    return cleandoc(text).splitlines()


def owned_by_1(nodes: int = 3, hold: bool = False) -> Conversation:
    """Node 1 has written the page; nobody else has it."""
    talk = Conversation(nodes, hold)
    talk.writes(1)
    talk.settle()
    if hold:
        talk.hold_ends(1)
    talk.forget()
    return talk


def read_by(*readers: int, nodes: int = 3) -> Conversation:
    """Node 1 has written the page, and others have read it."""
    talk = owned_by_1(nodes)
    for node in readers:
        talk.reads(node)
        talk.settle()
    talk.forget()
    return talk


def test_a_page_that_nobody_wrote_is_zeros_and_costs_no_bytes() -> None:
    talk = Conversation()
    talk.reads(1)
    talk.reads(2)
    talk.settle()
    assert talk.log == said("""
        1 → home  GetS #1
        2 → home  GetS #2
        home → 1  Grant #1 version 0, zero
        1 → home  Done #1
        home → 2  Grant #2 version 0, zero
        2 → home  Done #2
    """)
    assert talk.copies == "1:S0 2:S0"
    talk.check_quiet()


def test_the_first_writer_takes_the_zeros_from_those_who_read_them() -> None:
    talk = Conversation()
    talk.reads(2)
    talk.settle()
    talk.forget()
    talk.writes(1)
    talk.settle()
    assert talk.log == said("""
        1 → home  GetM #2
        home → 2  Inv #2
        2 → home  Ack #2
        home → 1  Grant #2 version 1, zero
        1 → home  Done #2
    """)
    assert talk.copies == "1:M1"


def test_a_cold_read_takes_three_messages_until_the_bytes_are_there() -> None:
    talk = owned_by_1()
    talk.reads(2)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetS #2
        home → 1  Fetch #2 to 2
        1 → home  Ack #2
        1 ⇒ 2     Data #2 version 1, granting
        2 → home  Done #2
    """)
    assert talk.copies == "1:O1 2:S1"
    talk.check_quiet()


def test_a_writer_takes_over_from_another_and_the_old_owner_keeps_the_bytes_until_then() -> None:
    talk = owned_by_1()
    talk.writes(2)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetM #2
        home → 1  Inv #2 to 2, granting
        1 → home  Ack #2
        1 ⇒ 2     Data #2 version 2, granting
        2 → home  Done #2
        home → 1  Release #2
    """)
    assert talk.copies == "2:M2"
    talk.check_quiet()


def test_a_reader_that_writes_needs_no_bytes() -> None:
    talk = read_by(2, 3)
    talk.writes(2)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetM #4 holding version 1
        home → 1  Inv #4
        home → 3  Inv #4
        1 → home  Ack #4
        3 → home  Ack #4
        home → 2  Grant #4 version 2, held
        2 → home  Done #4
    """)
    assert talk.copies == "2:M2"
    talk.check_quiet()


def test_an_owner_that_writes_again_after_its_readers_dropped_their_copies_asks_them_all_the_same() -> None:
    talk = read_by(2)
    talk.evicts(2)
    talk.writes(1)
    talk.settle()
    assert talk.log == said("""
        1 → home  GetM #4 holding version 1
        home → 2  Inv #4
        2 → home  Ack #4
        home → 1  Grant #4 version 2, held
        1 → home  Done #4
    """)
    assert talk.copies == "1:M2"


def test_a_writer_waits_for_the_bytes_and_for_the_last_ack_in_either_order() -> None:
    talk = read_by(2, nodes=4)
    talk.hold_back("2 → home")
    talk.writes(3)
    talk.settle()
    assert talk.copies == ""
    assert talk.pages[3].pending.arrived == 2  # type: ignore[index, union-attr]
    talk.let_go("2 → home")
    talk.hold_back("2 ⇒ 4")
    talk.settle()
    assert talk.log == said("""
        3 → home  GetM #3
        home → 1  Inv #3 to 3
        home → 2  Inv #3
        1 → home  Ack #3
        1 ⇒ 3     Data #3 version 2
        2 → home  Ack #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3
        home → 1  Release #3
    """)
    assert talk.copies == "3:M2"
    talk.check_quiet()


def test_a_grant_that_is_quicker_than_the_bytes_waits_for_them() -> None:
    talk = read_by(2)
    talk.hold_back("1 ⇒ 3")
    talk.writes(3)
    talk.settle()
    assert talk.log[-1] == "home → 3  Grant #3 version 2, sent"
    assert talk.copies == ""
    talk.let_go("1 ⇒ 3")
    talk.settle()
    assert talk.copies == "3:M2"
    talk.check_quiet()


@pytest.mark.parametrize("late", ["1 → home", "2 → home"])
def test_2_reads_and_3_writes_while_the_read_is_under_way(late: str) -> None:
    talk = owned_by_1()
    talk.hold_back(late) if late == "1 → home" else None
    talk.reads(2)
    talk.settle()
    talk.hold_back(late)
    talk.writes(3)
    talk.settle()
    talk.let_go(late)
    talk.settle()
    assert talk.log[-7:] == said("""
        home → 1  Inv #3 to 3
        home → 2  Inv #3
        1 → home  Ack #3
        1 ⇒ 3     Data #3 version 2
        2 → home  Ack #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3
    """) or talk.log[-8:-1] == said("""
        home → 1  Inv #3 to 3
        home → 2  Inv #3
        1 → home  Ack #3
        1 ⇒ 3     Data #3 version 2
        2 → home  Ack #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3
    """)
