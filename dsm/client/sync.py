"""The synchronous face: `dsm.connect()`, `Client`, `Region`. A client may be used by any number of threads.

Leaving a `with` block closes what can be closed. Arrays usually outlive the block they were made in, as any Python
variable does, so a region with arrays alive stays attached until they are gone. `close()` is the strict form: it
raises ArraysAlive and says which.

Clients, regions and arrays pickle to an address and a name. Unpickled, those of one address share one client.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any, Self

from dsm.client import core as client_core
from dsm.client import fork  # noqa: F401  (registers its hook)
from dsm.client.checks import Lifetime, Mode
from dsm.client.core import ClientCore
from dsm.client.faces import ClientFace, RegionFace, ViewFace
from dsm.client.records import PageHolders, RegionDetails, RegionInfo
from dsm.client.shield import Shield
from dsm.client.transport import SyncTransport, run

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dsm.client.arrays import Shape

_shared: weakref.WeakValueDictionary[str | None, ClientCore] = weakref.WeakValueDictionary()


def connect(
    address: str | os.PathLike[str] | None = None, *, timeout: float | None = None, scoped_only: bool | None = None
) -> Client:
    """Connect to the node daemon of this host.

    Args:
        address: the path of its socket; by default $DSM_NODE, the system's, or the user's own.
        timeout: seconds to wait for the daemon's answer.
        scoped_only: do without userfaultfd; by default whether DSM_SCOPED_ONLY is 1.

    Raises:
        NodeUnavailable: nobody listens there.
        AccessDenied: the socket belongs to someone else.
        ProtocolError: the daemon is of a version that this one cannot talk to.
    """
    return Client(run(client_core.connect(address, timeout, scoped_only, SyncTransport)))


class View(ViewFace):
    """A scope as a context manager, entered once: `with region.write(0, 4096) as view`."""

    def __enter__(self) -> memoryview:
        with Shield():  # until the scope is where the finalizer finds it
            self._scope = run(self._region.begin(*self._arguments))
        return self._view()

    def __exit__(self, kind: object, *_: object) -> None:
        with Shield():
            scope, self._scope = self._scope, None
            if scope is not None:
                run(self._region.end(scope, failing=kind is not None))


class Region(RegionFace):
    """A named region of memory that is on every host at once. Made by a client; closes with it."""

    def read(self, offset: int | str = 0, length: int | str | None = None, *, timeout: float | None = None) -> View:
        """Return a context manager that gives these bytes as a read-only memoryview.

        They are here, complete and unchanged by any write scope on any host until the end of the block; after it, the
        view raises ValueError.

        Args:
            offset: where to start.
            length: how many bytes; by default all to the end of the region.
            timeout: seconds to wait for write scopes of others; by default SCOPE_SECONDS_DEFAULT.

        Raises (on entering the block):
            InvalidArgument: the bytes lie outside the region.
            DeadlineExceeded: somebody else had some of the pages for all that time; the text says who.
            PageLost: the only copy of a page is gone.
        """
        return View(self._core, offset, length, False, timeout)

    def write(self, offset: int | str = 0, length: int | str | None = None, *, timeout: float | None = None) -> View:
        """Return a context manager that gives these bytes as a writable memoryview.

        No other scope on any host has any of their pages until the end of the block. Arguments and errors as in
        `read()`, and AccessDenied if the region was opened with mode "r".
        """
        return View(self._core, offset, length, True, timeout)

    def prefetch(
        self,
        offset: int | str = 0,
        length: int | str | None = None,
        *,
        write: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Bring these bytes here, to be read or also to be written, so that touching them does not stop."""
        run(self._core.prefetch(offset, length, write, timeout))

    def flush(self) -> None:
        """Return when every store made here before is what others will read."""
        run(self._core.flush())

    def who_has(self, offset: int | str = 0, length: int | str | None = None) -> list[PageHolders]:
        """Return which nodes hold which of these pages, adjacent pages with the same holders as one."""
        return run(self._core.who_has(offset, length))

    def stats(self) -> dict[str, Any]:
        """Return this node's counters for the region: faults and their latencies, pages and bytes moved."""
        return run(self._core.stats())

    def unlink(self) -> None:
        """Take the name away. The memory lives on for those who have it attached."""
        run(self._core.unlink())

    def close(self) -> None:
        """Unmap the region. Twice is fine.

        Raises:
            ArraysAlive: arrays, views or scopes still point into it; the text lists them. Nothing was closed.
        """
        run(self._core.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run(self._core.close(leave_arrays=True))

    def __reduce__(self) -> tuple[object, ...]:
        return open_again, (self._core.core.given_address, self.name, self.mode)


class Client(ClientFace):
    """A connection to the node daemon of this host. Made by `dsm.connect()`."""

    def create(
        self,
        name: str,
        size: int | str,
        *,
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
        mode: Mode = "r+",
    ) -> Region:
        """Create a region of zeros and attach it.

        Args:
            name: 1 to 255 characters without NUL and "/"; a leading "/" is dropped.
            size: bytes, or text like "4GiB". Memory is taken only for pages that are touched.
            page_size: what moves between hosts as one: 4 KiB to 2 MiB, a power of two; 64 KiB by default.
            lifetime: until "unlink" (as in POSIX), "last-detach" (as in System V after IPC_RMID), or while the
                "creator", this client, is connected.
            hold: seconds for which a page stays with who got it, so that it makes progress.
            mode: "r+", or "r" for a handle that only reads.

        Raises:
            RegionExists: the name is taken.
            InvalidArgument: one of these is outside its range.
        """
        return Region(run(self._core.create(name, size, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode)))

    def open(self, name: str, *, mode: Mode = "r+") -> Region:
        """Attach a region that exists.

        Raises:
            RegionNotFound: it does not.
        """
        return Region(run(self._core.open(name, mode)))

    def open_or_create(
        self,
        name: str,
        size: int | str,
        *,
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
        mode: Mode = "r+",
    ) -> Region:
        """Attach the region, creating it first if it does not exist; `region.created` tells.

        Raises:
            InvalidArgument: it exists with another size or page size. Its lifetime and hold stay as they are.
        """
        return Region(
            run(
                self._core.create(
                    name, size, exist_ok=True, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode
                )
            )
        )

    def array(
        self,
        name: str,
        shape: Shape | None = None,
        dtype: DTypeLike | None = None,
        *,
        mode: Mode = "r+",
        page_size: int | str | None = None,
        lifetime: Lifetime = "unlink",
        hold: float | None = None,
    ) -> NDArray[Any]:
        """Return a NumPy array by name. It is created, of zeros, if it does not exist and shape and dtype are given.

        Shape and dtype are stored with the name, so others need not give them. Options as in `create()`.

        Raises:
            RegionNotFound: it does not exist, and shape or dtype is missing or the mode is "r".
            InvalidArgument: it exists with another shape or dtype, or its elements cannot be shared.
            TransparentAccessUnavailable: this process has no userfaultfd.
        """
        return run(self._core.array(name, shape, dtype, page_size=page_size, lifetime=lifetime, hold=hold, mode=mode))

    def list(self) -> list[RegionInfo]:
        """Return every region of the cluster that has a name."""
        return run(self._core.list())

    def describe(self, name: str) -> RegionDetails:
        """Return what the directory knows of a region: who has it attached, how its pages are held."""
        return run(self._core.describe(name))

    def unlink(self, name: str) -> None:
        """Take a region's name away. The memory lives on for those who have it attached.

        Raises:
            RegionNotFound: there is no such name.
        """
        run(self._core.unlink(name))

    def status(self) -> dict[str, Any]:
        """Return the node daemon's state, and under "client" how this process reaches regions, and if not, why."""
        return run(self._core.status())

    def stats(self) -> dict[str, Any]:
        """Return the node's counters over all regions."""
        return run(self._core.stats(None))

    def close(self) -> None:
        """Close every region and the connection. Twice is fine.

        Raises:
            ArraysAlive: arrays or views point into some regions; the text lists them. The others are closed.
        """
        run(self._core.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        run(self._core.close(leave_arrays=True))

    def __reduce__(self) -> tuple[object, ...]:
        return client_again, (self._core.given_address,)


def shared_core(address: str | None) -> ClientCore:
    """Return what all unpickled things of an address share in this process."""
    core = _shared.get(address)
    if core is None or core.closed:
        core = run(client_core.connect(address, None, None, SyncTransport))
        _shared[address] = core
    return core


def client_again(address: str | None) -> Client:
    """Return an unpickled client."""
    return Client(shared_core(address))


def open_again(address: str | None, name: str, mode: Mode) -> Region:
    """Return an unpickled region."""
    return Region(run(shared_core(address).open(name, mode)))


def array_again(
    address: str | None,
    name: str,
    mode: Mode,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: DTypeLike,
) -> NDArray[Any]:
    """Return an unpickled array."""
    return run(shared_core(address).open(name, mode)).view(offset, shape, strides, dtype)
