"""Owners of pages as characters."""

from __future__ import annotations

from rich.text import Text

from dsm.client.records import PageHolders
from dsm.demo.picture import COLUMNS, Live, Plain, fold, legend, letters

NAMES = ["node-0", "node-1"]


def run(first: int, count: int, owner: str | None, *sharers: str, lost: bool = False) -> PageHolders:
    return PageHolders(first, count, owner, sharers, 1, lost)


def test_each_page_is_the_letter_of_its_owner() -> None:
    assert letters([run(0, 2, "node-1"), run(2, 1, "node-0"), run(4, 1, "elsewhere")], 6, NAMES) == "BBA.?."


def test_a_page_with_copies_elsewhere_is_a_small_letter() -> None:
    assert letters([run(0, 1, "node-0", "node-0"), run(1, 1, "node-0", "node-0", "node-1")], 2, NAMES) == "Aa"


def test_a_lost_page_is_an_exclamation_mark_and_an_unowned_one_a_dot() -> None:
    assert letters([run(0, 1, None, lost=True), run(1, 1, None)], 2, NAMES) == "!."


def test_a_picture_has_no_more_rows_than_allowed() -> None:
    assert fold("A" * COLUMNS * 2, 4) == ["A" * COLUMNS] * 2
    assert fold("AAB" * COLUMNS * 4, 4) == ["A" * COLUMNS] * 4
    assert fold("A" * (COLUMNS * 4 + 1), 4)[-1] == "A"
    assert len(fold("A" * (COLUMNS * 4 + 1), 4)) == 3


def test_plain_pictures_become_rarer() -> None:
    written: list[str] = []
    plain = Plain(written.append)
    intervals = []
    for _ in range(3):
        plain.draw("AB..", "1.0 s", NAMES)
        intervals.append(plain.interval)
    assert written == [f"1.0 s   {legend(NAMES)}\n    AB..\n"] * 3
    assert intervals[1:] == [2 * interval for interval in intervals[:-1]]


def test_a_live_picture_has_the_same_text_in_colours() -> None:
    shown: list[Text] = []
    Live(shown.append).draw("AaB.", "1.0 s", NAMES)
    assert shown[0].plain == f"1.0 s   {legend(NAMES)}\n    AaB.\n"
    assert len({str(span.style) for span in shown[0].spans}) == 4
