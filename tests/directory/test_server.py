"""The server as others meet it: garbage, health checks, reflection, a port that is taken, its end."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from dsm import errors
from dsm.directory.server import DirectoryOptions, run_directory
from dsm.wire import rpc
from dsm.wire.directory import RegionRequest
from tests.directory.conftest import Join, running
from tests.directory.fake_node import FakeNode

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize("start", [b"", PREFACE], ids=["at once", "after the preface of HTTP/2"])
async def test_garbage_on_the_port_leaves_the_others_alone(directory: str, join: Join, start: bytes) -> None:
    node = await join(directory, "a")
    host, port = directory.rsplit(":", 1)
    noise = random.Random(4711)
    for length in (1, 2, 9, 100, 1000, 10_000, 100_000):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(start + noise.randbytes(length))
        with contextlib.suppress(ConnectionError):  # it may hang up before everything was sent
            await writer.drain()
        writer.close()
    await node.calls.create(node.caller, RegionRequest("grid", 4096))
    assert len((await node.calls.status()).members) == 1


async def test_garbage_inside_a_call_ends_that_call_only(directory: str, join: Join) -> None:
    node = await join(directory, "a")
    raw = node.channel.unary_unary(f"/{rpc.DIRECTORY_SERVICE}/CreateRegion", None, None)
    for length in (1, 100, 100_000):
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(random.Random(length).randbytes(length))
    noise = iter([random.Random(1).randbytes(1000)])
    stream = node.channel.stream_stream(f"/{rpc.SESSION_SERVICE}/Session", None, None)(noise)
    assert await stream.code() is not grpc.StatusCode.OK
    assert len((await node.calls.status()).members) == 1


async def test_a_message_beyond_the_limit_is_refused(directory: str) -> None:
    async with grpc.aio.insecure_channel(directory, options=[("grpc.max_send_message_length", -1)]) as channel:
        raw = channel.unary_unary(f"/{rpc.DIRECTORY_SERVICE}/DescribeRegion", None, None)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw(bytes(5 << 20))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_it_answers_health_checks(directory: str) -> None:
    async with rpc.channel(directory) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", rpc.DIRECTORY_SERVICE, rpc.SESSION_SERVICE):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_its_services(directory: str) -> None:
    async with rpc.channel(directory) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo()
        await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
        listed = {service.name for service in (await call.read()).list_services_response.service}
        assert {"dsm.v1.DirectoryService", "dsm.v1.SessionService", "grpc.health.v1.Health"} <= listed
        await call.write(reflection_pb2.ServerReflectionRequest(file_containing_symbol="dsm.v1.DirectoryService"))
        assert (await call.read()).file_descriptor_response.file_descriptor_proto
        call.cancel()


async def test_a_port_that_is_taken_is_an_error(directory: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="cannot listen"):
        await run_directory(DirectoryOptions(directory, ":memory:"), print)


@pytest.mark.parametrize("listen", ["", "localhost", ":1", "h:", "h:x", "h:65536", "192.0.2.1:0"])
async def test_an_address_that_cannot_be_is_an_error(listen: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="listen"):
        await run_directory(DirectoryOptions(listen, ":memory:"), print)


async def test_its_end_ends_sessions_but_nothing_that_depends_on_them(tmp_path: Path, join: Join) -> None:
    store = str(tmp_path / "store")
    async with running(store) as address:
        node = await join(address, "a")
        wanted = RegionRequest("grid", 4096)
        await node.calls.create(node.caller, wanted)
        for lifetime in ("last-detach", "creator"):
            await node.calls.create(
                node.caller, RegionRequest(lifetime, 4096, lifetime=type(wanted.lifetime).named(lifetime))
            )
    status, error = await node.failure()
    assert status is grpc.StatusCode.UNAVAILABLE and isinstance(error, errors.DirectoryUnavailable)
    with pytest.raises(errors.DirectoryUnavailable, match="status"):
        await node.calls.status()
    async with running(store) as address:
        again = await join(address, "a")
        assert len(await again.calls.regions()) == 3


async def test_a_directory_can_be_started_again_on_its_port(tmp_path: Path, join: Join) -> None:
    async with running() as address:
        await join(address, "a")
    async with running(listen=address) as again:
        assert again == address
        node = FakeNode(again, "b")
        await node.join()
        await node.leave()
