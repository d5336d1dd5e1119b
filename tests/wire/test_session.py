"""What travels on a session besides pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core import messages as core
from dsm.core.membership import Member
from dsm.core.types import Epoch, NodeId, RegionId, RequestId
from dsm.errors import LimitExceeded, ProtocolError
from dsm.limits import REGIONS_PER_NODE_MAX, SESSION_BATCH_MESSAGES_MAX
from dsm.wire.rpc import session_pb2 as pb
from dsm.wire.runs import Run
from dsm.wire.session import (
    Hello,
    MemberJoined,
    MemberLeft,
    Notice,
    RegionGone,
    Welcome,
    decode_from_home,
    decode_to_home,
    encode_from_home,
    encode_hello,
    encode_notice,
    encode_to_home,
)

nodes = st.integers(1, (1 << 32) - 1).map(NodeId)
epochs = st.integers(1, (1 << 64) - 1).map(Epoch)
regions = st.integers(1, (1 << 32) - 1).map(RegionId)
texts = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=255)
members = st.builds(Member, nodes, epochs, texts, texts, texts, texts)
notices: st.SearchStrategy[Notice] = st.one_of(
    st.builds(Welcome, nodes, epochs, texts, st.lists(members, max_size=3).map(tuple)),
    st.builds(MemberJoined, members),
    st.builds(MemberLeft, nodes, epochs),
    st.builds(RegionGone, regions),
)


@given(notices, epochs)
def test_a_notice_arrives_as_it_was(notice: Notice, epoch: Epoch) -> None:
    message = pb.FromHome.FromString(encode_notice(epoch, notice).SerializeToString())
    assert message.epoch == epoch and decode_from_home(message) == notice


@given(st.builds(Hello, texts, texts, texts, texts, st.lists(regions, max_size=5).map(tuple)))
def test_a_hello_arrives_as_it_was(hello: Hello) -> None:
    message = pb.ToHome.FromString(encode_hello(hello).SerializeToString())
    assert message.epoch == 0 and decode_to_home(message) == hello


def test_pages_travel_both_ways_with_the_epoch_in_every_message() -> None:
    up = [Run(RegionId(1), 2 * page, 1, core.Ack(RequestId(1))) for page in range(SESSION_BATCH_MESSAGES_MAX + 1)]
    sent = list(encode_to_home(Epoch(7), list(up)))
    assert [message.epoch for message in sent] == [7, 7]
    assert [run for message in sent for run in _runs(decode_to_home(message))] == up
    down = [Run(RegionId(1), 0, 1, core.Lost(RequestId(1)))]
    (message,) = encode_from_home(Epoch(7), list(down))
    assert message.epoch == 7 and decode_from_home(message) == down


def _runs(said: object) -> list[object]:
    assert isinstance(said, list)
    return said


@pytest.mark.parametrize(
    "message",
    [
        pb.FromHome(epoch=1),
        pb.FromHome(welcome=pb.Welcome(epoch=1)),
        pb.FromHome(welcome=pb.Welcome(node=1)),
        pb.FromHome(welcome=pb.Welcome(node=1, epoch=1, members=[pb.Member(node=1)])),
        pb.FromHome(joined=pb.MemberJoined()),
        pb.FromHome(left=pb.MemberLeft(node=1)),
        pb.FromHome(gone=pb.RegionGone()),
        pb.FromHome(pages=pb.PageBatch(runs=[pb.PageRun()])),
    ],
)
def test_what_the_directory_cannot_say_is_refused(message: pb.FromHome) -> None:
    with pytest.raises(ProtocolError):
        decode_from_home(message)


@pytest.mark.parametrize(
    "hello",
    [
        pb.Hello(page_address="h:1", grpc_address="h:2"),
        pb.Hello(name="x" * 256, page_address="h:1", grpc_address="h:2"),
        pb.Hello(name="a\x1b[2J", page_address="h:1", grpc_address="h:2"),
        pb.Hello(name="a", grpc_address="h:2"),
        pb.Hello(name="a", page_address="h:1"),
        pb.Hello(name="a", page_address="h:1", grpc_address="h" * 301),
        pb.Hello(name="a", page_address="h:1", grpc_address="h:2", held=[0]),
    ],
)
def test_a_hello_that_cannot_be_is_refused(hello: pb.Hello) -> None:
    with pytest.raises(ProtocolError):
        decode_to_home(pb.ToHome(hello=hello))


def test_a_hello_that_holds_too_much_is_refused() -> None:
    held = [1] * (REGIONS_PER_NODE_MAX + 1)
    with pytest.raises(LimitExceeded):
        decode_to_home(pb.ToHome(hello=pb.Hello(name="a", page_address="h:1", grpc_address="h:2", held=held)))


def test_a_message_without_content_is_refused() -> None:
    with pytest.raises(ProtocolError, match="without content"):
        decode_to_home(pb.ToHome(epoch=1))
