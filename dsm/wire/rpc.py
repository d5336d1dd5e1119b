"""gRPC as this project uses it: options of channels and servers, and typed doors to the generated stubs.

Keepalive does the work of a failure detector: a peer that is gone without a word (a host switched off, a cable pulled,
a process stopped) ends its calls after KEEPALIVE_SECONDS + KEEPALIVE_TIMEOUT_SECONDS. Proxies from the environment
are not used; the daemons of a cluster reach each other directly.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from dsm import limits
from dsm.wire.generated import directory_pb2 as directory_pb2  # noqa: PLC0414  (for those who may not import generated code)
from dsm.wire.generated import directory_pb2_grpc, node_pb2_grpc, session_pb2_grpc
from dsm.wire.generated import node_pb2 as node_pb2  # noqa: PLC0414
from dsm.wire.generated import session_pb2 as session_pb2  # noqa: PLC0414

Options: TypeAlias = list[tuple[str, int]]
Session: TypeAlias = grpc.aio.StreamStreamCall[session_pb2.ToHome, session_pb2.FromHome]
SessionContext: TypeAlias = grpc.aio.ServicerContext[session_pb2.ToHome, session_pb2.FromHome]
PagesCall: TypeAlias = grpc.aio.StreamStreamCall[node_pb2.PageFrame, node_pb2.PageReceipt]
PagesContext: TypeAlias = grpc.aio.ServicerContext[node_pb2.PageFrame, node_pb2.PageReceipt]
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # the stubs are older
"""What `read` of a stream returns after its last message."""

DIRECTORY_SERVICE = directory_pb2.DESCRIPTOR.services_by_name["DirectoryService"].full_name
SESSION_SERVICE = session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name
NODE_SERVICE = node_pb2.DESCRIPTOR.services_by_name["NodeService"].full_name


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _common_options() -> Options:
    return [
        ("grpc.max_receive_message_length", limits.SESSION_MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", limits.SESSION_MESSAGE_BYTES_MAX),
        ("grpc.keepalive_time_ms", _milliseconds(limits.KEEPALIVE_SECONDS)),
        ("grpc.keepalive_timeout_ms", _milliseconds(limits.KEEPALIVE_TIMEOUT_SECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def server_options() -> Options:
    """Return what every server of this project is started with. A port that is taken is an error."""
    return [
        *_common_options(),
        ("grpc.so_reuseport", 0),
        ("grpc.max_concurrent_streams", limits.STREAMS_PER_CONNECTION_MAX),
        # Half of what our clients keep to, or the server would take their pings for an attack.
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(limits.KEEPALIVE_SECONDS / 2)),
    ]


def channel_options() -> Options:
    return [
        *_common_options(),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", _milliseconds(limits.RECONNECT_SECONDS_MIN)),
        ("grpc.min_reconnect_backoff_ms", _milliseconds(limits.CONNECT_SECONDS)),
        ("grpc.max_reconnect_backoff_ms", _milliseconds(limits.RECONNECT_SECONDS_MAX)),
    ]


def channel(address: str) -> grpc.aio.Channel:
    """Return a channel to a server of this project at host:port; it connects when it is first used."""
    return grpc.aio.insecure_channel(address, options=channel_options())


def server() -> grpc.aio.Server:
    return grpc.aio.server(options=server_options())


def open_session(to: grpc.aio.Channel) -> Session:
    """Begin the session of a node; the first message to write is Hello."""
    stub: Any = session_pb2_grpc.SessionServiceStub(to)  # type: ignore[no-untyped-call]
    call: Session = stub.Session()
    return call


def directory_stub(to: grpc.aio.Channel) -> Any:
    """Return the generated stub; `dsm.wire.calls.DirectoryCalls` is its typed face."""
    return directory_pb2_grpc.DirectoryServiceStub(to)  # type: ignore[no-untyped-call]


def node_stub(to: grpc.aio.Channel) -> Any:
    """Return the generated stub; `dsm.wire.calls.NodeCalls` is its typed face."""
    return node_pb2_grpc.NodeServiceStub(to)  # type: ignore[no-untyped-call]


class SessionServicer(Protocol):
    async def Session(self, requests: AsyncIterator[session_pb2.ToHome], context: SessionContext, /) -> None: ...  # noqa: N802


class DirectoryServicer(Protocol):
    """One method for each rpc of directory.proto, under its name."""

    async def CreateRegion(  # noqa: N802
        self, request: directory_pb2.CreateRegionRequest, context: Context, /
    ) -> directory_pb2.CreateRegionReply: ...
    async def OpenRegion(  # noqa: N802
        self, request: directory_pb2.OpenRegionRequest, context: Context, /
    ) -> directory_pb2.OpenRegionReply: ...
    async def CloseRegion(  # noqa: N802
        self, request: directory_pb2.CloseRegionRequest, context: Context, /
    ) -> directory_pb2.CloseRegionReply: ...
    async def UnlinkRegion(  # noqa: N802
        self, request: directory_pb2.UnlinkRegionRequest, context: Context, /
    ) -> directory_pb2.UnlinkRegionReply: ...
    def ListRegions(  # noqa: N802
        self, request: directory_pb2.ListRegionsRequest, context: Context, /
    ) -> AsyncIterator[directory_pb2.ListRegionsReply]: ...
    async def DescribeRegion(  # noqa: N802
        self, request: directory_pb2.DescribeRegionRequest, context: Context, /
    ) -> directory_pb2.DescribeRegionReply: ...
    async def PageMap(  # noqa: N802
        self, request: directory_pb2.PageMapRequest, context: Context, /
    ) -> directory_pb2.PageMapReply: ...
    async def ClusterStatus(  # noqa: N802
        self, request: directory_pb2.ClusterStatusRequest, context: Context, /
    ) -> directory_pb2.ClusterStatusReply: ...


class NodeServicer(Protocol):
    async def Pages(self, requests: AsyncIterator[node_pb2.PageFrame], context: PagesContext, /) -> None: ...  # noqa: N802
    async def Holders(self, request: node_pb2.HoldersRequest, context: Context, /) -> node_pb2.HoldersReply: ...  # noqa: N802
    async def Records(self, request: node_pb2.RecordsRequest, context: Context, /) -> node_pb2.RecordsReply: ...  # noqa: N802


def add_session(to: grpc.aio.Server, servicer: SessionServicer) -> None:
    session_pb2_grpc.add_SessionServiceServicer_to_server(servicer, to)  # type: ignore[no-untyped-call]


def add_directory(to: grpc.aio.Server, servicer: DirectoryServicer) -> None:
    directory_pb2_grpc.add_DirectoryServiceServicer_to_server(servicer, to)  # type: ignore[no-untyped-call]


def add_node(to: grpc.aio.Server, servicer: NodeServicer) -> None:
    node_pb2_grpc.add_NodeServiceServicer_to_server(servicer, to)  # type: ignore[no-untyped-call]


async def add_health_and_reflection(to: grpc.aio.Server, *services: str) -> None:
    """Answer health checks for these services (and for "", the whole server) and list them by reflection."""
    checks = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs are older
    for service in ("", *services):
        await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checks, to)
    reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), to)
