"""The table, the recorder, and both ways to write it down."""

from __future__ import annotations

import contextlib
import json

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsm.errors import InvalidArgument
from dsm.verify import FOREVER, History, Kind, Operation, Recorder, Word
from dsm.verify.encoding import from_bytes, from_lines, to_bytes, to_lines

A = Word(1, 2, 8)
EVERY_KIND = [
    Operation(1, Kind.READ, A, seen=5, invoked=1, returned=2),
    Operation(1, Kind.WRITE, A, value=-6, invoked=3, returned=4),
    Operation(2, Kind.COMPARE_AND_SWAP, A, seen=1, value=2, expected=3, invoked=5, returned=6),
    Operation(2, Kind.FETCH_ADD, A, seen=1, value=2, invoked=7, returned=8),
    Operation(2, Kind.FENCE),
    Operation(3, Kind.READ, A, invoked=9, returned=None),
    Operation(4, Kind.WRITE, A, value=1, invoked=9, returned=None),
    Operation(5, Kind.COMPARE_AND_SWAP, A, value=2, expected=3, invoked=9, returned=None),
    Operation(6, Kind.FETCH_ADD, A, value=2, invoked=9, returned=None),
]
HISTORY = History.of(EVERY_KIND, {1: 10, 2: 20}, initial=7)


def same(one: History, other: History) -> bool:
    return list(one) == list(other) and one.hosts == other.hosts and one.initial == other.initial


def test_a_history_gives_back_its_operations() -> None:
    assert list(HISTORY) == EVERY_KIND and len(HISTORY) == len(EVERY_KIND)


def test_a_recorder_writes_the_same_rows() -> None:
    record = Recorder(1, host=10)
    record.read(A, 5, 1, 2)
    record.write(A, -6, 3, 4)
    other = Recorder(2, host=20)
    other.compare_and_swap(A, 3, 2, 1, 5, 6)
    other.fetch_add(A, 2, 1, 7, 8)
    other.fence()
    assert len(record) == 2
    joined = History.joined([record.history(), other.history()])
    assert list(joined) == EVERY_KIND[:5] and joined.hosts == {1: 10, 2: 20}


def test_nothing_joined_is_an_empty_history() -> None:
    assert len(History.joined([])) == 0


def test_histories_that_began_differently_cannot_be_joined() -> None:
    with pytest.raises(InvalidArgument):
        History.joined([HISTORY, History.of([])])


@pytest.mark.parametrize("one", EVERY_KIND, ids=str)
def test_each_operation_reads_as_a_sentence(one: Operation) -> None:
    assert str(one).startswith(f"process {one.process} ") and ("unknown" in str(one) or "something" in str(one)) is (
        not one.known
    )


def test_text_and_bytes_bring_a_history_back() -> None:
    assert same(from_lines(to_lines(HISTORY)), HISTORY)
    assert same(from_lines("\n\n".join(to_lines(HISTORY)).splitlines()), HISTORY)
    assert same(from_bytes(to_bytes(HISTORY)), HISTORY)


@settings(deadline=None)
@given(st.lists(st.integers(-(1 << 63), FOREVER), max_size=5))
def test_every_value_of_64_bits_survives(values: list[int]) -> None:
    history = History.of(Operation(1, Kind.WRITE, A, value=value) for value in values)
    assert same(from_bytes(to_bytes(history)), history) and same(from_lines(to_lines(history)), history)


HEADER: dict[str, object] = {"format": "dsm-history", "version": 1, "initial": 0, "hosts": []}
WRITE: dict[str, object] = {"process": 1, "kind": "write", "word": [1, 0, 0], "value": 1, "invoked": 0, "returned": 1}
BAD_LINES: dict[str, list[object]] = {
    "nothing": [],
    "no header": [WRITE],
    "another version": [{**HEADER, "version": 2}],
    "hosts that are none": [{**HEADER, "hosts": [[1]]}],
    "an initial value that is none": [{**HEADER, "initial": "0"}],
    "not a map": [HEADER, [1]],
    "an unknown kind": [HEADER, {**WRITE, "kind": "erase"}],
    "a word of two numbers": [HEADER, {**WRITE, "word": [1, 0]}],
    "a value beyond 64 bits": [HEADER, {**WRITE, "value": 1 << 63}],
    "a value that is true": [HEADER, {**WRITE, "value": True}],
    "no word": [HEADER, {name: value for name, value in WRITE.items() if name != "word"}],
    "no return": [HEADER, {name: value for name, value in WRITE.items() if name != "returned"}],
    "a return before the invocation": [HEADER, {**WRITE, "invoked": 5}],
    "a fence with a word": [HEADER, {**WRITE, "kind": "fence"}],
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_lines_that_are_no_history_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument):
        from_lines(json.dumps(one) for one in BAD_LINES[name])


def test_a_line_that_is_not_json_is_named() -> None:
    with pytest.raises(InvalidArgument, match="line 2"):
        from_lines([json.dumps(HEADER), "{"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01",
        msgpack.packb({**HEADER}),
        msgpack.packb({**HEADER, "columns": b"123"}),
        msgpack.packb({**HEADER, "columns": bytes(80).replace(b"\0", b"\7")}),
        to_bytes(HISTORY)[:-1],
        to_bytes(HISTORY) + b"\0",
    ],
)
def test_bytes_that_are_no_history_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        from_bytes(data)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_history(data: bytes) -> None:
    with contextlib.suppress(InvalidArgument):
        assert len(from_bytes(data)) >= 0


def test_a_table_of_another_form_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        History(np.zeros((3, 4), dtype=np.int64))


def test_a_fence_has_no_word_and_everything_else_has_one() -> None:
    for wrong in (Operation(1, Kind.FENCE, A), Operation(1, Kind.READ, seen=1)):
        with pytest.raises(InvalidArgument):
            History.of([wrong])


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        History.of([Operation(1, Kind.WRITE, A, value=1 << 63)])
