"""Distributed shared memory: one mutable region of memory on many hosts.

    import dsm

    with dsm.connect() as client:
        a = client.array("grid", shape=(1024, 1024), dtype="f4")
        a[0] += 1

Names are imported when they are first used, so `import dsm` costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from dsm import aio as aio
    from dsm.client.records import PageHolders, RegionDetails, RegionInfo
    from dsm.client.sync import Client, Region, connect
    from dsm.cluster import LocalCluster
    from dsm.errors import (
        AccessDenied,
        ArraysAlive,
        DeadlineExceeded,
        DirectoryUnavailable,
        DsmError,
        InvalidArgument,
        LimitExceeded,
        MemoryLimitExceeded,
        NodeUnavailable,
        PageLost,
        ProtocolError,
        RegionClosed,
        RegionExists,
        RegionNotFound,
        SessionLost,
        TransparentAccessUnavailable,
        Unavailable,
    )

__all__ = [
    "AccessDenied",
    "ArraysAlive",
    "Client",
    "DeadlineExceeded",
    "DirectoryUnavailable",
    "DsmError",
    "InvalidArgument",
    "LimitExceeded",
    "LocalCluster",
    "MemoryLimitExceeded",
    "NodeUnavailable",
    "PageHolders",
    "PageLost",
    "ProtocolError",
    "Region",
    "RegionClosed",
    "RegionDetails",
    "RegionExists",
    "RegionInfo",
    "RegionNotFound",
    "SessionLost",
    "TransparentAccessUnavailable",
    "Unavailable",
    "__version__",
    "aio",
    "connect",
]

_HOMES = {
    "Client": "dsm.client.sync",
    "LocalCluster": "dsm.cluster",
    "PageHolders": "dsm.client.records",
    "Region": "dsm.client.sync",
    "RegionDetails": "dsm.client.records",
    "RegionInfo": "dsm.client.records",
    "connect": "dsm.client.sync",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'dsm' has no attribute {name!r}")
    if name == "aio":
        return importlib.import_module("dsm.aio")
    value = getattr(importlib.import_module(_HOMES.get(name, "dsm.errors")), name)
    globals()[name] = value  # found at once from now on
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
