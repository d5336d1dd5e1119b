"""The asynchronous face: `dsm.aio.connect()`. The same names as in `dsm.client.sync`, awaited; see there.

A plain load or store of a page that is not here stops the whole event loop until the page has come. Use scopes, or
`await region.prefetch()` first.

A client belongs to the event loop in which it was made. It is closed by `close()` or its `async with` block, and not
when it is dropped: the loop holds its connection.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Self

from dsm.client import core as client_core
from dsm.client import fork  # noqa: F401  (registers its hook)
from dsm.client.aio_transport import AioTransport
from dsm.client.checks import Lifetime, Mode
from dsm.client.core import Address
from dsm.client.faces import ClientFace, RegionFace, ViewFace
from dsm.client.records import PageHolders, RegionDetails, RegionInfo

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dsm.client.arrays import Shape


def connect(
    address: str | os.PathLike[str] | None = None, *, timeout: float | None = None, scoped_only: bool | None = None
) -> Connecting:
    """Connect to the node daemon of this host: `await connect()`, or `async with connect() as client`."""
    return Connecting(address, timeout, scoped_only)


class Connecting:
    """A client to be: await it, or enter it."""

    def __init__(self, address: Address, timeout: float | None, scoped_only: bool | None) -> None:
        self._arguments = (address, timeout, scoped_only)
        self._client: AsyncClient | None = None

    async def _connect(self) -> AsyncClient:
        return AsyncClient(await client_core.connect(*self._arguments, AioTransport))

    def __await__(self) -> Generator[Any, None, AsyncClient]:
        return self._connect().__await__()

    async def __aenter__(self) -> AsyncClient:
        self._client = await self._connect()
        return self._client

    async def __aexit__(self, *raised: object) -> None:
        if self._client is not None:
            await self._client.__aexit__(*raised)


class AsyncView(ViewFace):
    """A scope as an asynchronous context manager, entered once."""

    async def __aenter__(self) -> memoryview:
        self._scope = await self._region.begin(*self._arguments)
        return self._view()

    async def __aexit__(self, kind: object, *_: object) -> None:
        if self._scope is not None:
            # To the end, also when the task is cancelled meanwhile: a pin that is left behind blocks everybody.
            await asyncio.shield(self._region.end(self._scope, failing=kind is not None))
            self._scope = None


class AsyncRegion(RegionFace):
    """As `dsm.Region`, with its calls awaited."""

    def read(
        self, offset: int | str = 0, length: int | str | None = None, *, timeout: float | None = None
    ) -> AsyncView:
        return AsyncView(self._core, offset, length, False, timeout)

    def write(
        self, offset: int | str = 0, length: int | str | None = None, *, timeout: float | None = None
    ) -> AsyncView:
        return AsyncView(self._core, offset, length, True, timeout)

    async def prefetch(
        self,
        offset: int | str = 0,
        length: int | str | None = None,
        *,
        write: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109  (named as in the synchronous face)
    ) -> None:
        await self._core.prefetch(offset, length, write, timeout)

    async def flush(self) -> None:
        await self._core.flush()

    async def who_has(self, offset: int | str = 0, length: int | str | None = None) -> list[PageHolders]:
        return await self._core.who_has(offset, length)

    async def stats(self) -> dict[str, Any]:
        return await self._core.stats()

    async def unlink(self) -> None:
        await self._core.unlink()

    async def close(self) -> None:
        await self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._core.close(leave_arrays=True)


class AsyncClient(ClientFace):
    """As `dsm.Client`, with its calls awaited."""

    async def create(
        self,
        name: str,
        size: int | str,
        *,
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
        mode: Mode = "r+",
    ) -> AsyncRegion:
        return AsyncRegion(
            await self._core.create(name, size, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode)
        )

    async def open(self, name: str, *, mode: Mode = "r+") -> AsyncRegion:
        return AsyncRegion(await self._core.open(name, mode))

    async def open_or_create(
        self,
        name: str,
        size: int | str,
        *,
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
        mode: Mode = "r+",
    ) -> AsyncRegion:
        return AsyncRegion(
            await self._core.create(
                name, size, exist_ok=True, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode
            )
        )

    async def array(
        self,
        name: str,
        shape: Shape | None = None,
        dtype: DTypeLike | None = None,
        *,
        mode: Mode = "r+",
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
    ) -> NDArray[Any]:
        return await self._core.array(name, shape, dtype, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode)

    async def list(self) -> list[RegionInfo]:
        return await self._core.list()

    async def describe(self, name: str) -> RegionDetails:
        return await self._core.describe(name)

    async def unlink(self, name: str) -> None:
        await self._core.unlink(name)

    async def status(self) -> dict[str, Any]:
        return await self._core.status()

    async def stats(self) -> dict[str, Any]:
        return await self._core.stats(None)

    async def close(self) -> None:
        await self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._core.close(leave_arrays=True)
