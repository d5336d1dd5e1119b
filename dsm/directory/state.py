"""Everything the directory knows, and the one place where its parts meet. No method waits for anything but the disk.

Order that others rely on:

* A node hears of a member (Welcome, MemberJoined) before any message about a page that could name it, since the
  broadcast is put into every session's queue before the new node's first message is read.
* MemberLeft goes out before the messages that follow from the end, such as Lost.
* When a node joins while its older session is still there, the older one is over, with all that follows, before the
  new epoch begins. What the node still has attached passes over, so no region goes in between.
"""

from __future__ import annotations

import logging
import time

from dsm.core import membership
from dsm.core.membership import Change, Joined, Member, Membership
from dsm.core.messages import FromHome, GetM, GetS, Put, ToHome
from dsm.core.types import REQUESTS_PER_EPOCH, NodeId, RegionId
from dsm.directory.pages import Pages
from dsm.directory.recorded import RecordedPages
from dsm.directory.regions import Region, Regions
from dsm.directory.sessions import Session
from dsm.directory.store import Store
from dsm.errors import DirectoryUnavailable, InvalidArgument, LimitExceeded, ProtocolError, SessionLost
from dsm.limits import SESSIONS_MAX
from dsm.trace.files import Recorder
from dsm.trace.records import Note, SessionBegan, SessionOver, ignore
from dsm.wire.directory import Caller, ClusterStatus, Description, PageMapRun, RegionInfo, RegionRequest
from dsm.wire.runs import Run
from dsm.wire.session import PROTOCOL_VERSION, Hello, MemberJoined, MemberLeft, RegionGone, Welcome

log = logging.getLogger(__name__)


class Directory:
    """One life of the directory over its store."""

    def __init__(self, store: Store, version: str, recorder: Recorder | None = None) -> None:
        self._store = store
        self._version = version
        self._started = time.monotonic()
        self._cluster = store.cluster()
        self._members = Membership()
        self._sessions: dict[NodeId, Session] = {}
        self._note: Note = ignore if recorder is None else recorder.note
        self._pages = (
            Pages(self._say, store.mark_written)
            if recorder is None
            else RecordedPages(self._say, store.mark_written, recorder.note)
        )
        stored = store.regions()
        self._newest_region = store.newest_region()
        self._regions = Regions(store, stored, self._gone)
        for one in stored:
            self._pages.add(one.info.id, one.info.pages, one.written)
        self._stopping = False

    # --- Sessions ------------------------------------------------------------------------------------------------

    def join(self, hello: Hello) -> Session:
        """Begin a session.

        Raises:
            ProtocolError: the node speaks another protocol.
            LimitExceeded: there are too many nodes.
            DirectoryUnavailable: the directory stops, or its store cannot be written.
        """
        self._admit(hello)
        node, epoch = self._store.node(hello.name), self._store.next_epoch()
        old = self._sessions.get(node)
        if old is not None:
            self._end(old, handing_over=True)
            old.end(SessionLost(f"node {hello.name!r} began a newer session", remedy="Give every node its own name"))
        member = Member(node, epoch, hello.name, hello.page_address, hello.grpc_address, hello.version)
        self._members, changes = membership.join(self._members, member)
        self._announce(changes)
        session = self._sessions[node] = Session(member)
        self._note(SessionBegan(self._cluster, node, epoch))
        session.tell(Welcome(node, epoch, self._cluster, tuple(self._members)))
        for region in self._regions.joined(node, hello.held):
            session.tell(RegionGone(region))
        log.info("node %d %r joined with epoch %d from %s", node, hello.name, epoch, hello.page_address)
        return session

    def _admit(self, hello: Hello) -> None:
        if self._stopping:
            raise self._stopped()
        if hello.protocol != PROTOCOL_VERSION:
            raise ProtocolError(
                f"node {hello.name!r} ({hello.version}) speaks protocol {hello.protocol}, "
                f"this directory ({self._version}) protocol {PROTOCOL_VERSION}",
                remedy="Run the same version of dsm on every host",
            )
        if len(self._sessions) >= SESSIONS_MAX:
            raise LimitExceeded(f"the cluster has {SESSIONS_MAX:,} nodes already")

    def ended(self, session: Session) -> None:
        """Do what follows from the end of a session; nothing, if it was replaced and that is done."""
        if self._sessions.get(session.member.node) is session and not self._stopping:
            self._end(session)

    def _end(self, session: Session, handing_over: bool = False) -> None:
        member = session.member
        del self._sessions[member.node]
        self._members, changes = membership.ended(self._members, member.node, member.epoch)
        self._announce(changes)
        self._pages.session_ended(member.node)
        self._note(SessionOver(member.node, member.epoch))
        if not handing_over:
            self._regions.ended(member.node)
        log.info("node %d %r left, epoch %d is over", member.node, member.name, member.epoch)

    def _announce(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            member = change.member
            joined = isinstance(change, Joined)
            notice = MemberJoined(member) if joined else MemberLeft(member.node, member.epoch)
            for session in self._sessions.values():
                session.tell(notice)

    def receive(self, session: Session, run: Run[ToHome]) -> None:
        """Take what the node of a session says about a run of pages.

        Raises:
            ProtocolError: it cannot say this; its session has to end.
        """
        member, message = session.member, run.message
        if isinstance(message, GetS | GetM | Put) and message.request // REQUESTS_PER_EPOCH != member.epoch:
            raise ProtocolError(f"{message} is not a request of epoch {member.epoch}")
        if run.region not in self._regions:
            if run.region > self._newest_region:
                raise ProtocolError(f"{message} about region {run.region}, which never was")
            return  # said before the node heard RegionGone
        self._pages.receive(member.node, run)

    def _say(self, node: NodeId, region: RegionId, first: int, count: int, message: FromHome) -> None:
        session = self._sessions.get(node)
        if session is not None:
            session.say(region, first, count, message)

    # --- Regions -------------------------------------------------------------------------------------------------

    def create(self, caller: Caller, request: RegionRequest) -> tuple[RegionInfo, bool]:
        member = self._check(caller)
        region, created = self._regions.create(member.node, member.name, request, time.time())
        if created:
            self._newest_region = region.info.id
            self._pages.add(region.info.id, region.info.pages, written=False)
            log.info("node %d created region %d %r", member.node, region.info.id, region.info.name)
        return region.info, created

    def open(self, caller: Caller, name: str) -> RegionInfo:
        return self._regions.open(self._check(caller).node, name).info

    def close(self, caller: Caller, region: RegionId) -> None:
        self._regions.close(self._check(caller).node, region)

    def unlink(self, caller: Caller, target: str | RegionId) -> None:
        self._check(caller)
        find = self._regions
        self._regions.unlink(find.named(target) if isinstance(target, str) else find.numbered(target))

    def regions(self) -> list[RegionInfo]:
        return self._regions.infos()

    def describe(self, name: str) -> Description:
        region = self._regions.named(name)
        attached = sorted(member.name for member in self._members if member.node in region.attached)
        return Description(region.info, tuple(attached), self._pages.counts(region.info.id))

    def page_map(self, region: RegionId, first: int, count: int) -> tuple[list[PageMapRun], int]:
        pages = self._regions.numbered(region).info.pages
        if count < 1 or first + count > pages:
            raise InvalidArgument(f"{count:,} pages from {first:,} on in a region of {pages:,}")
        return self._pages.map(region, first, count)

    def _check(self, caller: Caller) -> Member:
        member = self._members.get(caller.node)
        if member is None or member.epoch != caller.epoch:
            raise SessionLost(f"epoch {caller.epoch} of node {caller.node} is not current", definite=True)
        return member

    def _gone(self, region: Region) -> None:
        number = region.info.id
        self._pages.drop(number)
        for node in region.known_to & self._sessions.keys():
            self._sessions[node].tell(RegionGone(number))
        log.info("region %d %r is gone", number, region.info.name)

    def sweep(self) -> None:
        """End the regions of an earlier life that no node has claimed by now."""
        self._regions.sweep()

    # --- The whole -----------------------------------------------------------------------------------------------

    def status(self) -> ClusterStatus:
        uptime = time.monotonic() - self._started
        counters = dict(self._pages.counters)
        return ClusterStatus(self._cluster, self._version, uptime, tuple(self._members), len(self._regions), counters)

    def stop(self) -> None:
        """End every session without what follows from a node's end: the nodes live on and will come back."""
        self._stopping = True
        for session in self._sessions.values():
            session.end(self._stopped())

    def _stopped(self) -> DirectoryUnavailable:
        return DirectoryUnavailable("the directory stops", remedy="Wait until it is started again", definite=True)
