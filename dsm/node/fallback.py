"""Page bytes over gRPC, for when the page stream to a node cannot be opened; and the gRPC service of a node.

It costs several copies more, but goes through whatever lets the cluster's gRPC through. Frames wait in a bounded queue;
one that cannot be sent is lost, as on a page stream that breaks: the requester asks again, and the next attempt tries
the page stream first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc

from dsm.core.cache import CachePage
from dsm.core.membership import Member
from dsm.core.types import RegionId
from dsm.errors import DsmError
from dsm.limits import FALLBACK_QUEUE_FRAMES_MAX, PAGE_MAP_ITEMS_MAX, RUN_PAGES_MAX
from dsm.node import stream
from dsm.node.region import Region
from dsm.wire import rpc
from dsm.wire.calls import NodeCalls
from dsm.wire.node import (
    Holder,
    PageFrame,
    PageReceipt,
    Record,
    RecordRun,
    decode_frame,
    encode_frame,
    encode_holders,
    encode_receipt,
    encode_records,
)

log = logging.getLogger(__name__)


class FallbackPeer:
    """The way to one session of one other node, over gRPC. `lost` once it failed."""

    def __init__(self, host: stream.Host, member: Member) -> None:
        self._host = host
        self._member = member
        self._queue: asyncio.Queue[PageFrame] = asyncio.Queue(FALLBACK_QUEUE_FRAMES_MAX)
        self.lost = False
        self._sending = host.spawn(self._run(), f"gRPC page frames to {member.name}")

    def send(self, frame: stream.Frame) -> None:
        with suppress(asyncio.QueueFull, OSError):  # the latter if the region has gone meanwhile
            self._queue.put_nowait(self._addressed(frame))

    def close(self) -> None:
        self._sending.cancel()

    def _addressed(self, frame: stream.Frame) -> PageFrame:
        data = frame.data
        return PageFrame(
            frame.region,
            frame.first,
            frame.count,
            data.request,
            data.version,
            data.write,
            data.grants,
            self._host.node_id,
            self._host.epoch,
            self._member.epoch,
            frame.content(),
        )

    async def _run(self) -> None:
        try:
            async with rpc.channel(self._member.grpc_address) as channel:
                call = NodeCalls(channel).pages()
                while True:
                    await call.write(encode_frame(await self._queue.get()))
                    await call.read()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            log.warning("no gRPC page frames to node %s either: %s", self._member.name, error)
        finally:
            self.lost = True


class NodeService:
    """What this node answers other nodes over gRPC."""

    def __init__(self, host: stream.Host) -> None:
        self._host = host

    async def Pages(self, requests: AsyncIterator[Any], context: rpc.PagesContext) -> None:  # noqa: N802
        """Receive page frames; each gets a receipt."""
        async for fields in requests:
            try:
                frame = decode_frame(fields)
                taken = self._take(frame)
            except DsmError as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            await context.write(encode_receipt(PageReceipt(frame.request, taken)))

    def _take(self, frame: PageFrame) -> bool:
        known = self._host.member(frame.sender)
        if known is not None and frame.sender_epoch < known.epoch:
            return False
        header = [
            frame.region,
            frame.first,
            frame.count,
            frame.request,
            frame.version,
            frame.write,
            frame.grants,
            frame.to_epoch,
            len(frame.data),
        ]
        arrival = stream.incoming_frame(self._host, header, abort=lambda: None)
        arrival.place[:] = frame.data
        arrival.complete()
        return arrival.region is not None

    async def Holders(self, request: Any, _context: rpc.Context) -> Any:  # noqa: N802
        """Tell which processes of this host have pages of a run in a scope."""
        region = self._host.regions.get(RegionId(request.region))
        return encode_holders([] if region is None else holders(region, request.first, request.count))

    async def Records(self, request: Any, _context: rpc.Context) -> Any:  # noqa: N802
        """Tell what this node knows of a run of pages."""
        region = self._host.regions.get(RegionId(request.region))
        end = request.first + request.count
        return encode_records(*([], end) if region is None else records(region, request.first, end))


def holders(region: Region, first: int, count: int) -> list[Holder]:
    """Return the processes of this host that have a page of the run in a scope."""
    return [
        Holder(index, scope.attachment.pid, scope.attachment.command, scope.write, region.now() - scope.since)
        for index, scope in region.locks.holders(first, min(count, RUN_PAGES_MAX))
    ]


def records(region: Region, first: int, end: int) -> tuple[list[RecordRun], int]:
    """Return what this node knows of the pages from first to end, and the first page that no longer fits."""
    runs: list[RecordRun] = []
    for index in sorted(page for page in region.pages if first <= page < end):
        record = _record(region.pages[index])
        last = runs[-1] if runs else None
        if last is not None and last.first + last.count == index and last.record == record:
            runs[-1] = RecordRun(last.first, last.count + 1, record)
        elif len(runs) < PAGE_MAP_ITEMS_MAX:
            runs.append(RecordRun(index, 1, record))
        else:
            return runs, index
    return runs, end


def _record(page: CachePage) -> Record:
    return Record(
        page.state,
        page.version,
        page.pin,
        page.pending is not None or page.deferred is not None,
        page.putting,
        (page.retained.request, page.retained.version) if page.retained is not None else None,
    )
