"""Runs of messages about pages: made, cut into batches, read back, and refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm.core import messages as core
from dsm.core.messages import FromHome, ToHome
from dsm.core.types import NodeId, RegionId, RequestId, Source
from dsm.errors import DsmError, LimitExceeded, ProtocolError
from dsm.limits import RUN_PAGES_MAX, SESSION_BATCH_MESSAGES_MAX
from dsm.wire.rpc import session_pb2 as pb
from dsm.wire.runs import Run, RunBuilder, batches, coalesce, runs_from_home, runs_to_home

requests = st.integers(0, (1 << 64) - 1).map(RequestId)
versions = st.integers(0, (1 << 64) - 1)
nodes = st.integers(1, (1 << 32) - 1).map(NodeId)
pages = st.integers(0, (1 << 64) - 1)
regions = st.integers(1, (1 << 32) - 1).map(RegionId)
counts = st.integers(1, RUN_PAGES_MAX)

to_home: st.SearchStrategy[ToHome] = st.one_of(
    st.builds(core.GetS, requests),
    st.builds(core.GetM, requests, st.none() | versions),
    st.builds(core.Ack, requests),
    st.builds(core.Done, requests, st.booleans()),
    st.builds(core.Put, requests),
)
from_home: st.SearchStrategy[FromHome] = st.one_of(
    st.builds(core.Fetch, requests, nodes),
    st.builds(core.Inv, requests, st.none() | nodes, st.booleans()),
    st.builds(core.Grant, requests, versions, st.booleans(), st.sampled_from(Source)),
    st.builds(core.Release, requests),
    st.builds(core.Adopt, requests, versions),
    st.builds(core.PutAck, requests, st.booleans()),
    st.builds(core.Lost, requests),
)


def over_the_wire(batch: pb.PageBatch) -> pb.PageBatch:
    return pb.PageBatch.FromString(batch.SerializeToString())


@given(st.lists(st.builds(Run, regions, pages, counts, to_home), max_size=5))
def test_what_a_node_says_arrives_as_it_was(runs: list[Run[ToHome]]) -> None:
    assert [run for batch in batches(runs) for run in runs_to_home(over_the_wire(batch))] == runs


@given(st.lists(st.builds(Run, regions, pages, counts, from_home), max_size=5))
def test_what_the_directory_says_arrives_as_it_was(runs: list[Run[FromHome]]) -> None:
    assert [run for batch in batches(runs) for run in runs_from_home(over_the_wire(batch))] == runs


@given(st.lists(st.tuples(st.sampled_from([RegionId(1), RegionId(2)]), st.integers(0, 5), to_home.map(lambda m: m))))
def test_coalescing_keeps_every_message_and_the_order_within_a_page(
    said: list[tuple[RegionId, int, ToHome]],
) -> None:
    unrolled = [
        (run.region, page, run.message) for run in coalesce(said) for page in range(run.first, run.first + run.count)
    ]
    assert unrolled == said


def test_adjacent_pages_with_equal_messages_are_one_run() -> None:
    request = RequestId(1)
    assert coalesce((RegionId(1), page, core.Ack(request)) for page in range(3, 103)) == [
        Run(RegionId(1), 3, 100, core.Ack(request))
    ]


@pytest.mark.parametrize(
    "other",
    [
        (RegionId(2), 1, core.Ack(RequestId(1))),
        (RegionId(1), 2, core.Ack(RequestId(1))),
        (RegionId(1), 0, core.Ack(RequestId(1))),
        (RegionId(1), 1, core.Ack(RequestId(2))),
        (RegionId(1), 1, core.Put(RequestId(1))),
    ],
    ids=["region", "gap", "same page", "request", "message"],
)
def test_anything_else_starts_a_new_run(other: tuple[RegionId, int, ToHome]) -> None:
    said: list[tuple[RegionId, int, ToHome]] = [(RegionId(1), 0, core.Ack(RequestId(1))), other]
    assert len(coalesce(said)) == 2


def test_a_run_is_never_longer_than_the_limit() -> None:
    builder = RunBuilder[ToHome]()
    for start in range(0, 3 * RUN_PAGES_MAX // 2, RUN_PAGES_MAX // 4):
        builder.add(RegionId(1), start, RUN_PAGES_MAX // 4, core.Put(RequestId(1)))
    assert (len(builder), builder.pages) == (2, 3 * RUN_PAGES_MAX // 2)
    assert [run.count for run in builder.take()] == [RUN_PAGES_MAX, RUN_PAGES_MAX // 2]
    assert (len(builder), builder.pages, builder.take()) == (0, 0, [])


def test_many_runs_become_several_batches_within_the_limit() -> None:
    runs: list[Run[ToHome]] = [
        Run(RegionId(1), 2 * page, 1, core.Ack(RequestId(1))) for page in range(SESSION_BATCH_MESSAGES_MAX + 1)
    ]
    cut = list(batches(runs))
    assert [len(batch.runs) for batch in cut] == [SESSION_BATCH_MESSAGES_MAX, 1]
    assert [run for batch in cut for run in runs_to_home(batch)] == runs


def one(**fields: object) -> pb.PageBatch:
    run = pb.PageRun(region=1, first=0, count=1, ack=pb.Ack(request=1))
    run.MergeFrom(pb.PageRun(**fields))  # type: ignore[arg-type]
    return pb.PageBatch(runs=[run])


@pytest.mark.parametrize(
    ("batch", "reader"),
    [
        (pb.PageBatch(runs=[pb.PageRun(region=1, count=1)]), runs_to_home),
        (pb.PageBatch(runs=[pb.PageRun(count=1, ack=pb.Ack())]), runs_to_home),
        (pb.PageBatch(runs=[pb.PageRun(region=1, ack=pb.Ack())]), runs_to_home),
        (one(count=RUN_PAGES_MAX + 1), runs_to_home),
        (one(grant=pb.Grant(source=pb.SOURCE_ZERO)), runs_to_home),
        (one(fetch=pb.Fetch(to=1)), runs_to_home),
        (one(ack=pb.Ack()), runs_from_home),
        (one(get_m=pb.GetM()), runs_from_home),
        (one(fetch=pb.Fetch(request=1)), runs_from_home),
        (one(inv=pb.Inv(request=1, to=0)), runs_from_home),
        (one(grant=pb.Grant(request=1)), runs_from_home),
        (one(grant=pb.Grant.FromString(b"\x20\x09")), runs_from_home),
    ],
)
def test_a_run_that_cannot_be_is_refused(batch: pb.PageBatch, reader: Callable[[pb.PageBatch], object]) -> None:
    with pytest.raises(ProtocolError):
        reader(over_the_wire(batch))


def test_a_batch_with_too_many_runs_is_refused() -> None:
    run = pb.PageRun(region=1, count=1, ack=pb.Ack(request=1))
    with pytest.raises(LimitExceeded):
        runs_to_home(pb.PageBatch(runs=[run] * (SESSION_BATCH_MESSAGES_MAX + 1)))


@given(st.binary(max_size=100))
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        batch = pb.PageBatch.FromString(data)
    except Exception:  # noqa: BLE001  (protobuf's own; gRPC answers it)
        return
    for reader in (runs_to_home, runs_from_home):
        with contextlib.suppress(DsmError):
            reader(batch)
