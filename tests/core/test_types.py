"""The small types."""

from __future__ import annotations

from dsm.core.types import Epoch, State, first_request


def test_requests_of_different_sessions_never_have_the_same_number() -> None:
    assert first_request(Epoch(1)) > 0
    assert first_request(Epoch(2)) - first_request(Epoch(1)) == 1 << 32


def test_a_state_says_what_processes_may_do() -> None:
    assert {state.name for state in State if state.allows(write=False)} == {"S", "O", "M"}
    assert {state.name for state in State if state.allows(write=True)} == {"M"}
    assert {state.name for state in State if state.owner} == {"O", "M"}
