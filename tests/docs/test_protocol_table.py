"""docs/PROTOCOL.md says what the shipped protocol does."""

from __future__ import annotations

from docs.protocol_table import TARGET, cache_events, cache_records, cache_sections, home_records, home_sections, table
from dsm.core.types import State


def test_the_table_is_what_the_code_does() -> None:
    assert TARGET.read_text() == table(), "run `python docs/protocol_table.py`"


def test_every_state_and_every_record_is_shown_once() -> None:
    assert {page.state for page in cache_records()} == set(State)
    assert len(set(cache_records())) == len(cache_records())
    assert len(set(home_records())) == len(home_records())


def test_every_event_stands_in_every_section_of_a_node() -> None:
    for section in cache_sections():
        told = len(section.rows) + sum(map(len, section.others.values()))
        assert told == len(cache_events()), section.record


def test_every_section_of_home_has_a_row() -> None:
    assert all(section.rows for section in home_sections())
