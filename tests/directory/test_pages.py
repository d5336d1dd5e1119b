"""Home records in runs: one step for a stretch of equal records, and maps of who has what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core.effects import SendTo
from dsm.core.home import HomePage, step
from dsm.core.messages import Done, FromHome, GetM, GetS, Grant, Inv, ToHome
from dsm.core.types import NodeId, RegionId, RequestId, Source
from dsm.directory.pages import Pages
from dsm.wire.directory import PageMapRun
from dsm.wire.runs import Run

REGION = RegionId(1)
PAGES = 24
A, B = NodeId(1), NodeId(2)


class Story:
    """A table of pages, and everything that went out, page by page."""

    def __init__(self, pages: int = PAGES, written: bool = False) -> None:
        self.sent: list[tuple[int, SendTo]] = []
        self.calls = 0
        self.marked: list[int] = []
        self.pages = Pages(self._send, lambda _: self.marked.append(len(self.sent)))
        self.pages.add(REGION, pages, written)

    def _send(self, node: NodeId, region: RegionId, first: int, count: int, message: FromHome) -> None:
        assert region == REGION
        self.calls += 1
        self.sent += [(page, SendTo(node, message)) for page in range(first, first + count)]

    def say(self, node: NodeId, first: int, count: int, message: ToHome) -> None:
        self.pages.receive(node, Run(REGION, first, count, message))

    def write(self, node: NodeId, first: int, count: int, request: int) -> None:
        self.say(node, first, count, GetM(RequestId(request), None))
        self.say(node, first, count, Done(RequestId(request), ok=True))


runs = st.tuples(st.integers(0, PAGES - 1), st.integers(1, PAGES))


@given(st.lists(st.tuples(runs, st.booleans(), st.booleans()), max_size=8))
def test_a_run_does_to_every_page_what_a_message_of_its_own_would(
    requests: list[tuple[tuple[int, int], bool, bool]],
) -> None:
    story = Story()
    records = dict.fromkeys(range(PAGES), HomePage())
    expected: dict[int, list[SendTo]] = {page: [] for page in range(PAGES)}
    for number, ((first, count), write, finish) in enumerate(requests, start=1):
        node, request = NodeId(number), RequestId(number)
        said: list[ToHome] = [GetM(request, None) if write else GetS(request)]
        said += [Done(request, ok=False)] if finish and number == 1 else []
        for message in said:
            stretch = range(first, min(first + count, PAGES))
            for page in stretch:
                records[page], effects = step(records[page], node, message)
                expected[page] += effects
            story.say(node, first, len(stretch), message)
    assert {page: [sent for at, sent in story.sent if at == page] for page in range(PAGES)} == expected


def test_a_scan_costs_one_message_for_each_stretch_in_the_same_hands() -> None:
    story = Story(pages=4096)
    story.write(A, 0, 4096, 1)
    story.calls = 0
    story.say(B, 0, 4096, GetS(RequestId(2)))
    assert story.calls == 1 and len(story.sent) == 2 * 4096


def test_a_region_is_marked_written_once_and_before_the_first_write_grant() -> None:
    story = Story()
    story.say(A, 0, 4, GetS(RequestId(1)))
    assert story.marked == []
    sent = len(story.sent)
    story.write(A, 8, 4, 2)
    story.write(A, 12, 4, 3)
    assert story.marked == [sent]
    assert story.sent[sent] == (8, SendTo(A, Grant(RequestId(2), 1, write=True, source=Source.ZERO)))


def test_a_grant_that_waits_for_acknowledgements_marks_the_region_in_time_too() -> None:
    story = Story()
    story.say(A, 0, 1, GetS(RequestId(1)))
    story.say(A, 0, 1, Done(RequestId(1), ok=True))
    story.say(B, 0, 1, GetM(RequestId(2), None))
    assert story.sent[-1] == (0, SendTo(A, Inv(RequestId(2), to=None, grants=False)))
    assert story.marked == []


def test_transactions_are_counted_by_the_page() -> None:
    story = Story()
    story.write(A, 0, 10, 1)
    story.say(B, 0, 5, GetM(RequestId(2), None))
    assert story.pages.counters["transactions"] == 15
    assert story.pages.counters["received GetM"] == 15 and story.pages.counters["sent Grant"] == 10


def test_the_end_of_a_session_reaches_every_record_that_names_it() -> None:
    story = Story()
    story.write(A, 0, 10, 1)
    story.say(B, 5, 1, GetS(RequestId(2)))
    story.pages.session_ended(A)
    counts = story.pages.counts(REGION)
    assert (counts.owned, counts.lost, counts.touched) == (0, 10, 10)
    before = list(story.sent)
    story.pages.session_ended(A)
    assert story.sent == before


def test_counts_tell_what_pages_are() -> None:
    story = Story()
    story.write(A, 0, 10, 1)
    story.say(B, 20, 2, GetS(RequestId(2)))
    story.say(B, 20, 1, Done(RequestId(2), ok=True))
    counts = story.pages.counts(REGION)
    assert (counts.all, counts.touched, counts.owned, counts.shared, counts.busy) == (24, 12, 10, 1, 1)


def test_a_map_tells_who_has_what_and_leaves_out_the_rest() -> None:
    story = Story()
    story.write(A, 2, 3, 1)
    story.write(A, 5, 3, 2)
    story.write(B, 8, 1, 3)
    assert story.pages.map(REGION, 0, 24) == (
        [PageMapRun(2, 6, A, (), 1, lost=False), PageMapRun(8, 1, B, (), 1, lost=False)],
        24,
    )
    assert story.pages.map(REGION, 4, 2) == ([PageMapRun(4, 2, A, (), 1, lost=False)], 6)
    assert story.pages.map(REGION, 9, 15) == ([], 24)
    assert story.pages.map(REGION, 0, 2) == ([], 2)


def test_a_map_tells_which_pages_are_under_way() -> None:
    story = Story()
    story.write(A, 2, 3, 1)
    story.say(B, 3, 1, GetS(RequestId(9)))
    assert [(run.first, run.count, run.busy) for run in story.pages.map(REGION, 0, 24)[0]] == [
        (2, 1, False),
        (3, 1, True),
        (4, 1, False),
    ]


def test_a_map_of_an_unreported_region_is_all_lost() -> None:
    story = Story(written=True)
    story.say(A, 5, 1, GetS(RequestId(1)))
    story.say(A, 5, 1, Done(RequestId(1), ok=False))
    assert story.pages.map(REGION, 0, 24) == ([PageMapRun(0, 24, None, (), 0, lost=True)], 24)
    assert story.pages.counts(REGION).lost == 24


def test_a_long_map_comes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.directory.pages.PAGE_MAP_ITEMS_MAX", 100)
    pages = 210
    story = Story(pages=pages)
    for page in range(pages):
        story.write(A if page % 2 else B, page, 1, 1)
    found: list[PageMapRun] = []
    following, pieces = 0, 0
    while following < pages:
        piece, following = story.pages.map(REGION, following, pages - following)
        assert len(piece) <= 100
        found += piece
        pieces += 1
    assert pieces == 3 and [run.first for run in found] == list(range(pages))
