"""What a directory remembers, in plain dictionaries; in the place of dsm.directory.store.Store, which takes SQLite some
milliseconds to open, a good part of a run."""

from __future__ import annotations

from dataclasses import replace

from dsm.core.types import Epoch, NodeId, RegionId
from dsm.directory.store import StoredRegion
from dsm.wire.directory import RegionInfo


class MemoryStore:
    def __init__(self) -> None:
        self._nodes: dict[str, NodeId] = {}
        self._epoch = 0
        self._newest = 0
        self._regions: dict[RegionId, StoredRegion] = {}

    def cluster(self) -> str:
        return "simulated"

    def node(self, name: str) -> NodeId:
        return self._nodes.setdefault(name, NodeId(len(self._nodes) + 1))

    def next_epoch(self) -> Epoch:
        self._epoch += 1
        return Epoch(self._epoch)

    def regions(self) -> list[StoredRegion]:
        return list(self._regions.values())

    def newest_region(self) -> RegionId:
        return RegionId(self._newest)

    def add_region(self, info: RegionInfo, creator: NodeId) -> RegionId:
        self._newest += 1
        number = RegionId(self._newest)
        self._regions[number] = StoredRegion(replace(info, id=number), creator, False, False)
        return number

    def mark_unlinked(self, region: RegionId) -> None:
        self._regions[region] = replace(self._regions[region], unlinked=True)

    def mark_written(self, region: RegionId) -> None:
        self._regions[region] = replace(self._regions[region], written=True)

    def delete_region(self, region: RegionId) -> None:
        del self._regions[region]
