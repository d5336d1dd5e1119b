"""Stand-ins for a client and a region: memory of one process, which others share or do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Region:
    """As much of a region as the workloads use, over bytes that are handed in."""

    def __init__(self, memory: bytearray, page_size: int) -> None:
        self.name = "fake"
        self.page_size = page_size
        self._memory = memory

    @property
    def buf(self) -> memoryview:
        return memoryview(self._memory)

    def ndarray(self, shape: int, dtype: Any, offset: int) -> Any:
        import numpy as np

        return np.frombuffer(self._memory, dtype, shape, offset)

    @contextmanager
    def read(self, offset: int, length: int) -> Iterator[memoryview]:
        yield memoryview(self._memory)[offset : offset + length]

    write = read

    def prefetch(self, *_: object, **__: object) -> None:
        pass

    def stats(self) -> dict[str, Any]:
        return {"pages_in": 1, "invalidations": 0}

    def close(self) -> None:
        pass


class Client:
    """As much of a client as the workloads use."""

    def __init__(self, region: Region, access: str = "transparent-full") -> None:
        self.access = access
        self._region = region

    def open(self, _: str) -> Region:
        return self._region
