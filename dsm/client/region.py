"""What a region does, as coroutines; `sync.Region` and `aio.AsyncRegion` are its faces."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from dsm.client import checks
from dsm.client.attach import Attachment
from dsm.client.checks import Mode
from dsm.client.records import PageHolders, RegionInfo, decode_list, decode_number
from dsm.client.scopes import Scope
from dsm.client.shield import Shield
from dsm.errors import (
    AccessDenied,
    ArraysAlive,
    DsmError,
    InvalidArgument,
    ProtocolError,
    RegionClosed,
    TransparentAccessUnavailable,
    Unavailable,
)
from dsm.limits import CALL_SECONDS, SCOPE_SECONDS_DEFAULT
from dsm.memory.mapping import Mapping

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dsm.client.arrays import Shape
    from dsm.client.core import ClientCore


class RegionCore:
    """A region that this process has attached. Not collected, the mapping lives until `close()`."""

    def __init__(self, core: ClientCore, attachment: Attachment, mapping: Mapping, created: bool) -> None:
        self.core = core
        self.created = created
        self._attachment = attachment
        self._mapping = mapping

    @property
    def info(self) -> RegionInfo:
        return self._attachment.info

    @property
    def mode(self) -> Mode:
        return self._attachment.mode

    @property
    def closed(self) -> bool:
        return self._attachment.closed

    @property
    def address(self) -> int:
        """Where the mapping starts."""
        return self._mapping.address

    @property
    def buf(self) -> memoryview:
        """All bytes, for plain loads and stores."""
        return memoryview(self._root("region.buf"))

    def ndarray(self, shape: Shape | None, dtype: DTypeLike | None, offset: object) -> NDArray[Any]:
        """A NumPy array over the bytes from `offset` on."""
        self._transparent()
        from dsm.client import arrays

        start, most = checks.byte_range(offset, None, self.info.size, self.info.name)
        extents, kind = self._form(shape, dtype, most)
        if (needed := arrays.byte_count(extents, kind)) > most:
            what = f"an array of shape {extents} and dtype {kind} at offset {start:,}"
            raise InvalidArgument(f"{what} has {needed:,} bytes, and region {self.info.name!r} only {most:,} there")
        root = self._root(f"an array of shape {extents} and dtype {kind} at offset {start:,}")
        return arrays.SharedArray.over(self, root, extents, kind, start)

    def view(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """An array like one that another process has pickled. NumPy checks that it lies inside."""
        import numpy as np

        from dsm.client import arrays

        kind = np.dtype(dtype)
        root = self._root(f"an unpickled array of shape {shape} and dtype {kind} at offset {offset:,}")
        try:
            return arrays.SharedArray.over(self, root, shape, kind, offset, strides)
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"region {self.info.name!r} is another one than was pickled: {error}") from error

    def _root(self, description: str) -> Any:
        """All bytes as an array, which everything derived from it keeps alive, and which keeps the mapping."""
        mapping = self._transparent()
        from dsm.client import arrays

        try:
            root = arrays.make_root(mapping, 0, self.info.size, self.mode == "r+")
        except ValueError:  # another thread has closed it since
            raise self._closed_error() from None
        self._attachment.lend(root, description)
        return root

    def _form(self, shape: Shape | None, dtype: DTypeLike | None, most: int) -> tuple[tuple[int, ...], Any]:
        """The shape and dtype that are meant: those given, else those stored with the region, else all as bytes."""
        from dsm.client import arrays

        stored = self.info.dtype if dtype is None else None
        kind = (
            arrays.decode_dtype(stored) if stored is not None else arrays.parse_dtype("u1" if dtype is None else dtype)
        )
        if shape is not None:
            return arrays.fold(arrays.parse_shape(shape), kind)
        if stored is not None and self.info.shape is not None and most == self.info.size:
            return self.info.shape, kind
        return arrays.fold((most // kind.itemsize,), kind)

    async def begin(self, offset: object, length: object, write: bool, wait: float | None) -> Scope:
        """Take and pin bytes; `end()` gives them back."""
        from dsm.client import arrays  # noqa: F401  (NumPy, for the view: not while the pages are pinned)

        attachment = self._attached()
        self._check_mode(write, "region.write()")
        start, count = checks.byte_range(offset, length, self.info.size, self.info.name)
        seconds = checks.timeout(wait, SCOPE_SECONDS_DEFAULT)
        generation = self.core.generation
        reply = await self._operate("begin", seconds, offset=start, length=count, write=write, timeout=seconds)
        try:
            scope = Scope(decode_number(reply, "scope"), generation, start, count, write)
            if self._ended:  # by another thread, with which its scopes ended
                raise self._closed_error()
            attachment.open_scope(self._mapping, scope)
        except BaseException:  # Ctrl-C for one
            self.core.transport.post("end", **reply)
            raise
        return scope

    async def end(self, scope: Scope, *, failing: bool) -> None:
        """Give back what `begin()` took. `failing` if an exception is on its way already.

        Raises:
            ArraysAlive: something made of the view is still alive. The scope is over nevertheless.
        """
        if scope.generation != self.core.generation:
            scope.release()  # inherited by a forked child: the parent ends it
            return
        ended = self._attachment.shut_scope(self._mapping, scope)
        try:
            await self.core.call("end", scope=scope.number)
        except DsmError:
            if not failing:
                raise
        except BaseException:  # Ctrl-C for one, with which the request may have been taken back
            self.core.transport.post("end", scope=scope.number)
            raise
        if not ended and not failing:
            message = f"of {scope} of region {self.info.name!r} a slice or array is still alive after the block"
            raise ArraysAlive(message, remedy="Delete it within the block, or copy what has to stay")

    def drop(self, scope: Scope) -> None:
        """Give back a scope whose block was not left properly. In a finalizer, so nothing here waits."""
        with Shield():
            if scope.generation == self.core.generation and not self.closed:
                self._attachment.shut_scope(self._mapping, scope)
                self.core.transport.post("end", scope=scope.number)

    async def prefetch(self, offset: object, length: object, write: bool, wait: float | None) -> None:
        self._attached()
        self._check_mode(write, "prefetch(write=True)")
        start, count = checks.byte_range(offset, length, self.info.size, self.info.name)
        seconds = checks.timeout(wait, SCOPE_SECONDS_DEFAULT)
        await self._operate("prefetch", seconds, offset=start, length=count, write=write, timeout=seconds)

    async def flush(self) -> None:
        await self._operate("flush")

    async def who_has(self, offset: object, length: object) -> list[PageHolders]:
        self._attached()
        start, count = checks.byte_range(offset, length, self.info.size, self.info.name)
        reply = await self._operate("who_has", offset=start, length=count)
        return [PageHolders.decode(row) for row in decode_list(reply)]

    async def stats(self) -> dict[str, Any]:
        self._attached()
        return await self.core.stats(self.info.id)

    async def unlink(self) -> None:
        await self.core.unlink(self.info.name)

    async def close(self, *, leave_arrays: bool = False) -> None:
        """Unmap the region. Twice is fine. With `leave_arrays` it stays, without an error, while something needs it.

        Raises:
            ArraysAlive: something points into it. Nothing was closed.
        """
        if self.closed:
            return
        try:
            await close_attachment(self._attachment)
        except ArraysAlive:
            if not leave_arrays:
                raise

    async def _operate(self, op: str, within: float = CALL_SECONDS, **arguments: Any) -> Any:
        number = self._attached().number
        try:
            value, _ = await self.core.call(op, within=within, attachment=number, **arguments)
        except ProtocolError:
            if self._ended:  # by another thread, and the daemon had forgotten the attachment by then
                raise self._closed_error() from None
            raise
        return value

    @property
    def _ended(self) -> bool:
        """Closed, or another thread is about to have closed it: the mapping goes first."""
        return self.closed or self._mapping.closed

    def _attached(self) -> Attachment:
        if self._ended:
            raise self._closed_error()
        if self._attachment.lost is not None:
            raise self._attachment.lost
        return self._attachment

    def _transparent(self) -> Mapping:
        attachment = self._attached()
        if attachment.shutter is not None:
            support = self.core.support
            raise TransparentAccessUnavailable(
                f"plain loads and stores of region {self.info.name!r} are not possible: {support.reason}",
                remedy=support.remedy or None,
            )
        return self._mapping

    def _check_mode(self, write: bool, what: str) -> None:
        if write and self.mode == "r":
            message = f"region {self.info.name!r} was opened to read only, {what} needs more"
            raise AccessDenied(message, remedy="Open it with mode='r+'")

    def _closed_error(self) -> RegionClosed:
        return RegionClosed(f"region {self.info.name!r} was closed")


async def close_attachment(attachment: Attachment) -> None:
    """Unmap a region, then tell the daemon, which may have gone already."""
    attachment.unmap()
    if attachment.number and attachment.core.transport.channel.broken is None:
        with contextlib.suppress(Unavailable):  # its end of the socket is closed, and it detaches by itself
            await attachment.core.call("detach", attachment=attachment.number)
