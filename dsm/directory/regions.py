"""Regions: names, who has them attached, and when they go.

    lifetime       its name goes                                     the region goes
    unlink         when somebody unlinks it                          nameless and nobody has it attached
    last-detach    when somebody unlinks it                          nobody has it attached any more
    creator        also when its creator closes, or its node ends    nameless and nobody has it attached

A node counts as attached while at least one of its clients is; which of them, the node knows. Attachments live only
in memory, so after a start the regions of an earlier life are kept (`recovering`) until their nodes had time to say
what they hold; `sweep` then ends those that nobody claimed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from dsm.core.types import NodeId, RegionId
from dsm.directory import checks
from dsm.directory.store import Store, StoredRegion
from dsm.errors import LimitExceeded, RegionExists, RegionNotFound
from dsm.limits import REGIONS_MAX
from dsm.wire.directory import Lifetime, RegionInfo, RegionRequest


@dataclass(slots=True)
class Region:
    info: RegionInfo
    creator: NodeId
    named: bool = True
    attached: set[NodeId] = field(default_factory=set)
    known_to: set[NodeId] = field(default_factory=set)
    """Nodes that attached it during their session and may keep something for it."""


class Regions:
    """Every region there is. Does not know pages or sessions; `gone` tells those who do."""

    def __init__(self, store: Store, stored: Iterable[StoredRegion], gone: Callable[[Region], None]) -> None:
        self._store = store
        self._gone = gone
        self._by_id = {one.info.id: Region(one.info, one.creator, not one.unlinked) for one in stored}
        self._by_name = {region.info.name: region for region in self._by_id.values() if region.named}
        self._recovering = set(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, number: RegionId) -> bool:
        return number in self._by_id

    def infos(self) -> list[RegionInfo]:
        """Return every region that has a name, in the order of names."""
        return [self._by_name[name].info for name in sorted(self._by_name)]

    def named(self, name: str) -> Region:
        region = self._by_name.get(checks.region_name(name))
        if region is None:
            raise RegionNotFound(f"no region is called {name!r:.300}")
        return region

    def numbered(self, number: RegionId) -> Region:
        region = self._by_id.get(number)
        if region is None:
            raise RegionNotFound(f"there is no region {number}")
        return region

    def create(self, node: NodeId, creator: str, request: RegionRequest, now: float) -> tuple[Region, bool]:
        """Return the region, and whether it is new.

        Raises:
            InvalidArgument: no region can be like this, or the existing one is not.
            RegionExists: the name is taken, and `exist_ok` is false.
        """
        request = checks.region_request(request)
        region = self._by_name.get(request.name)
        created = region is None
        if region is None:
            region = self._add(node, creator, request, now)
        elif not request.exist_ok:
            raise RegionExists(f"a region is called {request.name!r} already")
        else:
            checks.same_region(region.info, request)
        if request.attach:
            self._attach(node, region)
        return region, created

    def _add(self, node: NodeId, creator: str, request: RegionRequest, now: float) -> Region:
        if len(self._by_id) >= REGIONS_MAX:
            raise LimitExceeded(f"the directory has {REGIONS_MAX:,} regions", remedy="Unlink some that are not needed")
        page_size, hold = checks.with_defaults(request)
        info = RegionInfo(
            RegionId(0),
            request.name,
            request.size,
            page_size,
            request.lifetime,
            hold,
            request.shape,
            request.dtype,
            creator,
            now,
        )
        info = replace(info, id=self._store.add_region(info, node))
        region = self._by_id[info.id] = self._by_name[info.name] = Region(info, node)
        return region

    def open(self, node: NodeId, name: str) -> Region:
        region = self.named(name)
        self._attach(node, region)
        return region

    def close(self, node: NodeId, number: RegionId) -> None:
        """Detach. Doing so twice, or when the region is gone, is fine: both are what the caller wants."""
        region = self._by_id.get(number)
        if region is not None and node in region.attached:
            region.attached.remove(node)
            self._settle(region)

    def unlink(self, region: Region) -> None:
        if not region.named:
            raise RegionNotFound(f"region {region.info.id} has no name any more")
        self._store.mark_unlinked(region.info.id)
        region.named = False
        del self._by_name[region.info.name]
        self._settle(region)

    def joined(self, node: NodeId, held: Iterable[RegionId]) -> list[RegionId]:
        """Attach what a node that joins has from before; return what is gone.

        A session that replaces another one keeps what it names, so a region does not go in between.
        """
        held = set(held)
        for region in list(self._by_id.values()):
            if region.info.id in held:
                self._attach(node, region)
        self._left(node, held)
        return sorted(held - self._by_id.keys())

    def ended(self, node: NodeId) -> None:
        """A node's session is over, and with it its attachments and its creators."""
        self._left(node, set())

    def _left(self, node: NodeId, held: set[RegionId]) -> None:
        for region in [region for region in self._by_id.values() if region.info.id not in held]:
            region.known_to.discard(node)
            if region.creator == node and region.info.lifetime is Lifetime.CREATOR:
                self._creator_ended(region)
            self.close(node, region.info.id)

    def _creator_ended(self, region: Region) -> None:
        if region.named and region.info.id not in self._recovering:
            self.unlink(region)

    def sweep(self) -> None:
        """The time to claim regions from before the directory's start is over."""
        unclaimed, self._recovering = self._recovering, set()
        for number in sorted(unclaimed & self._by_id.keys()):
            region = self._by_id[number]
            if region.info.lifetime is Lifetime.CREATOR and region.creator not in region.attached:
                self._creator_ended(region)
            self._settle(region)

    def _attach(self, node: NodeId, region: Region) -> None:
        region.attached.add(node)
        region.known_to.add(node)

    def _settle(self, region: Region) -> None:
        """End the region if nothing keeps it any more."""
        number = region.info.id
        if region.attached or number in self._recovering or number not in self._by_id:
            return
        if region.named and region.info.lifetime is not Lifetime.LAST_DETACH:
            return
        self._store.delete_region(number)
        del self._by_id[number]
        if region.named:
            del self._by_name[region.info.name]
        self._gone(region)
