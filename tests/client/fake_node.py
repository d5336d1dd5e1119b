"""A node daemon with no cluster behind it: the local protocol, real memory and faults, one node that owns every page.

    python -m tests.client.fake_node SOCKET [VERSION]

It prints its socket when it is ready and ends with its standard input. A process of its own, since a fault must be
answered by another process than the one that took it. Where the real daemon asks other nodes, this one grants at
once, so only scopes ever wait. VERSION is the protocol version that it claims.
"""

from __future__ import annotations

import array
import contextlib
import math
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsm.errors import (
    DeadlineExceeded,
    DsmError,
    InvalidArgument,
    LimitExceeded,
    ProtocolError,
    RegionClosed,
    RegionExists,
    RegionNotFound,
)
from dsm.memory.faults import Detached, FaultSource
from dsm.memory.segment import Segment
from dsm.wire.local import FrameReader, encode, error_to_map

Args = dict[str, Any]
NOBODY_WAITS = DeadlineExceeded("nobody waits any more")


@dataclass(eq=False)
class Region:
    info: Args
    segment: Segment
    present: set[int] = field(default_factory=set)
    scopes: list[Scope] = field(default_factory=list)
    waiting: list[Scope] = field(default_factory=list)

    def fill(self, page: int) -> None:
        size = self.info["page_size"]
        if page not in self.present:
            self.segment.zero(page * size, size)
            self.present.add(page)


@dataclass(eq=False)
class Attachment:
    number: int
    region: Region
    source: FaultSource | None

    def map(self, first: int, stop: int) -> None:
        size = self.region.info["page_size"]
        for page in range(first, stop):
            self.region.fill(page)
        if self.source is not None:
            self.source.map(first * size, (stop - first) * size, True)


@dataclass(eq=False)
class Scope:
    number: int
    call: int
    client: Client
    attachment: Attachment
    first: int
    stop: int
    write: bool
    deadline: float

    def conflicts(self, other: Scope) -> bool:
        return (self.write or other.write) and self.first < other.stop and other.first < self.stop


@dataclass(eq=False)
class Client:
    socket: socket.socket
    pid: int = 0
    reader: FrameReader = field(default_factory=FrameReader)
    arrived: list[int] = field(default_factory=list)
    attachments: dict[int, Attachment] = field(default_factory=dict)
    created: list[Region] = field(default_factory=list)

    def reply(self, call: int, outcome: Any, fds: tuple[int, ...] = ()) -> None:
        message: Args = {"id": call, "fds": len(fds)}
        message |= {"error": error_to_map(outcome)} if isinstance(outcome, DsmError) else {"ok": outcome}
        with contextlib.suppress(OSError):  # gone; the selector reports it
            socket.send_fds(self.socket, [encode(message)], list(fds))


class Node:
    """Everything happens in the one thread that runs `serve()`."""

    def __init__(self, path: str, version: int = 1) -> None:
        self.version = version
        self.calls: dict[str, int] = {}
        self.selector = selectors.DefaultSelector()
        self.regions: dict[int, Region] = {}
        self.clients: list[Client] = []
        self.numbers = 0
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.accept(listener))

    def serve(self, until: int) -> None:
        """Until that descriptor is at its end."""
        self.selector.register(until, selectors.EVENT_READ, None)
        while True:
            waits = [scope.deadline for region in self.regions.values() for scope in region.waiting]
            timeout = max(0.0, min(waits, default=math.inf) - time.monotonic())
            for key, _ in self.selector.select(None if timeout == math.inf else timeout):
                if key.data is None:
                    return
                key.data()
            for region in list(self.regions.values()):
                self.settle(region)

    def accept(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        client = Client(connection)
        self.clients.append(client)
        self.selector.register(connection, selectors.EVENT_READ, lambda: self.receive(client))

    def receive(self, client: Client) -> None:
        try:
            data, beside, _, _ = client.socket.recvmsg(1 << 16, 1024, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            data, beside = b"", []
        for _, _, payload in beside:
            client.arrived.extend(array.array("i", payload))
        if not data:
            self.leave(client)
            return
        try:
            messages = client.reader.feed(data)
        except (ProtocolError, LimitExceeded) as error:
            client.reply(0, error)
            self.leave(client)
            return
        for message in messages:
            self.answer(client, message)

    def answer(self, client: Client, message: Args) -> None:
        call, op = message.pop("id"), message.pop("op")
        self.calls[op] = self.calls.get(op, 0) + 1
        operation: Callable[..., Any] = getattr(self, f"do_{op}")
        try:
            if message.get("attachment", 0) not in (0, *client.attachments):
                raise ProtocolError(f"no attachment {message['attachment']} of this client")
            if op == "begin":
                operation(client, call, **message)
            else:
                fds = [client.arrived.pop(0) for _ in range(message.pop("fds", 0))]
                value = operation(client, *fds, **message)
                client.reply(call, *value) if isinstance(value, tuple) else client.reply(call, value)
        except DsmError as error:
            client.reply(call, error)

    def leave(self, client: Client) -> None:
        self.selector.unregister(client.socket)
        client.socket.close()
        self.clients.remove(client)
        for number in list(client.attachments):
            self.do_detach(client, number)
        for region in client.created:
            region.info["name"] = None
            self.forget(region)

    def fault(self, attachment: Attachment) -> None:
        assert attachment.source is not None
        for fault in attachment.source.read():
            page = fault.offset // attachment.region.info["page_size"]
            try:
                attachment.map(page, page + 1)
            except Detached:
                return

    # --- Scopes --------------------------------------------------------------------------------------------------

    def settle(self, region: Region) -> None:
        """Grant what can be granted, in order of arrival, and turn away what has waited too long."""
        for scope in list(region.waiting):
            earlier = region.waiting[: region.waiting.index(scope)]
            holder = next((other for other in region.scopes if scope.conflicts(other)), None)
            if holder is None and not any(scope.conflicts(other) for other in earlier):
                region.waiting.remove(scope)
                region.scopes.append(scope)
                scope.attachment.map(scope.first, scope.stop)
                scope.client.reply(scope.call, {"scope": scope.number})
            elif scope.deadline <= time.monotonic():
                region.waiting.remove(scope)
                who = f"process {holder.client.pid} of node fake" if holder else "a scope that waits"
                scope.client.reply(scope.call, DeadlineExceeded(f"pages of {region.info['name']!r} are held by {who}"))

    def drop(self, chosen: Callable[[Scope], bool], why: DsmError) -> None:
        for region in list(self.regions.values()):
            region.scopes = [scope for scope in region.scopes if not chosen(scope)]
            for scope in [scope for scope in region.waiting if chosen(scope)]:
                region.waiting.remove(scope)
                scope.client.reply(scope.call, why)
            self.settle(region)

    def do_begin(
        self, client: Client, call: int, attachment: int, offset: int, length: int, write: bool, timeout: float
    ) -> None:
        attached = client.attachments[attachment]
        size = attached.region.info["page_size"]
        self.numbers += 1
        pages = offset // size, -(-(offset + length) // size)
        scope = Scope(self.numbers, call, client, attached, *pages, write, time.monotonic() + timeout)
        attached.region.waiting.append(scope)
        self.settle(attached.region)

    def do_end(self, client: Client, scope: int) -> Args:
        self.drop(lambda other: other.number == scope, NOBODY_WAITS)
        return {}

    def do_cancel(self, client: Client, call: int) -> Args:
        self.drop(lambda scope: scope.client is client and scope.call == call, NOBODY_WAITS)
        return {}

    # --- Regions -------------------------------------------------------------------------------------------------

    def do_hello(self, client: Client, protocol: int, version: str, pid: int, scoped_only: bool) -> Args:
        client.pid = pid
        return {"protocol": self.version, "version": version, "node": "fake", "node_id": 1, "epoch": 1, "limits": {}}

    def do_create(self, client: Client, *, exist_ok: bool, attach: bool, **info: Any) -> tuple[Any, ...]:
        found = self.named(info["name"])
        if found is not None and not exist_ok:
            raise RegionExists(f"region {info['name']!r} exists")
        if found is not None and info["size"] != found.info["size"]:
            raise InvalidArgument(f"region {info['name']!r} exists with size {found.info['size']}, not {info['size']}")
        region = found or self.make(info)
        if found is None and info["lifetime"] == "creator":
            client.created.append(region)
        return region.info | {"created": found is None}, (region.segment.fd,)

    def make(self, info: Args) -> Region:
        number = len(self.regions) + self.numbers + 1
        self.numbers = number
        info["page_size"] = info["page_size"] or 65536
        pages = -(-info["size"] // info["page_size"])
        info |= {"id": number, "hold": info["hold"] or 0.001, "creator": "fake", "created_at": time.time()}
        region = Region(info, Segment.create(info["name"], pages * info["page_size"]))
        self.regions[number] = region
        return region

    def do_open(self, client: Client, name: str = "", region: int = 0) -> tuple[Any, ...]:
        found = self.regions[region] if region else self.find(name)
        return found.info | {"name": found.info["name"] or "gone", "created": False}, (found.segment.fd,)

    def do_attach(self, client: Client, *fds: int, region: int, base: int | None, mode: str | None) -> Args:
        found = self.regions[region]
        source = None if base is None else FaultSource(fds[0], base, found.segment.size)
        self.numbers += 1
        attachment = client.attachments[self.numbers] = Attachment(self.numbers, found, source)
        if source is not None:
            self.selector.register(source, selectors.EVENT_READ, lambda: self.fault(attachment))
        return {"attachment": attachment.number}

    def do_detach(self, client: Client, attachment: int) -> Args:
        gone = client.attachments.pop(attachment)
        self.drop(lambda scope: scope.attachment is gone, RegionClosed("the region was closed meanwhile"))
        if gone.source is not None:
            self.selector.unregister(gone.source)
            gone.source.close()
        self.forget(gone.region)
        return {}

    def do_prefetch(
        self, client: Client, attachment: int, offset: int, length: int, write: bool, timeout: float
    ) -> Args:
        size = client.attachments[attachment].region.info["page_size"]
        client.attachments[attachment].map(offset // size, -(-(offset + length) // size))
        return {}

    def do_flush(self, client: Client, attachment: int) -> Args:
        return {}

    def do_who_has(self, client: Client, attachment: int, offset: int, length: int) -> list[Any]:
        region = client.attachments[attachment].region
        size = region.info["page_size"]
        pages = range(offset // size, -(-(offset + length) // size))
        return [[page, 1, "fake" if page in region.present else None, [], 1, False] for page in pages]

    def do_stats(self, client: Client, region: int | None) -> Args:
        regions = self.regions.values()
        return {"calls": self.calls, "waiting": sum(len(found.waiting) for found in regions)}

    def do_list(self, client: Client) -> list[Args]:
        return [region.info for region in self.regions.values() if region.info["name"]]

    def do_describe(self, client: Client, name: str) -> Args:
        return self.find(name).info | {"attached": ["fake"], "pages": {"touched": len(self.find(name).present)}}

    def do_unlink(self, client: Client, name: str) -> Args:
        region = self.find(name)
        region.info["name"] = None
        self.forget(region)
        return {}

    def do_status(self, client: Client) -> Args:
        attached = sum(len(each.attachments) for each in self.clients)
        return {"node": "fake", "clients": len(self.clients), "attachments": attached, "regions": len(self.regions)}

    def do_nonsense(self, client: Client) -> Args:
        raise InvalidArgument("no")

    def named(self, name: str) -> Region | None:
        return next((region for region in self.regions.values() if region.info["name"] == name), None)

    def find(self, name: str) -> Region:
        found = self.named(name)
        if found is None:
            raise RegionNotFound(f"there is no region {name!r}")
        return found

    def forget(self, region: Region) -> None:
        attached = any(
            attachment.region is region for client in self.clients for attachment in client.attachments.values()
        )
        if region.info["name"] is None and not attached and region.info["id"] in self.regions:
            del self.regions[region.info["id"]]
            region.segment.close()


def main() -> None:
    path, *version = sys.argv[1:]
    node = Node(path, *map(int, version))
    sys.stdout.write(f"{path}\n")
    sys.stdout.flush()
    node.serve(sys.stdin.fileno())
    os.unlink(path)


if __name__ == "__main__":
    main()
