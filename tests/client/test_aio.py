"""The asynchronous face: the same names, awaited, and a loop that goes on while they wait."""

from __future__ import annotations

import asyncio
import gc
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import dsm
from dsm.client.aio import AsyncClient, AsyncRegion
from dsm.errors import (
    ArraysAlive,
    DeadlineExceeded,
    InvalidArgument,
    NodeUnavailable,
    RegionClosed,
    RegionExists,
    RegionNotFound,
)
from tests.client.conftest import Nodes
from tests.client.helpers import in_child

SHORT = 0.05


@pytest.fixture
async def aio(address: str) -> AsyncIterator[AsyncClient]:
    async with dsm.aio.connect(address) as client:
        yield client


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something holds, and fail if it never does."""
    async with asyncio.timeout(10):
        while not await holds():  # noqa: ASYNC110  (what is waited for happens in another process)
            await asyncio.sleep(0.002)


async def until_waiting(client: AsyncClient, count: int) -> None:
    async def waiting() -> bool:
        return bool((await client.stats())["waiting"] == count)

    await until(waiting)


@pytest.mark.parametrize(("face", "other"), [(AsyncClient, dsm.Client), (AsyncRegion, dsm.Region)])
def test_both_faces_have_the_same_names_and_arguments(face: type, other: type) -> None:
    names = {name for name in dir(face) if not name.startswith("_")}
    assert names == {name for name in dir(other) if not name.startswith("_")}
    for name in names:
        if callable(getattr(face, name)):
            ours, theirs = (inspect.signature(getattr(cls, name)).parameters for cls in (face, other))
            assert ours == theirs


async def test_the_operations_are_those_of_the_synchronous_client(
    aio: AsyncClient, client: dsm.Client, name: str
) -> None:
    async with await aio.create(name, "64KiB", page_size=4096) as region:
        assert region.created and region.info in await aio.list()
        async with region.write(10, 3) as view:
            view[:] = b"abc"
        async with region.read(10, 3, timeout=1) as view:
            assert bytes(view) == b"abc"
        with client.open(name).read(10, 3) as seen:
            assert bytes(seen) == b"abc"
        await region.prefetch()
        await region.flush()
        assert all(run.owner == "fake" for run in await region.who_has())
        assert (await region.stats())["calls"] and (await aio.status())["node"] == "fake"
        assert (await aio.describe(name)).info == region.info
        assert not (await aio.open_or_create(name, "64KiB")).created
        with pytest.raises(RegionExists):
            await aio.create(name, 1)
        await region.unlink()
    with pytest.raises(RegionNotFound):
        await aio.open(name)
    with pytest.raises(RegionNotFound):
        await aio.unlink(name)
    with pytest.raises(RegionClosed):
        await region.flush()


@pytest.mark.needs("userfaultfd")
async def test_arrays_work_as_in_the_synchronous_client(aio: AsyncClient, client: dsm.Client, name: str) -> None:
    array = await aio.array(name, (4, 4), "f8")
    array[:] = 2
    assert client.array(name).sum() == 32
    region = await aio.open(name)
    kept = region.buf
    with pytest.raises(ArraysAlive):
        await region.close()
    del kept
    await region.close()


async def test_a_connection_can_be_awaited_and_closed(address: str, name: str) -> None:
    client = await dsm.aio.connect(address, scoped_only=True)
    assert client.access == "scoped"
    await client.create(name, 1)
    await client.close()
    await client.close()
    with pytest.raises(RegionClosed):
        await client.list()


async def test_other_tasks_go_on_while_one_waits(aio: AsyncClient, name: str) -> None:
    region = await aio.create(name, 4096)
    order: list[str] = []

    async def wait() -> None:
        async with region.write(0, 1):
            order.append("second")

    async with asyncio.TaskGroup() as tasks, region.write(0, 1):
        tasks.create_task(wait())
        await until_waiting(aio, 1)
        order.append("first")
    assert order == ["first", "second"]


async def test_a_deadline_is_an_error(aio: AsyncClient, name: str) -> None:
    region = await aio.create(name, 4096)
    async with region.write(0, 1):
        with pytest.raises(DeadlineExceeded):
            await region.read(0, 1, timeout=SHORT).__aenter__()


async def test_a_cancelled_wait_is_withdrawn(aio: AsyncClient, name: str) -> None:
    region = await aio.create(name, 4096)
    async with region.write(0, 1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT):
                await region.write(0, 1).__aenter__()
        await until_waiting(aio, 0)
    async with region.write(0, 1, timeout=1):
        pass


async def test_a_task_cancelled_in_its_block_gives_the_pages_back(aio: AsyncClient, name: str) -> None:
    region = await aio.create(name, 4096)
    entered = asyncio.Event()

    async def hold() -> None:
        async with region.write(0, 1):
            entered.set()
            await asyncio.sleep(60)

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(hold())
        await entered.wait()
        task.cancel()
    async with region.write(0, 1, timeout=1):
        pass


async def test_a_killed_daemon_ends_every_wait(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    client = await dsm.aio.connect(address)
    region = await client.create(name, 4096)
    block = region.write(0, 1)
    await block.__aenter__()

    async def wait() -> None:
        with pytest.raises(NodeUnavailable):
            await region.read(0, 1).__aenter__()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(wait())
        await until_waiting(client, 3)
        nodes.kill(address)
    with pytest.raises(NodeUnavailable):
        await block.__aexit__(None, None, None)
    await client.close()


async def test_a_daemon_that_hangs_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.client.aio_transport.LOCAL_REPLY_GRACE_SECONDS", SHORT)
    writers: list[asyncio.StreamWriter] = []  # one that nobody keeps is closed

    def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_unix_server(silent, tmp_path / "s")
    with pytest.raises(NodeUnavailable, match="did not answer 'hello'"):
        await dsm.aio.connect(tmp_path / "s", timeout=SHORT)
    server.close()
    for writer in writers:
        writer.close()


async def test_garbage_is_an_error(tmp_path: Path) -> None:
    def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\xff" * 100)

    server = await asyncio.start_unix_server(garbage, tmp_path / "s")
    with pytest.raises(dsm.ProtocolError):
        await dsm.aio.connect(tmp_path / "s")
    server.close()


def test_a_client_belongs_to_its_loop(address: str) -> None:
    client = asyncio.run(_connect(address))
    with pytest.raises(InvalidArgument, match="another event loop"):
        asyncio.run(client.list())


@pytest.mark.needs("userfaultfd")
async def test_an_array_collected_in_another_thread_is_detached(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    async with dsm.aio.connect(address) as client, dsm.aio.connect(address) as observer:
        arrays = [(await client.create(name, 4096)).ndarray()]
        gc.collect()
        assert (await observer.status())["attachments"] == 1
        thread = threading.Thread(target=arrays.clear)
        thread.start()
        thread.join()

        async def detached() -> bool:
            return bool((await observer.status())["attachments"] == 0)

        await until(detached)


@pytest.mark.needs("userfaultfd")
async def test_arrays_and_calls_work_in_a_forked_child(aio: AsyncClient, name: str) -> None:
    region = await aio.create(name, 4096)
    array = region.ndarray()
    array[0] = 1

    async def use() -> None:
        async with region.write(1, 1) as view:
            view[0] = 2

    def child() -> None:
        assert array[0] == 1
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_until_complete, args=(use(),))
        thread.start()
        thread.join(10)
        assert array[1] == 2

    assert in_child(child) == 0
    assert array[1] == 2
    await aio.status()


async def _connect(address: str) -> AsyncClient:
    return await dsm.aio.connect(address)
