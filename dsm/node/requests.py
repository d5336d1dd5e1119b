"""What a client may ask of its node daemon, and what the daemon holds for it.

Each operation of the local socket is one method, `_do_<op>`. One that can be answered at once returns a Reply, so that
a scope on pages that are held costs one turn of the event loop; the others are coroutines.

What a call took for its client is kept with the call's number, because a client that no longer waits for the answer
may cancel it, before it is answered or after. A client that is gone has cancelled all that it had under way.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from dsm import __version__
from dsm.core.types import RegionId
from dsm.errors import (
    DeadlineExceeded,
    InvalidArgument,
    LimitExceeded,
    ProtocolError,
    RegionClosed,
    RegionNotFound,
    SessionLost,
)
from dsm.limits import SCOPE_PAGES_MAX, SCOPE_SECONDS_DEFAULT, SCOPE_SECONDS_MAX, WHO_HAS_RUNS_MAX
from dsm.memory.faults import FaultSource
from dsm.node.attachment import Attachment
from dsm.node.local import Answer, Call, Peer, Reply
from dsm.node.node import Node
from dsm.node.region import Region
from dsm.node.scopes import Scope, Stuck, Sweep
from dsm.node.stats import Stats
from dsm.wire.directory import Lifetime, RegionRequest
from dsm.wire.local import PROTOCOL_VERSION

INTEGER_MAX = (1 << 63) - 1  # what protobuf and the kernel take; each operation has a bound of its own

T = TypeVar("T")
D = TypeVar("D", float, None)


class Client:
    """One client of the node daemon, from its `hello` to the end of its connection."""

    def __init__(self, node: Node, peer: Peer) -> None:
        self._node = node
        self._peer = peer
        self._greeted = False
        self._number = 0
        self._opening: set[int] = set()
        """Calls of open and create under way."""
        self._opened: list[tuple[int, Region]] = []
        """One entry, with its call, for each open that was not attached yet."""
        self._created: set[RegionId] = set()
        """Regions that go with this client."""
        self._attachments: dict[int, tuple[int, Region, Attachment]] = {}
        """With the call that made each."""
        self._sweeps: dict[int, Sweep] = {}
        """Scopes and prefetches that wait for their pages, by call."""
        self._scopes: dict[int, tuple[int, Scope]] = {}
        """Scopes that have begun, with their call."""

    def handle(self, call: Call) -> Answer:
        """Answer a call.

        Raises:
            DsmError: the call is refused.
        """
        if not self._greeted and call.op != "hello":
            raise ProtocolError(f"{call.op!r:.40} before hello")
        handler = getattr(self, f"_do_{call.op}", None)
        if handler is None:
            raise ProtocolError(f"this node daemon knows no operation {call.op!r:.40}")
        answer: Answer = handler(call)
        return answer

    def closed(self) -> None:
        """The client is gone: give back all that it had."""
        self._opening.clear()
        for number in list(self._attachments):
            self._node.leave(self._detach(number))
        for _, region in self._opened:
            self._node.leave(region)
        for region_id in self._created:
            self._node.unlink_soon(region_id)

    # --- regions --------------------------------------------------------------------------------------------------

    def _do_hello(self, call: Call) -> Reply:
        protocol = _argument(call, "protocol", int)
        if protocol != PROTOCOL_VERSION:
            raise ProtocolError(
                f"the client speaks version {protocol} of the local protocol, this node daemon {PROTOCOL_VERSION}",
                remedy="Install the same version of dsm for both",
            )
        self._greeted = True
        node = self._node
        return Reply(
            {
                "protocol": PROTOCOL_VERSION,
                "version": __version__,
                "node": node.name,
                "node_id": node.node_id,
                "epoch": node.epoch,
                "pid": os.getpid(),
            }
        )

    async def _do_create(self, call: Call) -> Reply:
        request = RegionRequest(
            name=_argument(call, "name", str),
            size=_argument(call, "size", int),
            page_size=_optional(call, "page_size", int),
            lifetime=Lifetime.named(_argument(call, "lifetime", str)),
            hold=_seconds(call, "hold", None),
            shape=_shape(call),
            dtype=_optional(call, "dtype", str),
            exist_ok=_optional(call, "exist_ok", bool) or False,
        )
        region, created = await self._entered(call, self._node.create(request))
        if created and region.info.lifetime is Lifetime.CREATOR:
            self._created.add(region.info.id)
        return Reply(region.info.to_map() | {"created": created}, [region.segment.fd])

    async def _do_open(self, call: Call) -> Reply:
        known = _optional(call, "region", int)
        if known is not None:
            region = self._node.enter_again(RegionId(known))
            self._opened.append((call.number, region))
        else:
            region, _ = await self._entered(call, self._node.open(_argument(call, "name", str)))
        return Reply(region.info.to_map() | {"created": False}, [region.segment.fd])

    async def _entered(self, call: Call, entering: Coroutine[Any, Any, tuple[Region, bool]]) -> tuple[Region, bool]:
        self._opening.add(call.number)
        try:
            region, created = await entering
            wanted = call.number in self._opening
        finally:
            self._opening.discard(call.number)
        if wanted:
            self._opened.append((call.number, region))
            return region, created
        self._node.leave(region)
        if created and region.info.lifetime is Lifetime.CREATOR:
            self._node.unlink_soon(region.info.id)
        raise RegionClosed(f"nobody waits for region {region.info.name!r} any more")

    async def _do_unlink(self, call: Call) -> Reply:
        await self._node.directory.unlink(self._node.caller(), _argument(call, "name", str))
        return Reply({})

    async def _do_list(self, _call: Call) -> Reply:
        return Reply([info.to_map() for info in await self._node.directory.regions()])

    async def _do_describe(self, call: Call) -> Reply:
        found = await self._node.directory.describe(_argument(call, "name", str))
        pages = {name: getattr(found.pages, name) for name in found.pages.__slots__}
        return Reply(found.info.to_map() | {"attached": list(found.attached), "pages": pages})

    # --- attachments ----------------------------------------------------------------------------------------------

    def _do_attach(self, call: Call) -> Reply:
        region_id = _argument(call, "region", int)
        opened = next((opened for opened in self._opened if opened[1].info.id == region_id), None)
        if opened is None:
            raise ProtocolError(f"attach of region {region_id} before it was opened")
        _, region = opened
        if region.gone is not None:
            raise region.gone
        attachment = self._attachment(call, region)
        self._opened.remove(opened)
        self._number += 1
        self._attachments[self._number] = (call.number, region, attachment)
        self._node.attach(region, attachment)
        return Reply({"attachment": self._number})

    def _attachment(self, call: Call, region: Region) -> Attachment:
        base, page_size = _optional(call, "base", int), region.info.page_size
        if base is None:
            return Attachment(page_size, self._peer.pid, None)
        if len(call.descriptors) != 1:
            raise ProtocolError("attach with a base needs one descriptor, the userfaultfd")
        source = FaultSource(call.descriptors[0], base, region.segment.size)
        call.descriptors.clear()
        return Attachment(page_size, self._peer.pid, source)

    def _do_detach(self, call: Call) -> Reply:
        number = _argument(call, "attachment", int)
        self._attached(call)
        self._node.leave(self._detach(number))
        return Reply({})

    def _detach(self, number: int) -> Region:
        """Take an attachment back; the region stays counted as opened until the node is told otherwise."""
        _, region, attachment = self._attachments.pop(number)
        for scope_number, (_, scope) in list(self._scopes.items()):
            if scope.attachment is attachment:
                del self._scopes[scope_number]
        self._node.detach(region, attachment)
        return region

    def _attached(self, call: Call) -> tuple[Region, Attachment]:
        number = _argument(call, "attachment", int)
        if number not in self._attachments:
            raise ProtocolError(f"no attachment {number} of this client")
        _, region, attachment = self._attachments[number]
        return region, attachment

    # --- pages ----------------------------------------------------------------------------------------------------

    def _do_begin(self, call: Call) -> Answer:
        scope = Scope(*self._pages(call), write=_argument(call, "write", bool))
        scope.start(_seconds(call, "timeout", SCOPE_SECONDS_DEFAULT))
        if scope.ready.done() and not scope.ready.exception():
            return self._begun(call, scope)
        self._sweeps[call.number] = scope
        return self._begin(call, scope)

    async def _begin(self, call: Call, scope: Scope) -> Reply:
        await self._arrival(call, scope)
        if scope not in scope.region.sweeps:  # detached or cancelled after the last page came
            raise RegionClosed(f"region {scope.region.info.name!r} was closed meanwhile")
        return self._begun(call, scope)

    def _begun(self, call: Call, scope: Scope) -> Reply:
        self._number += 1
        self._scopes[self._number] = (call.number, scope)
        return Reply({"scope": self._number})

    def _do_end(self, call: Call) -> Reply:
        number = _argument(call, "scope", int)
        if number not in self._scopes:
            raise ProtocolError(f"no scope {number} of this client")
        _, scope = self._scopes.pop(number)
        scope.close()
        if scope.broken:
            raise SessionLost(f"the node's session ended within a scope on region {scope.region.info.name!r}")
        return Reply({})

    async def _do_prefetch(self, call: Call) -> Reply:
        sweep = Sweep(*self._pages(call), write=_optional(call, "write", bool) or False)
        sweep.start(_seconds(call, "timeout", SCOPE_SECONDS_DEFAULT))
        self._sweeps[call.number] = sweep
        await self._arrival(call, sweep)
        return Reply({})

    async def _arrival(self, call: Call, sweep: Sweep) -> None:
        try:
            await sweep.ready
        except Stuck as stuck:
            raise await self._deadline_exceeded(sweep, stuck) from None
        finally:
            self._sweeps.pop(call.number, None)

    def _do_cancel(self, call: Call) -> Reply:
        """Undo what another call took, or is about to take: the client does not wait for it any more."""
        other = _argument(call, "call", int)
        self._opening.discard(other)
        for opened in [opened for opened in self._opened if opened[0] == other]:
            self._opened.remove(opened)
            self._node.leave(opened[1])
        for number in [number for number, (made_by, *_) in self._attachments.items() if made_by == other]:
            self._node.leave(self._detach(number))
        if other in self._sweeps:
            self._sweeps.pop(other).abandon()
        for number in [number for number, (begun_by, _) in self._scopes.items() if begun_by == other]:
            self._scopes.pop(number)[1].close()
        return Reply({})

    async def _deadline_exceeded(self, sweep: Sweep, stuck: Stuck) -> DeadlineExceeded:
        name, waited = sweep.region.info.name, sweep.region.now() - sweep.since
        holder = await self._node.name_holder(sweep.region, stuck)
        kind = "write" if sweep.write else "read"
        return DeadlineExceeded(
            f"waited {waited:.3g} s to {kind} page {stuck.page} of region {name!r}: {holder}",
            remedy="Wait longer, or take pages in ascending order if you nest scopes",
        )

    def _range(self, call: Call) -> tuple[Region, Attachment, int, int]:
        """Return the pages that hold the bytes offset..offset+length-1, as first page and count."""
        region, attachment = self._attached(call)
        if region.gone is not None:
            raise region.gone
        offset, length = _argument(call, "offset", int), _argument(call, "length", int)
        if not 0 <= offset < offset + length <= region.info.size:
            raise InvalidArgument(
                f"{length} bytes from {offset} are not inside region {region.info.name!r} of {region.info.size} bytes"
            )
        first = offset // region.info.page_size
        return region, attachment, first, -(-(offset + length) // region.info.page_size) - first

    def _pages(self, call: Call) -> tuple[Region, Attachment, int, int]:
        """As `_range`, of no more pages than can be brought here at once."""
        region, attachment, first, count = self._range(call)
        if count > SCOPE_PAGES_MAX:
            raise LimitExceeded(f"{count:,} pages at once, of {SCOPE_PAGES_MAX:,}", remedy="Take a smaller range")
        return region, attachment, first, count

    def _do_flush(self, call: Call) -> Reply:
        self._attached(call)
        self._node.caller()
        return Reply({})

    async def _do_who_has(self, call: Call) -> Reply:
        region, _, first, count = self._range(call)
        runs, after = [], first
        while after < first + count:
            found, after = await self._node.directory.page_map(region.info.id, after, first + count - after)
            runs += found
            if len(runs) > WHO_HAS_RUNS_MAX:
                raise LimitExceeded("the pages are too scattered for one answer", remedy="Ask for a smaller range")
        name = self._node.name_of
        return Reply(
            [
                [run.first, run.count, name(run.owner), [name(node) for node in run.sharers], run.version, run.lost]
                for run in runs
            ]
        )

    # --- status ---------------------------------------------------------------------------------------------------

    def _do_stats(self, call: Call) -> Reply:
        wanted = _optional(call, "region", int)
        regions = [r for r in self._node.regions.values() if wanted is None or r.info.id == wanted]
        if wanted is not None and not regions:
            raise RegionNotFound(f"this node has nothing to do with region {wanted}")
        total = Stats()
        for region in regions:
            total.merge(region.stats)
        return Reply(total.as_map())

    def _do_status(self, _call: Call) -> Reply:
        return Reply(self._node.status())


def _argument(call: Call, name: str, kind: type[T]) -> T:
    value = call.arguments.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidArgument(f"{call.op} needs {name} as {kind.__name__}, not {value!r:.80}")
    if isinstance(value, int) and not 0 <= value <= INTEGER_MAX:
        raise InvalidArgument(f"{call.op} needs {name} from 0 to {INTEGER_MAX:,}, not {value:,}")
    return value


def _optional(call: Call, name: str, kind: type[T]) -> T | None:
    return None if call.arguments.get(name) is None else _argument(call, name, kind)


def _seconds(call: Call, name: str, default: D) -> float | D:
    value = call.arguments.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= SCOPE_SECONDS_MAX:
        raise InvalidArgument(
            f"{call.op} needs {name} as seconds from 0 to {SCOPE_SECONDS_MAX:,.0f}, not {value!r:.80}"
        )
    return float(value)


def _shape(call: Call) -> tuple[int, ...] | None:
    shape = call.arguments.get("shape")
    if shape is None:
        return None
    if not isinstance(shape, list) or not all(type(length) is int and 0 <= length <= INTEGER_MAX for length in shape):
        raise InvalidArgument(f"a shape is a list of lengths from 0 up, not {shape!r:.80}")
    return tuple(shape)
