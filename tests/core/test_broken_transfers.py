"""Bytes that are lost or late on a page stream, and requests that are repeated for fear of it."""

from __future__ import annotations

from tests.core.conversation import owned_by_1, read_by, said


def test_a_read_whose_bytes_were_lost_is_served_again() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2")
    talk.reads(2)
    talk.settle()
    talk.lose("1 ⇒ 2")
    talk.waits_too_long(2)
    talk.let_go("1 ⇒ 2")
    talk.settle()
    assert talk.log == said("""
        2 → home  GetS #2
        home → 1  Fetch #2 to 2
        1 → home  Ack #2
        2 → home  GetS #2
        home → 1  Fetch #2 to 2
        1 → home  Ack #2
        1 ⇒ 2     Data #2 version 1, granting
        2 → home  Done #2
    """)
    assert talk.copies == "1:O1 2:S1"
    talk.check_quiet()


def test_a_write_whose_bytes_were_lost_gets_those_that_the_old_owner_retains() -> None:
    talk = read_by(2)
    talk.hold_back("1 ⇒ 3")
    talk.writes(3)
    talk.settle()
    talk.lose("1 ⇒ 3")
    talk.let_go("1 ⇒ 3")
    talk.waits_too_long(3)
    talk.settle()
    assert talk.log[-6:] == said("""
        3 → home  GetM #3
        home → 1  Inv #3 to 3, granting
        1 → home  Ack #3
        1 ⇒ 3     Data #3 version 2
        3 → home  Done #3
        home → 1  Release #3
    """)
    assert talk.copies == "3:M2"
    talk.check_quiet()


def test_bytes_that_come_twice_count_once() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2")
    talk.writes(2)
    talk.settle()
    talk.waits_too_long(2)
    talk.settle()
    talk.let_go("1 ⇒ 2")
    talk.settle()
    assert [line for line in talk.log if "⇒" in line] == 2 * ["1 ⇒ 2     Data #2 version 2, granting"]
    assert talk.copies == "2:M2"
    talk.check_quiet()


def test_bytes_of_a_request_that_is_over_are_thrown_away() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2")
    talk.reads(2)
    talk.settle()
    talk.session_ends(2)
    talk.writes(1)
    talk.reads(2)
    talk.let_go("1 ⇒ 2")
    talk.settle()
    assert talk.copies == "1:O2 2:S2"
    talk.check_quiet()


def test_a_request_that_is_repeated_while_it_waits_is_one_request() -> None:
    talk = owned_by_1()
    talk.pins(1, write=True)
    talk.reads(3)
    talk.reads(2)
    talk.settle()
    talk.waits_too_long(2)
    talk.waits_too_long(3)
    talk.settle()
    talk.unpins(1)
    talk.settle()
    assert len([line for line in talk.log if "Fetch" in line]) == 2
    assert talk.copies == "1:O1 2:S1 3:S1"
    talk.check_quiet()


def test_a_writer_that_has_its_bytes_does_not_ask_for_them_again() -> None:
    talk = read_by(2)
    talk.hold_back("2 → home")
    talk.writes(3)
    talk.settle()
    talk.waits_too_long(3)
    talk.let_go("2 → home")
    talk.settle()
    assert len([line for line in talk.log if "GetM" in line]) == 1
    assert talk.copies == "3:M2"
