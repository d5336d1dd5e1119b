"""A node that is short of memory: a read copy is dropped in silence, an owner first finds an heir."""

from __future__ import annotations

from tests.core.conversation import read_by, said


def test_a_read_copy_is_dropped_in_silence() -> None:
    talk = read_by(2)
    talk.evicts(2)
    talk.settle()
    assert talk.log == []
    assert talk.copies == "1:O1"
    talk.check_quiet()


def test_an_owner_hands_the_page_to_a_reader_before_it_drops_its_copy() -> None:
    talk = read_by(2)
    talk.evicts(1)
    talk.settle()
    assert talk.log == said("""
        1 → home  Put #3
        home → 2  Adopt #3 version 1
        2 → home  Done #3
        home → 1  PutAck #3 taken
    """)
    assert talk.copies == "1:S1 2:O1"
    talk.evicts(1)
    assert talk.copies == "2:O1"
    talk.check_quiet()


def test_a_reader_that_dropped_its_copy_in_silence_is_passed_over() -> None:
    talk = read_by(2, 3)
    talk.evicts(2)
    talk.evicts(1)
    talk.settle()
    assert talk.log == said("""
        1 → home  Put #5
        home → 2  Adopt #5 version 1
        2 → home  Done #5 without it
        home → 3  Adopt #5 version 1
        3 → home  Done #5
        home → 1  PutAck #5 taken
    """)
    assert talk.home.sharers == {1}
    assert talk.copies == "1:S1 3:O1"
    talk.check_quiet()


def test_an_owner_keeps_the_page_if_nobody_can_take_it() -> None:
    talk = read_by(2)
    talk.evicts(2)
    talk.evicts(1)
    talk.settle()
    assert talk.log[-1] == "home → 1  PutAck #4 refused"
    assert talk.copies == "1:O1"
    talk.check_quiet()


def test_an_owner_that_lost_the_page_meanwhile_need_not_be_rid_of_it() -> None:
    talk = read_by(2)
    talk.hold_back("1 → home")
    talk.evicts(1)
    talk.writes(2)
    talk.settle()
    talk.let_go("1 → home")
    talk.settle()
    assert talk.log[-1] == "home → 1  PutAck #3 refused"
    assert talk.copies == "2:M2"
    talk.check_quiet()


def test_an_owner_may_write_again_while_its_put_is_under_way() -> None:
    talk = read_by(2)
    talk.evicts(1)
    talk.writes(1)
    talk.settle()
    assert talk.log == said("""
        1 → home  Put #3
        1 → home  GetM #4 holding version 1
        home → 2  Adopt #3 version 1
        2 → home  Done #3
        home → 1  PutAck #3 taken
        home → 2  Inv #4
        2 → home  Ack #4
        home → 1  Grant #4 version 2, held
        1 → home  Done #4
    """)
    assert talk.copies == "1:M2"
    talk.check_quiet()
