"""The node: what its parts have in common, and the ways between them.

    local socket ──Client──▶ Node ◀──Region (records, waiters)
                              │ ▲
         DirectorySession ◀───┘ └───▶ PageStreams

Everything here runs in one thread, on one event loop. A region counts as opened here while a client has it open, and
the directory is told of the first and the last; its pages stay after that, because this node may own them, until the
directory says that the region is gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any, TypeVar

from dsm import __version__
from dsm.core.membership import Member
from dsm.core.messages import Data, FromHome, ToHome
from dsm.core.types import Epoch, NodeId, RegionId, RequestId, first_request
from dsm.errors import DsmError, LimitExceeded, ProtocolError, RegionNotFound, SessionLost
from dsm.limits import HOLDER_SECONDS, REGIONS_PER_NODE_MAX, TICK_SECONDS
from dsm.node.attachment import Attachment
from dsm.node.budget import Budget
from dsm.node.fallback import FallbackPeer
from dsm.node.recorded import recorded_step
from dsm.node.region import UNTOUCHED, Region, cache_step
from dsm.node.scopes import Stuck
from dsm.node.session import DirectorySession
from dsm.node.stream import Frame, PageStreams
from dsm.trace.files import Recorder
from dsm.trace.records import Note, RegionBegan, RegionEnded, SessionBegan, SessionOver, ignore
from dsm.wire import rpc
from dsm.wire.calls import DirectoryCalls, NodeCalls
from dsm.wire.directory import Caller, RegionInfo, RegionRequest
from dsm.wire.runs import Run
from dsm.wire.session import Hello, MemberJoined, MemberLeft, Notice, RegionGone, Welcome

log = logging.getLogger(__name__)

T = TypeVar("T")


class Node:
    """One node daemon."""

    def __init__(
        self,
        name: str,
        directory_address: str,
        memory_limit: int,
        tasks: asyncio.TaskGroup,
        recorder: Recorder | None = None,
    ) -> None:
        self.name = name
        self.directory_address = directory_address
        self.node_id = NodeId(0)
        self.epoch = Epoch(0)
        self.cluster_id = ""
        self.joined = False
        self.members: dict[NodeId, Member] = {}
        self.regions: dict[RegionId, Region] = {}
        self.budget = Budget(memory_limit, self.regions, self.next_request)
        self.streams = PageStreams(self)
        self.page_address = self.grpc_address = ""
        self._channel = rpc.channel(directory_address)
        self.directory = DirectoryCalls(self._channel)
        self.session = DirectorySession(self, self._channel, directory_address)
        self._tasks = tasks
        self._note: Note = ignore if recorder is None else recorder.note
        self._users: Counter[RegionId] = Counter()
        self._hello: Hello | None = None
        """The last one that was said."""
        self._opening = asyncio.Lock()
        """Held while the directory is told that this node opens or closes a region, so that they keep their order."""
        self._request = RequestId(0)
        self._flush_due = False
        self._started = time.monotonic()

    # --- for regions ----------------------------------------------------------------------------------------------

    def next_request(self) -> RequestId:
        self._request = RequestId(self._request + 1)
        return self._request

    def send(self, region: RegionId, index: int, message: ToHome) -> None:
        self.session.send(region, index, message)

    def supply(self, to: NodeId, region: Region, index: int, data: Data, kept: bytes | None) -> None:
        """Send a page's bytes to another node at the end of this turn of the loop."""
        frame = Frame(region.info.id, index, 1, data, region.info.page_size, region.segment, kept)
        self.streams.supply(to, frame)
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        self.streams.flush()

    # --- for page streams -----------------------------------------------------------------------------------------

    def member(self, node: NodeId) -> Member | None:
        return self.members.get(node)

    def spawn(self, coroutine: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        return self._tasks.create_task(coroutine, name=name)

    def fallback(self, member: Member) -> FallbackPeer:
        return FallbackPeer(self, member)

    # --- for the session ------------------------------------------------------------------------------------------

    def hello(self) -> Hello:
        held = tuple(region for region, users in self._users.items() if users)
        self._hello = Hello(self.name, self.page_address, self.grpc_address, __version__, held)
        return self._hello

    def joined_as(self, welcome: Welcome) -> None:
        if self.cluster_id and welcome.cluster != self.cluster_id:
            self._forget_cluster()
            raise SessionLost(f"the directory at {self.directory_address} now serves another cluster")
        self.cluster_id, self.node_id, self.epoch = welcome.cluster, welcome.node, welcome.epoch
        self._request = first_request(welcome.epoch)
        self.members = {member.node: member for member in welcome.members}
        self.joined = True
        self._note(SessionBegan(welcome.cluster, welcome.node, welcome.epoch))
        for region_id in self.regions.keys() - self._users.keys():
            self._region_gone(region_id)  # the directory knows no more that pages of it were here
        for region_id in () if self._hello is None else self._hello.held:
            if not self._users[region_id]:  # its last user left when the directory could not be told
                self.spawn(self._left(region_id), f"close region {region_id}")
        for region in list(self.regions.values()):
            region.look_at_all()

    def _forget_cluster(self) -> None:
        self.cluster_id = ""
        for region_id in list(self.regions):
            self._region_gone(region_id)

    def session_ended(self) -> None:
        self.joined = False
        self.streams.forget_all()  # first, or the holes of dropped pages would be sent
        for region in self.regions.values():
            region.session_ended()
        self._note(SessionOver(self.node_id, self.epoch))

    def noticed(self, notice: Notice) -> None:
        match notice:
            case MemberJoined(member):
                self.members[member.node] = member
            case MemberLeft(node, epoch):
                if (left := self.members.get(node)) is not None and left.epoch == epoch:
                    del self.members[node]
                    self.streams.forget(node)
            case RegionGone(region_id):
                self._region_gone(region_id)
            case Welcome():
                raise ProtocolError("a second Welcome in one session")

    def home_said(self, run: Run[FromHome]) -> None:
        region = self.regions.get(run.region)
        if region is None:
            log.debug("home speaks of region %d, which is gone here", run.region)
            return
        if run.end > region.page_count:
            raise ProtocolError(f"home speaks of page {run.end - 1} of region {region.info.name!r}, beyond its end")
        for index in range(run.first, run.end):
            region.received(index, run.message)

    def _region_gone(self, region_id: RegionId) -> None:
        region = self.regions.pop(region_id, None)
        self._users.pop(region_id, None)
        if region is not None:
            self._note(RegionEnded(region_id))
            region.close(RegionNotFound(f"region {region.info.name!r} is gone"))

    # --- for clients ----------------------------------------------------------------------------------------------

    def caller(self) -> Caller:
        """Return who asks the directory for a change.

        Raises:
            SessionLost: nobody can ask, since no session is open.
        """
        if not self.joined:
            why = self.session.last_error
            raise SessionLost(f"node {self.name!r} has no session with the directory: {why}", definite=True)
        return Caller(self.node_id, self.epoch)

    async def create(self, request: RegionRequest) -> tuple[Region, bool]:
        """Create a region (or open it, with exist_ok) and count one more user. Return whether it is new."""
        async with self._opening:
            self._check_room_for_region()
            info, created = await self._counted(self.directory.create(self.caller(), request))
            return await self._entered(info, created), created

    async def open(self, name: str) -> tuple[Region, bool]:
        """Open a region and count one more user. As for `create`; it is not new."""
        async with self._opening:
            self._check_room_for_region()
            return await self._entered(await self._counted(self.directory.open(self.caller(), name)), False), False

    async def _counted(self, opening: Coroutine[Any, Any, T]) -> T:
        """Let the directory count this node as attached. What it counted in an earlier session is void, unless the
        Hello of the next one repeats it."""
        said = self._hello
        answer = await opening
        if self._hello is not said:
            raise SessionLost(f"the session of node {self.name!r} ended while it opened a region")
        return answer

    async def _entered(self, info: RegionInfo, created: bool) -> Region:
        """Enter a region that the directory has counted; undo that if this node has no descriptor or memory for it."""
        try:
            return self._enter(info)
        except OSError:
            if created:
                await _logged(self.directory.unlink(self.caller(), info.id))
            await _logged(self.directory.close(self.caller(), info.id))
            raise

    def enter_again(self, region_id: RegionId) -> Region:
        """Count one more user of a region that some client of this host has open; it may have lost its name."""
        if not self._users[region_id]:
            raise RegionNotFound(f"region {region_id} is not open on this host any more")
        return self._enter(self.regions[region_id].info)

    def _enter(self, info: RegionInfo) -> Region:
        region = self.regions.get(info.id)
        if region is None:
            step = cache_step if self._note is ignore else recorded_step(info.id, self._note)
            region = self.regions[info.id] = Region(self, info, step)
            self._note(RegionBegan(info.id, UNTOUCHED))
        self._users[info.id] += 1
        return region

    def _check_room_for_region(self) -> None:
        if len(self.regions) >= REGIONS_PER_NODE_MAX:
            raise LimitExceeded(
                f"node {self.name!r} has {REGIONS_PER_NODE_MAX:,} regions already", remedy="Unlink some"
            )

    def leave(self, region: Region) -> None:
        """Count one user less."""
        region_id = region.info.id
        self._users[region_id] -= 1
        if self._users[region_id] <= 0:
            del self._users[region_id]
            self.spawn(self._left(region_id), f"close region {region_id}")

    async def _left(self, region_id: RegionId) -> None:
        async with self._opening:
            if self._users[region_id] == 0 and self.joined:
                await _logged(self.directory.close(self.caller(), region_id))

    def unlink_soon(self, region_id: RegionId) -> None:
        """The client that a region was to live as long as is gone."""
        if self.joined:
            self.spawn(_logged(self.directory.unlink(self.caller(), region_id)), f"unlink region {region_id}")

    def attach(self, region: Region, attachment: Attachment) -> None:
        region.attachments.add(attachment)
        descriptor = attachment.fileno()
        if descriptor is not None:
            asyncio.get_running_loop().add_reader(descriptor, self._faults, region, attachment)

    def _faults(self, region: Region, attachment: Attachment) -> None:
        try:
            for fault in attachment.read_faults():
                region.faulted(attachment, fault)
        except ProtocolError as error:
            log.warning("pid %d: %s; detaching it", attachment.pid, error)
            self.detach(region, attachment)

    def detach(self, region: Region, attachment: Attachment) -> None:
        self._stop_reading(attachment)
        region.detach(attachment)

    def _stop_reading(self, attachment: Attachment) -> None:
        descriptor = attachment.fileno()
        if descriptor is not None and descriptor >= 0:
            asyncio.get_running_loop().remove_reader(descriptor)

    async def name_holder(self, region: Region, stuck: Stuck) -> str:
        """Say who has the page that somebody waited for in vain, in words."""
        if stuck.holder is not None:
            attachment = stuck.holder.attachment
            return f"{_process(attachment.command, attachment.pid)} on this host has it in a scope"
        try:
            async with asyncio.timeout(HOLDER_SECONDS):
                return await self._remote_holder(region, stuck.page)
        except (DsmError, TimeoutError):
            return f"the directory at {self.directory_address} does not say who has it"

    async def _remote_holder(self, region: Region, page: int) -> str:
        runs, _ = await self.directory.page_map(region.info.id, page, 1)
        nodes = {node for run in runs for node in (run.owner, *run.sharers) if node is not None} - {self.node_id}
        for member in [self.members[node] for node in sorted(nodes) if node in self.members]:
            async with rpc.channel(member.grpc_address) as channel:
                for holder in await NodeCalls(channel).holders(region.info.id, page, 1):
                    return f"{_process(holder.comm, holder.pid)} on node {member.name!r} has it in a scope"
        names = ", ".join(repr(self.name_of(node)) for node in sorted(nodes))
        return f"node {names} has it" if names else "nobody has it in a scope; it was still on its way"

    def name_of(self, node: NodeId | None) -> str | None:
        if node is None:
            return None
        member = self.members.get(node)
        return f"node {node}" if member is None else member.name

    def status(self) -> dict[str, Any]:
        return {
            "node": self.name,
            "node_id": self.node_id,
            "epoch": self.epoch,
            "cluster": self.cluster_id,
            "version": __version__,
            "directory": self.directory_address,
            "joined": self.joined,
            "last_error": None if self.joined else self.session.last_error,
            "uptime": time.monotonic() - self._started,
            "regions": len(self.regions),
            "clients": sum(len(region.attachments) for region in self.regions.values()),
            "memory": {"used": self.budget.used, "limit": self.budget.limit},
            "members": [
                {
                    "node_id": member.node,
                    "epoch": member.epoch,
                    "name": member.name,
                    "page_address": member.page_address,
                    "grpc_address": member.grpc_address,
                }
                for member in self.members.values()
            ],
        }

    # --- time and end ---------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Look after what is overdue, until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for region in list(self.regions.values()):
                region.tick()

    async def close(self) -> None:
        self.streams.close()
        await self._channel.close(None)


async def _logged(call: Coroutine[Any, Any, None]) -> None:
    try:
        await call
    except DsmError as error:
        log.warning("%s", error)


def _process(command: str, pid: int) -> str:
    return f"process {pid} ({command})" if command else f"process {pid}"
