"""Runs the benchmark on a cluster of two nodes on this machine and returns one document.

A later version may add fields to the document; it removes none and changes none.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dsm import __version__
from dsm.bench.faults import Faults, Row
from dsm.bench.partner import Partner
from dsm.bench.peer import Peer, missing, peer
from dsm.bench.scan import scans
from dsm.client import connect
from dsm.cluster import LocalCluster
from dsm.units import format_size


def run(page_sizes: Sequence[int], samples: int, scan_size: int, tell: Callable[[str], object]) -> dict[str, Any]:
    """Measure everything. `tell` is told what is being measured, as it begins.

    Raises:
        TransparentAccessUnavailable: there are no faults to measure without userfaultfd.
        Unavailable, DeadlineExceeded: a process that is needed has ended, or hangs.
    """
    with LocalCluster(2) as cluster, peer() as redis:
        where = cluster.directory_address
        with (
            Partner(cluster.socket(0), where) as neighbour,
            Partner(cluster.socket(1), where) as remote,
            connect(cluster.socket(0)) as client,
        ):
            faults = list(_faults(client, neighbour, remote, redis, page_sizes, samples, tell))
            tell(f"scans of {format_size(scan_size)}")
            rows = list(scans(client, remote, redis, scan_size))
    return {
        "version": __version__,
        "machine": {"kernel": platform.release(), "python": platform.python_version(), "cpus": os.cpu_count()},
        "peer": None if redis is None else redis.description,
        "peer_missing": missing() or None,
        "faults": faults,
        "scans": rows,
    }


def _faults(
    client: Any,
    neighbour: Partner,
    remote: Partner,
    redis: Peer | None,
    page_sizes: Sequence[int],
    samples: int,
    tell: Callable[[str], object],
) -> Iterator[Row]:
    for page_size in page_sizes:
        tell(f"faults on pages of {format_size(page_size)}")
        yield from Faults(client, neighbour, remote, redis, page_size, samples).rows()
