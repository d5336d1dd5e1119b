"""What becomes of a page when the session of a node ends, in every role that a node can have."""

from __future__ import annotations

from tests.core.conversation import Conversation, owned_by_1, read_by, said


def test_a_reader_takes_over_from_an_owner_that_is_gone() -> None:
    talk = read_by(2, 3)
    talk.session_ends(1)
    talk.settle()
    assert talk.log == said("""
        home → 2  Adopt #0 version 1
        2 → home  Done #0
    """)
    assert talk.copies == "2:O1 3:S1"
    talk.check_quiet()


def test_a_page_that_only_a_dead_node_had_is_reported_as_lost_and_never_read_as_zeros() -> None:
    talk = owned_by_1()
    talk.session_ends(1)
    talk.reads(2)
    talk.writes(3)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetS #2
        3 → home  GetM #3
        home → 2  Lost #2
        2 → home  Done #2 without it
        home → 3  Lost #3
        3 → home  Done #3 without it
    """)
    assert talk.failed == [2, 3]
    assert talk.copies == ""
    talk.check_quiet()


def test_a_page_whose_readers_all_dropped_their_copies_is_lost_with_its_owner() -> None:
    talk = read_by(2, 3)
    talk.evicts(2)
    talk.evicts(3)
    talk.session_ends(1)
    talk.settle()
    assert talk.home.lost
    talk.check_quiet()


def test_a_page_of_zeros_outlives_all_who_read_it() -> None:
    talk = Conversation()
    talk.reads(1)
    talk.settle()
    talk.session_ends(1)
    talk.reads(2)
    talk.settle()
    assert talk.copies == "2:S0"
    talk.check_quiet()


def test_a_node_that_comes_back_is_a_stranger() -> None:
    talk = owned_by_1()
    talk.pins(1, write=True)
    talk.reads(2)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    talk.reads(1)
    talk.settle()
    assert talk.failed == [2, 1]
    talk.check_quiet()


# --- the supplier is gone -----------------------------------------------------------------------------------------


def test_a_read_begins_again_with_the_reader_that_took_over() -> None:
    talk = read_by(3)
    talk.hold_back("home → 1")
    talk.reads(2)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetS #3
        home → 3  Adopt #0 version 1
        3 → home  Done #0
        home → 3  Fetch #3 to 2
        3 → home  Ack #3
        3 ⇒ 2     Data #3 version 1, granting
        2 → home  Done #3
    """)
    assert talk.failed == []
    assert talk.copies == "2:S1 3:O1"
    talk.check_quiet()


def test_a_read_whose_bytes_had_left_before_their_sender_was_gone_is_over_and_its_reader_takes_over() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2", "home → 2")
    talk.reads(2)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    assert talk.home.lost
    talk.let_go("1 ⇒ 2")
    talk.settle()
    talk.let_go("home → 2")
    talk.settle()
    assert talk.log[-5:] == said("""
        1 ⇒ 2     Data #2 version 1, granting
        2 → home  Done #2
        home → 2  Lost #2
        home → 2  Adopt #0 version 1
        2 → home  Done #0
    """)
    assert talk.failed == []
    assert talk.copies == "2:O1"
    talk.check_quiet()


def test_a_read_that_was_to_begin_again_need_not_if_its_bytes_come_meanwhile() -> None:
    talk = read_by(3)
    talk.hold_back("1 ⇒ 2", "home → 3")
    talk.reads(2)
    talk.settle()
    talk.session_ends(1)
    talk.let_go("1 ⇒ 2")
    talk.settle()
    talk.let_go("home → 3")
    talk.settle()
    assert talk.log[-3:] == said("""
        2 → home  Done #3
        home → 3  Adopt #0 version 1
        3 → home  Done #0
    """)
    assert talk.copies == "2:S1 3:O1"
    talk.check_quiet()


def test_a_write_whose_bytes_are_gone_with_their_sender_loses_the_page() -> None:
    talk = read_by(2)
    talk.hold_back("home → 1")
    talk.writes(3)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    assert talk.log == said("""
        3 → home  GetM #3
        home → 2  Inv #3
        2 → home  Ack #3
        home → 3  Lost #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3 without it
    """)
    assert talk.failed == [3]
    assert talk.home.lost
    talk.check_quiet()


def test_a_write_whose_bytes_came_before_their_sender_was_gone_goes_on() -> None:
    talk = read_by(2)
    talk.hold_back("2 → home")
    talk.writes(3)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    talk.let_go("2 → home")
    talk.settle()
    assert talk.log[-4:] == said("""
        home → 3  Lost #3
        2 → home  Ack #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3
    """)
    assert talk.copies == "3:M2"
    talk.check_quiet()


def test_a_writer_that_is_done_does_not_need_its_supplier_any_more() -> None:
    talk = owned_by_1()
    talk.hold_back("1 → home")
    talk.writes(2)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    assert talk.copies == "2:M2"
    assert talk.home.owner == 2
    talk.check_quiet()


def test_bytes_that_are_in_memory_when_the_session_ends_do_not_leave_as_zeros() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2", "home → 2")
    talk.reads(2)
    talk.settle()
    talk.session_ends(1)
    talk.let_go("1 ⇒ 2")
    talk.settle()  # the conversation itself compares the bytes with the version that they are said to have
    assert talk.page(2).version == 1


# --- the requester is gone ----------------------------------------------------------------------------------------


def test_a_reader_that_is_gone_leaves_the_page_as_it_is() -> None:
    talk = owned_by_1()
    talk.hold_back("home → 1")
    talk.reads(2)
    talk.writes(3)
    talk.settle()
    talk.session_ends(2)
    talk.let_go("home → 1")
    talk.settle()
    assert talk.copies == "3:M2"
    talk.check_quiet()


def test_a_writer_that_is_gone_before_it_is_done_takes_the_page_with_it() -> None:
    talk = owned_by_1()
    talk.hold_back("1 ⇒ 2")
    talk.writes(2)
    talk.settle()
    talk.session_ends(2)
    talk.settle()
    assert talk.log[-1] == "home → 1  Release #2"
    assert talk.home.lost
    assert talk.copies == ""
    talk.let_go("1 ⇒ 2")
    talk.settle()
    talk.check_quiet()


def test_a_node_that_is_gone_waits_for_nothing() -> None:
    talk = owned_by_1()
    talk.pins(1, write=True)
    talk.reads(2)
    talk.writes(3)
    talk.settle()
    talk.session_ends(3)
    talk.unpins(1)
    talk.settle()
    assert talk.copies == "1:O1 2:S1"
    talk.check_quiet()


# --- somebody else is gone ----------------------------------------------------------------------------------------


def test_nobody_waits_for_the_ack_of_a_reader_that_is_gone() -> None:
    talk = read_by(2, 3)
    talk.hold_back("home → 3")
    talk.writes(2)
    talk.settle()
    assert talk.copies == "2:S1 3:S1"
    talk.session_ends(3)
    talk.settle()
    assert talk.copies == "2:M2"
    talk.check_quiet()


def test_an_owner_that_has_to_drop_its_copy_for_a_reader_that_writes_is_not_needed() -> None:
    talk = read_by(2)
    talk.hold_back("home → 1")
    talk.writes(2)
    talk.settle()
    talk.session_ends(1)
    talk.settle()
    assert talk.copies == "2:M2"
    talk.check_quiet()


# --- while the page changes hands ---------------------------------------------------------------------------------


def test_the_next_reader_is_asked_if_the_one_that_was_asked_is_gone() -> None:
    talk = read_by(2, 3)
    talk.hold_back("home → 2")
    talk.evicts(1)
    talk.settle()
    talk.session_ends(2)
    talk.settle()
    assert talk.copies == "1:S1 3:O1"
    talk.check_quiet()


def test_an_owner_that_is_gone_while_its_heir_is_asked_is_not_told() -> None:
    talk = read_by(2)
    talk.hold_back("home → 2")
    talk.evicts(1)
    talk.settle()
    talk.session_ends(1)
    talk.let_go("home → 2")
    talk.settle()
    assert talk.log == said("""
        1 → home  Put #3
        home → 2  Adopt #3 version 1
        2 → home  Done #3
    """)
    assert talk.copies == "2:O1"
    talk.check_quiet()


def test_a_page_is_lost_if_its_owner_is_gone_and_its_last_heir_has_no_copy() -> None:
    talk = read_by(2)
    talk.evicts(2)
    talk.hold_back("home → 2")
    talk.evicts(1)
    talk.settle()
    talk.session_ends(1)
    talk.let_go("home → 2")
    talk.settle()
    assert talk.home.lost
    talk.check_quiet()


def test_a_reader_that_is_gone_is_not_asked() -> None:
    talk = read_by(2, 3)
    talk.hold_back("home → 2")
    talk.evicts(1)
    talk.settle()
    talk.session_ends(3)
    talk.let_go("home → 2")
    talk.settle()
    assert talk.home.sharers == {1}
    assert talk.copies == "1:S1 2:O1"
    talk.check_quiet()
