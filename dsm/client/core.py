"""What a client does, as coroutines; `sync.Client` and `aio.AsyncClient` are its faces.

A client lives as long as anything needs it: its own face, a region, an array. When the face is closed, or dropped,
while arrays are alive, the connection stays until the last of them is collected.
"""

from __future__ import annotations

import os
import socket
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import dsm
from dsm.client import checks
from dsm.client.address import open_socket
from dsm.client.attach import Attachment, attach
from dsm.client.channel import close_all
from dsm.client.checks import Lifetime, Mode
from dsm.client.records import RegionDetails, RegionInfo, decode_dict, decode_list
from dsm.client.region import RegionCore, close_attachment
from dsm.client.transport import Transport
from dsm.errors import ArraysAlive, InvalidArgument, ProtocolError, RegionClosed
from dsm.limits import CALL_SECONDS, CONNECT_SECONDS, HOLD_SECONDS_MAX
from dsm.memory.faults import Support, probe
from dsm.wire.local import PROTOCOL_VERSION

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dsm.client.arrays import Shape

Address = str | os.PathLike[str] | None
MakeTransport = Callable[[socket.socket, str], Transport]

#: Every client of this process, for the child of a fork.
live: weakref.WeakSet[ClientCore] = weakref.WeakSet()


class ClientCore:
    """A session with the node daemon of this host."""

    def __init__(self, address: Address, transport: Transport, support: Support) -> None:
        self.given_address = address if address is None else os.fspath(address)
        self.transport = transport
        self.support = support
        self.node = ""
        self.generation = 0
        self.closed = False
        self.attachments: set[Attachment] = set()
        live.add(self)

    @property
    def transparent(self) -> bool:
        return self.support.mode is not None

    @property
    def access(self) -> str:
        """How regions can be reached: "transparent-full", "transparent-user" or "scoped"."""
        return f"transparent-{self.support.mode}" if self.transparent else "scoped"

    @property
    def address(self) -> str:
        return self.transport.channel.address

    async def call(
        self, op: str, fds: Sequence[int] = (), within: float = CALL_SECONDS, **arguments: Any
    ) -> tuple[Any, tuple[int, ...]]:
        return await self.transport.call(op, fds, within, **arguments)

    async def hello(self, within: float = CONNECT_SECONDS) -> None:
        """Introduce this process, and see that both sides speak the same protocol."""
        reply, _ = await self.call(
            "hello",
            within=within,
            protocol=PROTOCOL_VERSION,
            version=dsm.__version__,
            pid=os.getpid(),
            scoped_only=not self.transparent,
        )
        match reply:
            case {"protocol": int(protocol), "version": str(version), "node": str(node)}:
                self.node = node
            case _:
                raise ProtocolError(f"{self.address} answered {reply!r:.100} to a greeting, and is no node daemon")
        if protocol != PROTOCOL_VERSION:
            ours = f"this client, version {dsm.__version__}, speaks version {PROTOCOL_VERSION} of the local protocol"
            message = f"{ours}, and the node daemon at {self.address}, version {version}, speaks version {protocol}"
            raise ProtocolError(
                message, remedy="Install the same version of dsm on both sides and start the daemon again"
            )

    async def create(
        self,
        name: str,
        size: object,
        *,
        page_size: object,
        lifetime: Lifetime,
        hold: float | None,
        mode: Mode,
        exist_ok: bool = False,
        shape: tuple[int, ...] | None = None,
        dtype: str | None = None,
    ) -> RegionCore:
        """Create a region and attach it; with `exist_ok` one that exists already and has the same size."""
        arguments: dict[str, Any] = {
            "name": checks.region_name(name),
            "size": checks.region_size(size),
            "page_size": None if page_size is None else checks.page_size(page_size),
            "lifetime": checks.lifetime(lifetime),
            "hold": None if hold is None else checks.seconds(hold, "hold", HOLD_SECONDS_MAX),
        }
        return await self._attach("create", mode, **arguments, exist_ok=exist_ok, shape=shape, dtype=dtype, attach=True)

    async def open(self, name: str, mode: Mode) -> RegionCore:
        """Attach a region that exists."""
        return await self._attach("open", mode, name=checks.region_name(name))

    async def array(
        self, name: str, shape: Shape | None, dtype: DTypeLike | None, *, mode: Mode, **options: Any
    ) -> NDArray[Any]:
        """An array by name, created if it is not there and both shape and dtype are given."""
        from dsm.client import arrays

        extents = None if shape is None else arrays.parse_shape(shape)
        kind = None if dtype is None else arrays.parse_dtype(dtype)
        if extents is None or kind is None or checks.mode(mode) == "r":
            region = await self.open(name, mode)
        else:
            extents, kind = arrays.fold(extents, kind)
            options |= {"shape": extents, "dtype": arrays.encode_dtype(kind), "exist_ok": True}
            region = await self.create(name, arrays.region_size(name, extents, kind), mode=mode, **options)
        try:
            _check_form(region.info, extents, kind)
            return region.ndarray(None, None, 0)
        except BaseException:
            await region.close()
            raise

    async def list(self) -> list[RegionInfo]:
        reply, _ = await self._call("list")
        return [RegionInfo.decode(row) for row in decode_list(reply)]

    async def describe(self, name: str) -> RegionDetails:
        reply, _ = await self._call("describe", name=checks.region_name(name))
        return RegionDetails.decode(reply)

    async def unlink(self, name: str) -> None:
        await self._call("unlink", name=checks.region_name(name))

    async def status(self) -> dict[str, Any]:
        """What the daemon tells of itself, and how this client reaches memory."""
        reply, _ = await self._call("status")
        here = {"access": self.access, "reason": self.support.reason, "remedy": self.support.remedy}
        return decode_dict(reply) | {"client": here}

    async def stats(self, region: int | None) -> dict[str, Any]:
        reply, _ = await self._call("stats", region=region)
        return decode_dict(reply)

    async def close(self, *, leave_arrays: bool = False) -> None:
        """Close every region, then the connection. Twice is fine.

        With `leave_arrays` a region with arrays stays until they are gone, and the connection with it.

        Raises:
            ArraysAlive: arrays point into some regions. The others are closed, these and the client are not.
        """
        alive = []  # not the errors: they would hold the frames, and those the mappings
        for attachment in list(self.attachments):
            try:
                await close_attachment(attachment)
            except ArraysAlive as error:
                alive.append(error.message)
        if alive and not leave_arrays:
            raise ArraysAlive("; ".join(alive))
        self.closed = True
        self._end_if_unused()

    def released(self, number: int) -> None:
        """The mapping of an attachment was collected. In a finalizer, so nothing here waits."""
        if number:
            self.transport.post("detach", attachment=number)
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self.closed and not self.attachments:
            self.transport.close(RegionClosed("the client was closed"))

    async def _call(self, op: str, **arguments: Any) -> tuple[Any, tuple[int, ...]]:
        if self.closed:
            raise RegionClosed("the client was closed", remedy="Connect again")
        return await self.call(op, **arguments)

    async def _attach(self, op: str, mode: Mode, **arguments: Any) -> RegionCore:
        mode = checks.mode(mode)
        reply, fds = await self._call(op, **arguments)
        try:
            info, created = RegionInfo.decode(reply), reply.get("created") is True
            if len(fds) != 1:
                raise ProtocolError(f"{len(fds)} descriptors came with region {info.name!r}, not one")
        except BaseException:
            close_all(fds)
            raise
        attachment, mapping = await attach(self, info, mode, fds[0])
        return RegionCore(self, attachment, mapping, created)


async def connect(address: Address, wait: float | None, scoped_only: bool | None, make: MakeTransport) -> ClientCore:
    """Connect to a node daemon."""
    seconds = checks.timeout(wait, CONNECT_SECONDS)
    sock, path = open_socket(address, seconds)
    core = ClientCore(address, make(sock, path), _support(scoped_only))
    try:
        await core.hello(seconds)
    except BaseException:
        await core.close()
        raise
    return core


def _support(scoped_only: bool | None) -> Support:
    if os.environ.get("DSM_SCOPED_ONLY") == "1" if scoped_only is None else scoped_only:
        asked = "this client was asked for scoped access only"
        remedy = "Use region.read() and region.write(), or connect without scoped_only and DSM_SCOPED_ONLY"
        return Support(None, os.uname().release, (), (), asked, remedy)
    return probe()


def _check_form(info: RegionInfo, shape: tuple[int, ...] | None, kind: Any) -> None:
    """The stored shape and dtype may not contradict what was asked for."""
    from dsm.client import arrays

    if info.shape is None or info.dtype is None:
        message = f"region {info.name!r} was not created as an array"
        raise InvalidArgument(message, remedy="Use open() and region.ndarray(shape, dtype)")
    stored = arrays.decode_dtype(info.dtype)
    asked = arrays.fold(info.shape if shape is None else shape, stored if kind is None else kind)
    if asked != (info.shape, stored):
        raise InvalidArgument(
            f"array {info.name!r} has shape {info.shape} and dtype {stored}, not {asked[0]} and {asked[1]}",
            remedy="Leave out shape and dtype, or unlink it first",
        )
