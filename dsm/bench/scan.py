"""A large region read by a node that has nothing of it, in three ways; then as many bytes from Redis.

scope      `region.read()` of all of it, until the view is there
read-ahead the sum of a plain NumPy array; the node sees the sequence and asks ahead
prefetch   `region.prefetch()` of all of it
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dsm.bench.partner import Partner
from dsm.bench.peer import Peer
from dsm.bench.samples import gigabytes_per_second, timed

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

Row = dict[str, Any]

VALUE_BYTES = 1 << 20


def scans(client: Client, remote: Partner, peer: Peer | None, size: int) -> Iterator[Row]:
    """Measure one way after the other, each on a new region of the default page size."""
    ways: dict[str, Callable[[Region], object]] = {
        "scope": _enter_scope,
        "read-ahead": _sum,
        "prefetch": lambda region: region.prefetch(),
    }
    for way, action in ways.items():
        rate = gigabytes_per_second(size, _cold(client, remote, size, action))
        yield {"way": way, "bytes": size, "gb_per_s": rate, "peer_gb_per_s": _peer_rate(peer, size)}


def _cold(client: Client, remote: Partner, size: int, action: Callable[[Region], object]) -> int:
    name = f"bench-{secrets.token_hex(4)}"
    with client.create(name, size) as region:
        remote.fill(name)
        took = timed(action, region)
        remote.close(name)
        region.unlink()
        return took


def _enter_scope(region: Region) -> None:
    with region.read(0, region.size):
        pass


def _sum(region: Region) -> None:
    total = int(region.ndarray(dtype="u1").view("u8").sum())
    assert total == region.size // 8 * 0x0101010101010101 % 2**64, "every byte is 1"


def _peer_rate(peer: Peer | None, size: int) -> float | None:
    """The rate of GETs of 1 MiB, one after the other."""
    if peer is None:
        return None
    peer.prepare(VALUE_BYTES)
    count = max(1, size // VALUE_BYTES)
    return gigabytes_per_second(count * VALUE_BYTES, sum(timed(peer.get, VALUE_BYTES) for _ in range(count)))
