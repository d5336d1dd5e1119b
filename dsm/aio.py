"""The library for asyncio: `async with dsm.aio.connect() as client`. The same names as in `dsm`, awaited."""

from __future__ import annotations

from dsm.client.aio import AsyncClient, AsyncRegion, connect

__all__ = ["AsyncClient", "AsyncRegion", "connect"]
