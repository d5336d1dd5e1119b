"""The unary calls of the directory and of a node, as typed coroutines over plain records.

Each has a deadline and raises an error of our tree. After an `Unavailable` that is not `definite` the call may
have happened; the caller asks again what is the case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from dsm.core.types import RegionId
from dsm.errors import DirectoryUnavailable, Unavailable
from dsm.limits import DIRECTORY_CALL_SECONDS, DIRECTORY_CALLS_MAX
from dsm.wire import directory as wire
from dsm.wire.directory import Caller, ClusterStatus, Description, PageMapRun, RegionInfo, RegionRequest
from dsm.wire.failures import error_of
from dsm.wire.generated import directory_pb2 as pb
from dsm.wire.generated import node_pb2
from dsm.wire.node import Holder, RecordRun, decode_holders, decode_records
from dsm.wire.rpc import PagesCall, directory_stub, node_stub

T = TypeVar("T")


async def _answer(call: Awaitable[T], what: str, unreachable: type[Unavailable] = DirectoryUnavailable) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as failure:
        raise error_of(failure, what, unreachable) from failure


class DirectoryCalls:
    """What a node asks of the directory about regions. Does not own the channel.

    Calls beyond DIRECTORY_CALLS_MAX wait for their turn: of more than a connection may have, the server refuses some.
    """

    def __init__(self, channel: grpc.aio.Channel, timeout: float = DIRECTORY_CALL_SECONDS) -> None:
        self._stub = directory_stub(channel)
        self._timeout = timeout
        self._room = asyncio.Semaphore(DIRECTORY_CALLS_MAX)

    async def create(self, caller: Caller, request: RegionRequest) -> tuple[RegionInfo, bool]:
        """Return the region, and whether it is new."""
        message = wire.encode_region_request(caller, request)
        what = f"create region {request.name!r} at the directory"
        reply = await self._ask(self._stub.CreateRegion, message, what)
        return wire.decode_info(reply.info), bool(reply.created)

    async def open(self, caller: Caller, name: str) -> RegionInfo:
        """Return the region and count the caller as attached."""
        message = pb.OpenRegionRequest(caller=wire.encode_caller(caller), name=name)
        what = f"open region {name!r} at the directory"
        reply = await self._ask(self._stub.OpenRegion, message, what)
        return wire.decode_info(reply.info)

    async def close(self, caller: Caller, region: RegionId) -> None:
        """Count the caller as detached; harmless if it is, or if the region is gone."""
        message = pb.CloseRegionRequest(caller=wire.encode_caller(caller), region=region)
        await self._ask(self._stub.CloseRegion, message, f"close region {region} at the directory")

    async def unlink(self, caller: Caller, target: str | RegionId) -> None:
        """Remove a name; the region goes when nobody has it attached. By number where the name may be another's."""
        message = pb.UnlinkRegionRequest(caller=wire.encode_caller(caller))
        if isinstance(target, str):
            message.name = target
        else:
            message.region = target
        what = f"unlink region {target!r} at the directory"
        await self._ask(self._stub.UnlinkRegion, message, what)

    async def regions(self) -> list[RegionInfo]:
        """Return every region that has a name, in the order of names."""
        async with self._room:
            return await _answer(self._regions(), "list the regions at the directory")

    async def _regions(self) -> list[RegionInfo]:
        replies = self._stub.ListRegions(pb.ListRegionsRequest(), timeout=self._timeout)
        return [wire.decode_info(info) async for reply in replies for info in reply.regions]

    async def describe(self, name: str) -> Description:
        message = pb.DescribeRegionRequest(name=name)
        what = f"describe region {name!r} at the directory"
        return wire.decode_description(await self._ask(self._stub.DescribeRegion, message, what))

    async def page_map(self, region: RegionId, first: int, count: int) -> tuple[list[PageMapRun], int]:
        """Return who has which page, ascending, and the first page that is not covered yet (first + count: none).

        Pages between the runs have never been used.
        """
        message = pb.PageMapRequest(region=region, first=first, count=count)
        what = f"map the pages of region {region} at the directory"
        reply = await self._ask(self._stub.PageMap, message, what)
        return [wire.decode_map_run(run) for run in reply.runs], int(reply.next)

    async def status(self) -> ClusterStatus:
        what = "ask the directory for its status"
        return wire.decode_status(await self._ask(self._stub.ClusterStatus, pb.ClusterStatusRequest(), what))

    async def _ask(self, method: Callable[..., Awaitable[T]], message: object, what: str) -> T:
        async with self._room:
            return await _answer(method(message, timeout=self._timeout), what)


class NodeCalls:
    """What a node asks of another node over gRPC. Does not own the channel."""

    def __init__(self, channel: grpc.aio.Channel, timeout: float = DIRECTORY_CALL_SECONDS) -> None:
        self._stub = node_stub(channel)
        self._timeout = timeout

    def pages(self) -> PagesCall:
        """Begin to send page frames; one receipt comes back for each, in order."""
        call: PagesCall = self._stub.Pages()
        return call

    async def holders(self, region: RegionId, first: int, count: int) -> list[Holder]:
        message = node_pb2.HoldersRequest(region=region, first=first, count=count)
        call = self._stub.Holders(message, timeout=self._timeout)
        return decode_holders(await _answer(call, f"ask who holds pages of region {region}", Unavailable))

    async def records(self, region: RegionId, first: int, count: int) -> tuple[list[RecordRun], int]:
        """Return what the node knows of these pages, ascending, and the first page that is not covered yet."""
        message = node_pb2.RecordsRequest(region=region, first=first, count=count)
        call = self._stub.Records(message, timeout=self._timeout)
        return decode_records(await _answer(call, f"ask for the records of region {region}", Unavailable))
