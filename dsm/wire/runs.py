"""Messages about pages to protobuf and back, a run of adjacent pages at a time.

A message about a page is small, and a bulk scan causes thousands a second, so adjacent pages with equal messages travel
as one `Run`, made by `RunBuilder` of single pages or of shorter runs.

Everything that comes in is checked here: enumerations, counts, numbers, and that a node says only what a node may say.
Whether a page exists in its region only the receiver can tell.

Within one page the order of messages is kept, so a run only grows at its end: after [Release 1] [Grant 1], Release 2
starts a new run, although it might well join the first one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from dsm.core import messages as core
from dsm.core.messages import FromHome, ToHome
from dsm.core.types import NodeId, RegionId, RequestId, Source
from dsm.errors import LimitExceeded, ProtocolError
from dsm.limits import RUN_PAGES_MAX, SESSION_BATCH_MESSAGES_MAX
from dsm.wire.generated import session_pb2 as pb

M_co = TypeVar("M_co", bound=ToHome | FromHome, covariant=True)
M = TypeVar("M", bound=ToHome | FromHome)


class Run(NamedTuple, Generic[M_co]):
    """The same message about each of `count` adjacent pages."""

    region: RegionId
    first: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody misses
    message: M_co

    @property
    def end(self) -> int:
        return self.first + self.count


class RunBuilder(Generic[M]):
    """Collects messages in order, as few runs as it can."""

    __slots__ = ("_runs", "pages")

    def __init__(self) -> None:
        self._runs: list[Run[M]] = []
        self.pages = 0
        """How many pages the runs name, which is how many messages they stand for."""

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, region: RegionId, first: int, count: int, message: M) -> None:
        """Append a message about `count` pages, at most RUN_PAGES_MAX, from `first` on."""
        self.pages += count
        if self._runs:
            last = self._runs[-1]
            longer = last.count + count
            if (
                last.first + last.count == first
                and last.region == region
                and longer <= RUN_PAGES_MAX
                and last.message == message
            ):
                self._runs[-1] = Run(region, last.first, longer, message)
                return
        self._runs.append(Run(region, first, count, message))

    def take(self) -> list[Run[M]]:
        """Return the runs, oldest first, and start anew."""
        runs, self._runs, self.pages = self._runs, [], 0
        return runs


def coalesce(messages: Iterable[tuple[RegionId, int, M]]) -> list[Run[M]]:
    """Return (region, page, message) triples as runs."""
    builder = RunBuilder[M]()
    for region, page, message in messages:
        builder.add(region, page, 1, message)
    return builder.take()


def batches(runs: list[Run[M]]) -> Iterator[pb.PageBatch]:
    """Yield the runs as batches within the limits, in order."""
    for start in range(0, len(runs), SESSION_BATCH_MESSAGES_MAX):
        yield pb.PageBatch(runs=map(_encode, runs[start : start + SESSION_BATCH_MESSAGES_MAX]))


def runs_to_home(batch: pb.PageBatch) -> list[Run[ToHome]]:
    """Return what a node said.

    Raises:
        LimitExceeded, ProtocolError: it cannot be; no run of the batch counts.
    """
    return _decode(batch, _DECODE_TO_HOME)


def runs_from_home(batch: pb.PageBatch) -> list[Run[FromHome]]:
    """Return what the directory said.

    Raises:
        LimitExceeded, ProtocolError: it cannot be; no run of the batch counts.
    """
    return _decode(batch, _DECODE_FROM_HOME)


def _encode(run: Run[ToHome | FromHome]) -> pb.PageRun:
    name, encode = _ENCODE[type(run.message)]
    field: Any = {name: encode(run.message)}
    return pb.PageRun(region=run.region, first=run.first, count=run.count, **field)


def _decode(batch: pb.PageBatch, decoders: dict[str | None, Callable[[pb.PageRun], M]]) -> list[Run[M]]:
    if len(batch.runs) > SESSION_BATCH_MESSAGES_MAX:
        raise LimitExceeded(f"{len(batch.runs):,} runs in one message, of {SESSION_BATCH_MESSAGES_MAX:,} at most")
    return [_decode_run(run, decoders) for run in batch.runs]


def _decode_run(run: pb.PageRun, decoders: dict[str | None, Callable[[pb.PageRun], M]]) -> Run[M]:
    region, count, kind = run.region, run.count, run.WhichOneof("message")
    decoder = decoders.get(kind)
    if decoder is None:
        raise ProtocolError(f"a run with the message {kind} does not belong on this side of a session")
    if region == 0 or not 1 <= count <= RUN_PAGES_MAX:
        raise ProtocolError(
            f"a run of {count:,} pages in region {region}, of 1 to {RUN_PAGES_MAX:,} in a region from 1 up"
        )
    return Run(RegionId(region), run.first, count, decoder(run))


def _node(number: int) -> NodeId:
    if number == 0:
        raise ProtocolError("a message names node 0; nodes count from 1 up")
    return NodeId(number)


def _request(message: Any) -> RequestId:
    return RequestId(message.request)


def _decode_get_m(run: pb.PageRun) -> core.GetM:
    message = run.get_m
    return core.GetM(_request(message), message.held if message.HasField("held") else None)


def _decode_inv(run: pb.PageRun) -> core.Inv:
    message = run.inv
    return core.Inv(_request(message), _node(message.to) if message.HasField("to") else None, message.grants)


def _decode_grant(run: pb.PageRun) -> core.Grant:
    message = run.grant
    source = _SOURCES.get(message.source)
    if source is None:
        raise ProtocolError(f"a Grant with source {message.source}, which is none")
    return core.Grant(_request(message), message.version, message.write, source)


_SOURCES = {pb.SOURCE_ZERO: Source.ZERO, pb.SOURCE_HELD: Source.HELD, pb.SOURCE_SENT: Source.SENT}
_SOURCE_NUMBERS = {source: number for number, source in _SOURCES.items()}

_DECODE_TO_HOME: dict[str | None, Callable[[pb.PageRun], ToHome]] = {
    "get_s": lambda run: core.GetS(_request(run.get_s)),
    "get_m": _decode_get_m,
    "ack": lambda run: core.Ack(_request(run.ack)),
    "done": lambda run: core.Done(_request(run.done), run.done.ok),
    "put": lambda run: core.Put(_request(run.put)),
}

_DECODE_FROM_HOME: dict[str | None, Callable[[pb.PageRun], FromHome]] = {
    "fetch": lambda run: core.Fetch(_request(run.fetch), _node(run.fetch.to)),
    "inv": _decode_inv,
    "grant": _decode_grant,
    "release": lambda run: core.Release(_request(run.release)),
    "adopt": lambda run: core.Adopt(_request(run.adopt), run.adopt.version),
    "put_ack": lambda run: core.PutAck(_request(run.put_ack), run.put_ack.taken),
    "lost": lambda run: core.Lost(_request(run.lost)),
}

_ENCODE: dict[type, tuple[str, Callable[[Any], Any]]] = {
    core.GetS: ("get_s", lambda message: pb.GetS(request=message.request)),
    core.GetM: ("get_m", lambda message: pb.GetM(request=message.request, held=message.held)),
    core.Ack: ("ack", lambda message: pb.Ack(request=message.request)),
    core.Done: ("done", lambda message: pb.Done(request=message.request, ok=message.ok)),
    core.Put: ("put", lambda message: pb.Put(request=message.request)),
    core.Fetch: ("fetch", lambda message: pb.Fetch(request=message.request, to=message.to)),
    core.Inv: ("inv", lambda message: pb.Inv(request=message.request, to=message.to, grants=message.grants)),
    core.Grant: (
        "grant",
        lambda message: pb.Grant(
            request=message.request,
            version=message.version,
            write=message.write,
            source=_SOURCE_NUMBERS[message.source],
        ),
    ),
    core.Release: ("release", lambda message: pb.Release(request=message.request)),
    core.Adopt: ("adopt", lambda message: pb.Adopt(request=message.request, version=message.version)),
    core.PutAck: ("put_ack", lambda message: pb.PutAck(request=message.request, taken=message.taken)),
    core.Lost: ("lost", lambda message: pb.Lost(request=message.request)),
}
