"""A real directory server in this process, and nodes that join it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from dsm.directory.server import DirectoryOptions, run_directory
from tests.directory.fake_node import PATIENCE_SECONDS, FakeNode

Join = Callable[..., Awaitable[FakeNode]]


@asynccontextmanager
async def running(store: str = ":memory:", listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Run a directory; yields its address. It stops at the end, or the test fails."""
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as tasks:
        server = tasks.create_task(run_directory(DirectoryOptions(listen, store, "test"), address.set_result))
        starting: set[asyncio.Future[Any]] = {server, address}
        await asyncio.wait(starting, return_when=asyncio.FIRST_COMPLETED)
        if server.done():
            await server
        yield await address
        limit.reschedule(asyncio.get_running_loop().time() + PATIENCE_SECONDS)
        server.cancel()


@pytest.fixture
async def directory() -> AsyncIterator[str]:
    """The address of a running directory."""
    async with running() as address:
        yield address


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """join(address, name) makes a node that has joined; it leaves at the end of the test."""
    async with AsyncExitStack() as stack:

        async def make(address: str, name: str, held: tuple[int, ...] = ()) -> FakeNode:
            node = FakeNode(address, name)
            stack.push_async_callback(node.leave)
            return await node.join(held)

        yield make
