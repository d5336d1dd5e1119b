"""Records become bytes and the same records again; what is no trace is refused."""

from __future__ import annotations

import io

import msgpack
import pytest

from dsm.core import effects, events, messages
from dsm.core.cache import CachePage, Pending
from dsm.core.effects import Send, SendTo, Supply
from dsm.core.events import Received, SessionEnded, Wanted
from dsm.core.home_page import HomePage, Request, Transaction
from dsm.core.messages import Ack, Data, Fetch, GetM, Grant, Inv
from dsm.core.types import Epoch, NodeId, Pin, RegionId, RequestId, Source, State
from dsm.errors import InvalidArgument
from dsm.trace.records import (
    DIRECTORY,
    FORMAT,
    Began,
    CacheStepped,
    Ended,
    HomeStepped,
    Record,
    Refused,
    RegionBegan,
    RegionEnded,
    SessionBegan,
    SessionOver,
    packer,
    read,
)

REGION, NODE, REQUEST = RegionId(3), NodeId(2), RequestId(1 << 40)
BEGAN = Began(FORMAT, DIRECTORY, "directory", "1.0")
GRANT = Grant(REQUEST, 5, write=True, source=Source.SENT)
DATA = Data(REQUEST, 5, write=True, grants=False)
BUSY = HomePage(
    version=4,
    owner=NODE,
    sharers=frozenset({NodeId(9), NodeId(1)}),
    transaction=Transaction(Request(NODE, GetM(REQUEST, None)), frozenset({NODE}), NODE, GRANT, done=False),
    queue=(Request(NODE, GetM(REQUEST, 3)),),
)
RECORDS: list[Record] = [
    BEGAN,
    SessionBegan("cluster", NODE, Epoch(7)),
    RegionBegan(REGION, BUSY),
    RegionBegan(REGION, CachePage(State.O, 4, Pending(REQUEST, True, 4), Pin.READ, True, Fetch(REQUEST, NODE), DATA)),
    HomeStepped(
        REGION, 0, 4096, NODE, GetM(REQUEST, None), (SendTo(NODE, GRANT), SendTo(NODE, Inv(REQUEST, None, True)))
    ),
    HomeStepped(REGION, 1, 1, NODE, SessionEnded(), ()),
    CacheStepped(REGION, 1 << 28, Received(DATA), (Supply(NODE, DATA), Send(Ack(REQUEST)), effects.Zero())),
    CacheStepped(REGION, 0, Wanted(True, REQUEST), ()),
    Refused(REGION, 0, "no row for 'this'"),
    RegionEnded(REGION),
    SessionOver(NODE, Epoch(7)),
    Ended(),
]


def as_bytes(records: list[Record]) -> bytes:
    return b"".join(map(packer(), records))


def test_what_is_written_is_read_again() -> None:
    assert list(read(io.BytesIO(as_bytes(RECORDS)))) == RECORDS


def test_every_message_event_and_effect_of_the_core_is_known() -> None:
    kinds = [*messages.ToHome.__args__, *messages.FromHome.__args__, Data]
    for kind in kinds:
        message = kind(*range(len(kind.__match_args__)))
        record = CacheStepped(REGION, 0, Received(message), (Send(message),))
        assert list(read(io.BytesIO(as_bytes([BEGAN, record]))))[1] == record
    for kind in [*events.Event.__args__, *effects.CacheEffect.__args__]:
        record = CacheStepped(REGION, 0, kind(*[1] * len(kind.__match_args__)), ())
        assert list(read(io.BytesIO(as_bytes([BEGAN, record]))))[1] == record


def test_a_torn_last_record_is_left_out_wherever_it_is_torn() -> None:
    whole, last = as_bytes(RECORDS[:5]), as_bytes(RECORDS[5:6])
    for length in range(len(last)):
        assert list(read(io.BytesIO(whole + last[:length]))) == RECORDS[:5]


def test_an_empty_file_has_no_records() -> None:
    assert list(read(io.BytesIO())) == []


@pytest.mark.parametrize(
    "content",
    [
        b"no trace",
        b"\xc1",
        as_bytes(RECORDS[1:]),
        as_bytes([BEGAN, BEGAN]),
        as_bytes([Began(FORMAT + 1, DIRECTORY, "", "")]),
        as_bytes([BEGAN]) + msgpack.packb(["NoSuchThing", 1]),
        as_bytes([BEGAN]) + msgpack.packb(["Ended", 1]),
        as_bytes([BEGAN]) + msgpack.packb(["Ack", 1]),
        as_bytes([BEGAN]) + msgpack.packb([[], 1]),
        as_bytes([BEGAN]) + msgpack.packb(["State", "no state"]),
    ],
)
def test_what_is_no_trace_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArgument):
        list(read(io.BytesIO(content)))
