"""Records of regions, to protobuf and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core.membership import Member
from dsm.core.types import Epoch, NodeId, RegionId
from dsm.errors import InvalidArgument
from dsm.wire import directory as wire
from dsm.wire.directory import (
    Caller,
    ClusterStatus,
    Description,
    Lifetime,
    PageCounts,
    PageMapRun,
    RegionInfo,
    RegionRequest,
)
from dsm.wire.rpc import directory_pb2 as pb

texts = st.text(max_size=20)
sizes = st.integers(0, (1 << 64) - 1)
small = st.integers(1, (1 << 32) - 1)
shapes = st.none() | st.lists(sizes, max_size=4).map(tuple)
seconds = st.floats(0, 1e9)
infos = st.builds(
    RegionInfo,
    small.map(RegionId),
    texts,
    sizes,
    small,
    st.sampled_from(Lifetime),
    seconds,
    shapes,
    st.none() | texts,
    texts,
    seconds,
)


@given(infos)
def test_a_region_arrives_as_it_was(info: RegionInfo) -> None:
    assert wire.decode_info(pb.RegionInfo.FromString(wire.encode_info(info).SerializeToString())) == info


@given(
    st.builds(
        RegionRequest,
        texts,
        sizes,
        st.none() | small,
        st.sampled_from(Lifetime),
        st.none() | seconds,
        shapes,
        st.none() | texts,
        st.booleans(),
        st.booleans(),
    )
)
def test_a_request_arrives_as_it_was(request: RegionRequest) -> None:
    caller = Caller(NodeId(3), Epoch(4))
    message = wire.encode_region_request(caller, request)
    message = pb.CreateRegionRequest.FromString(message.SerializeToString())
    assert wire.decode_region_request(message) == request
    assert wire.decode_caller(message.caller) == caller


@given(st.builds(PageMapRun, sizes, sizes, st.none() | small.map(NodeId), st.just((NodeId(1),)), sizes, st.booleans()))
def test_a_run_of_a_page_map_arrives_as_it_was(run: PageMapRun) -> None:
    assert wire.decode_map_run(wire.encode_map_run(run)) == run


@given(infos, st.lists(texts, max_size=3).map(tuple))
def test_a_description_arrives_as_it_was(info: RegionInfo, attached: tuple[str, ...]) -> None:
    description = Description(info, attached, PageCounts(1, 2, 3, 4, 5, 6))
    assert wire.decode_description(wire.encode_description(description)) == description


def test_a_status_arrives_as_it_was() -> None:
    member = Member(NodeId(1), Epoch(2), "a", "h:1", "h:2", "0")
    status = ClusterStatus("c", "v", 1.5, (member,), 3, {"received GetS": 7})
    assert wire.decode_status(wire.encode_status(status)) == status


def test_a_lifetime_that_is_none_is_refused_with_those_that_are() -> None:
    assert Lifetime.named("last-detach") is Lifetime.LAST_DETACH
    with pytest.raises(InvalidArgument, match="'unlink', 'last-detach', 'creator'"):
        Lifetime.named("for ever")
    assert wire.decode_region_request(pb.CreateRegionRequest()).lifetime is Lifetime.UNLINK
    with pytest.raises(InvalidArgument, match="lifetime number 9"):
        wire.decode_region_request(pb.CreateRegionRequest.FromString(b"\x28\x09"))


@pytest.mark.parametrize(("size", "page_size", "pages"), [(1, 4096, 1), (4096, 4096, 1), (4097, 4096, 2)])
def test_the_last_page_counts_even_if_partly_used(size: int, page_size: int, pages: int) -> None:
    info = RegionInfo(RegionId(1), "x", size, page_size, Lifetime.UNLINK, 0.0, None, None, "a", 0.0)
    assert info.pages == pages
