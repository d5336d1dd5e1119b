"""More calls at once than one connection to the directory may have under way."""

from __future__ import annotations

import asyncio

from dsm.limits import STREAMS_PER_CONNECTION_MAX
from dsm.wire import rpc
from dsm.wire.calls import DirectoryCalls


async def test_a_burst_of_calls_waits_for_its_turn_and_none_is_refused(directory: str) -> None:
    async with rpc.channel(directory) as channel:
        calls = DirectoryCalls(channel)
        found = await asyncio.gather(*(calls.regions() for _ in range(4 * STREAMS_PER_CONNECTION_MAX)))
    assert found == [[]] * (4 * STREAMS_PER_CONNECTION_MAX)
