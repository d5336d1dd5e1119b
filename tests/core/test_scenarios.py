"""The conversations that the protocol consists of, when all goes well."""

from __future__ import annotations

from tests.core.conversation import Conversation, owned_by_1, read_by, said


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
    talk.log.clear()
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


def test_a_writer_that_has_the_bytes_waits_for_the_last_ack() -> None:
    talk = read_by(2)
    talk.hold_back("2 → home")
    talk.writes(3)
    talk.settle()
    assert talk.log[-1] == "1 ⇒ 3     Data #3 version 2"
    assert talk.copies == ""
    talk.let_go("2 → home")
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


def test_a_request_waits_until_both_done_and_ack_of_the_one_before_are_in() -> None:
    """2 reads, and 3 wants to write meanwhile. Done and Ack travel on different channels and overtake each other."""
    for late in ("1 → home", "2 → home"):
        talk = owned_by_1()
        talk.reads(2)
        talk.hold_back("home → 1")
        talk.settle()
        talk.hold_back(late)
        talk.let_go("home → 1")
        talk.writes(3)
        talk.settle()
        assert not [line for line in talk.log if "Inv" in line]
        talk.let_go(late)
        talk.settle()
        assert talk.log[-7:] == said("""
            home → 2  Inv #3
            1 → home  Ack #3
            1 ⇒ 3     Data #3 version 2
            2 → home  Ack #3
            home → 3  Grant #3 version 2, sent
            3 → home  Done #3
            home → 1  Release #3
        """)
        talk.check_quiet()


def test_two_readers_that_both_write_take_turns_and_the_second_needs_the_bytes_after_all() -> None:
    talk = read_by(2, 3)
    talk.writes(3)
    talk.writes(2)
    talk.settle()
    assert talk.log == said("""
        3 → home  GetM #4 holding version 1
        2 → home  GetM #5 holding version 1
        home → 1  Inv #4
        home → 2  Inv #4
        1 → home  Ack #4
        2 → home  Ack #4
        home → 3  Grant #4 version 2, held
        3 → home  Done #4
        home → 3  Inv #5 to 2, granting
        3 → home  Ack #5
        3 ⇒ 2     Data #5 version 3, granting
        2 → home  Done #5
        home → 3  Release #5
    """)
    assert talk.copies == "2:M3"
    talk.check_quiet()


# --- hold time and scopes -----------------------------------------------------------------------------------------


def test_a_page_that_has_just_come_is_used_before_it_is_taken_away() -> None:
    talk = Conversation(hold=True)
    talk.writes(1)
    talk.reads(2)
    talk.writes(3)
    talk.settle()
    assert talk.copies == "1:M1"
    talk.hold_ends(1)
    talk.settle()
    assert talk.copies == "2:S1"
    talk.hold_ends(2)
    talk.settle()
    assert talk.copies == "3:M2"
    assert talk.log == said("""
        1 → home  GetM #1
        2 → home  GetS #2
        3 → home  GetM #3
        home → 1  Grant #1 version 1, zero
        1 → home  Done #1
        home → 1  Fetch #2 to 2
        1 → home  Ack #2
        1 ⇒ 2     Data #2 version 1, granting
        2 → home  Done #2
        home → 1  Inv #3 to 3
        home → 2  Inv #3
        1 → home  Ack #3
        1 ⇒ 3     Data #3 version 2
        2 → home  Ack #3
        home → 3  Grant #3 version 2, sent
        3 → home  Done #3
        home → 1  Release #3
    """)
    talk.check_quiet()


def test_a_page_in_a_reading_scope_may_be_read_elsewhere_but_not_written() -> None:
    talk = owned_by_1()
    talk.pins(1)
    talk.reads(2)
    talk.writes(3)
    talk.settle()
    assert talk.copies == "1:O1"
    talk.unpins(1)
    talk.settle()
    assert talk.copies == "3:M2"
    talk.check_quiet()


def test_a_page_in_a_writing_scope_is_not_even_read_elsewhere() -> None:
    talk = owned_by_1()
    talk.pins(1, write=True)
    talk.reads(2)
    talk.settle()
    assert talk.log == said("""
        2 → home  GetS #2
        home → 1  Fetch #2 to 2
    """)
    talk.unpins(1)
    talk.settle()
    assert talk.copies == "1:O1 2:S1"


def test_a_scope_that_outlasts_the_hold_time_keeps_the_page_until_it_ends() -> None:
    talk = Conversation(hold=True)
    talk.writes(1)
    talk.settle()
    talk.pins(1)
    talk.writes(2)
    talk.settle()
    talk.hold_ends(1)
    talk.settle()
    assert talk.copies == "1:M1"
    talk.unpins(1)
    talk.settle()
    assert talk.copies == "2:M2"
