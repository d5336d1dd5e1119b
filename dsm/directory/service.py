"""The directory on gRPC: decode, ask `state`, encode. Every error of ours leaves as a status with its own words."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from dsm.core.types import RegionId
from dsm.directory.state import Directory
from dsm.errors import DsmError, InvalidArgument, LimitExceeded, ProtocolError
from dsm.limits import HELLO_SECONDS, REGION_INFOS_PER_REPLY, SESSIONS_MAX
from dsm.wire import directory as wire
from dsm.wire.failures import abort
from dsm.wire.rpc import EOF, Context, SessionContext
from dsm.wire.rpc import directory_pb2 as pb
from dsm.wire.session import Hello, ToHomeMessage, decode_to_home

log = logging.getLogger(__name__)

Service = TypeVar("Service")
Request = TypeVar("Request")
Reply = TypeVar("Reply")


def _answered(
    handler: Callable[[Service, Request], Reply],
) -> Callable[[Service, Request, Context], Coroutine[Any, Any, Reply]]:
    """Make a coroutine for gRPC of a method that raises our errors."""

    @functools.wraps(handler)
    async def answer(service: Service, request: Request, context: Context) -> Reply:
        try:
            return handler(service, request)
        except DsmError as error:
            await abort(context, error)

    return answer


class Sessions:
    """The SessionService."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._greeting = 0

    async def Session(self, _requests: AsyncIterator[ToHomeMessage], context: SessionContext) -> None:  # noqa: N802
        try:
            session = self._directory.join(await self._hello(context))
            try:
                await session.run(context, self._directory.receive)
            finally:
                self._directory.ended(session)
        except DsmError as error:
            log.warning("the session of %s ends: %s", context.peer(), error)
            await abort(context, error)

    async def _hello(self, context: SessionContext) -> Hello:
        if self._greeting >= SESSIONS_MAX:
            raise LimitExceeded(f"{SESSIONS_MAX:,} sessions have not said Hello yet")
        self._greeting += 1
        try:
            async with asyncio.timeout(HELLO_SECONDS):
                return _hello_of(await context.read())
        except TimeoutError:
            raise InvalidArgument(f"no Hello within {HELLO_SECONDS} seconds") from None
        finally:
            self._greeting -= 1


def _hello_of(message: ToHomeMessage) -> Hello:
    try:
        if message is not EOF and isinstance(hello := decode_to_home(message), Hello):
            return hello
    except ProtocolError as error:
        raise InvalidArgument(error.message) from error
    raise InvalidArgument("a session begins with Hello")


class Regions:
    """The DirectoryService."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    @_answered
    def CreateRegion(self, request: pb.CreateRegionRequest) -> pb.CreateRegionReply:  # noqa: N802
        wanted = wire.decode_region_request(request)
        info, created = self._directory.create(wire.decode_caller(request.caller), wanted)
        return pb.CreateRegionReply(info=wire.encode_info(info), created=created)

    @_answered
    def OpenRegion(self, request: pb.OpenRegionRequest) -> pb.OpenRegionReply:  # noqa: N802
        info = self._directory.open(wire.decode_caller(request.caller), request.name)
        return pb.OpenRegionReply(info=wire.encode_info(info))

    @_answered
    def CloseRegion(self, request: pb.CloseRegionRequest) -> pb.CloseRegionReply:  # noqa: N802
        self._directory.close(wire.decode_caller(request.caller), RegionId(request.region))
        return pb.CloseRegionReply()

    @_answered
    def UnlinkRegion(self, request: pb.UnlinkRegionRequest) -> pb.UnlinkRegionReply:  # noqa: N802
        target = RegionId(request.region) if request.WhichOneof("target") == "region" else request.name
        self._directory.unlink(wire.decode_caller(request.caller), target)
        return pb.UnlinkRegionReply()

    async def ListRegions(  # noqa: N802
        self, _request: pb.ListRegionsRequest, _context: Context
    ) -> AsyncIterator[pb.ListRegionsReply]:
        infos = self._directory.regions()
        for start in range(0, len(infos), REGION_INFOS_PER_REPLY):
            yield pb.ListRegionsReply(regions=map(wire.encode_info, infos[start : start + REGION_INFOS_PER_REPLY]))

    @_answered
    def DescribeRegion(self, request: pb.DescribeRegionRequest) -> pb.DescribeRegionReply:  # noqa: N802
        return wire.encode_description(self._directory.describe(request.name))

    @_answered
    def PageMap(self, request: pb.PageMapRequest) -> pb.PageMapReply:  # noqa: N802
        runs, following = self._directory.page_map(RegionId(request.region), request.first, request.count)
        return pb.PageMapReply(runs=map(wire.encode_map_run, runs), next=following)

    @_answered
    def ClusterStatus(self, _request: pb.ClusterStatusRequest) -> pb.ClusterStatusReply:  # noqa: N802
        return wire.encode_status(self._directory.status())
