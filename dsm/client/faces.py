"""What the synchronous and the asynchronous face have in common: all that needs no call to the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsm.client.core import ClientCore
from dsm.client.records import RegionInfo
from dsm.client.region import RegionCore
from dsm.client.scopes import Scope

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from dsm.client.arrays import Shape


class ViewFace:
    """A scope as a context manager, entered once."""

    _scope: Scope | None = None  # here, since the finalizer also runs after an __init__ that was interrupted

    def __init__(
        self, region: RegionCore, offset: int | str, length: int | str | None, write: bool, timeout: float | None
    ) -> None:
        self._region = region
        self._arguments = (offset, length, write, timeout)

    def _view(self) -> memoryview:
        assert self._scope is not None and self._scope.view is not None, "a scope that has begun has a view"
        return self._scope.view

    def __del__(self) -> None:
        if self._scope is not None:  # entered by hand, or interrupted on the way out
            self._region.drop(self._scope)


class RegionFace:
    """A named region of memory that is on every host at once."""

    def __init__(self, core: RegionCore) -> None:
        self._core = core

    @property
    def info(self) -> RegionInfo:
        """The region as the directory has it."""
        return self._core.info

    @property
    def id(self) -> int:
        """The region's number, never given out twice."""
        return self._core.info.id

    @property
    def name(self) -> str:
        return self._core.info.name

    @property
    def size(self) -> int:
        """Bytes, as asked for when it was created."""
        return self._core.info.size

    @property
    def page_size(self) -> int:
        """Bytes that move between hosts as one."""
        return self._core.info.page_size

    @property
    def lifetime(self) -> str:
        """ "unlink", "last-detach" or "creator"."""
        return self._core.info.lifetime

    @property
    def mode(self) -> str:
        """ "r" or "r+"."""
        return self._core.mode

    @property
    def access(self) -> str:
        """ "transparent-full", "transparent-user" (system calls fail on pages that are not here) or "scoped"."""
        return self._core.core.access

    @property
    def created(self) -> bool:
        """Whether this call created the region, rather than found it."""
        return self._core.created

    @property
    def closed(self) -> bool:
        return self._core.closed

    @property
    def buf(self) -> memoryview:
        """All bytes as a memoryview for plain loads and stores, a new one each time; read-only if the mode is "r".

        It keeps the region mapped, so `close()` refuses while it is alive.

        Raises:
            TransparentAccessUnavailable: this process has no userfaultfd.
        """
        return self._core.buf

    def ndarray(
        self, shape: Shape | None = None, dtype: DTypeLike | None = None, offset: int | str = 0
    ) -> NDArray[Any]:
        """Return a NumPy array over the bytes from `offset` on, for plain loads and stores.

        It keeps the region mapped, and is read-only if the mode is "r". Pickled, it is the same memory elsewhere.

        Args:
            shape: a number or a tuple; by default the shape stored with the region, else all that there is.
            dtype: by default the dtype stored with the region, else bytes ("u1").
            offset: where the array starts.

        Raises:
            InvalidArgument: the array does not fit, or its elements cannot be shared.
            TransparentAccessUnavailable: this process has no userfaultfd.
        """
        return self._core.ndarray(shape, dtype, offset)

    def __len__(self) -> int:
        return self.size

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.access
        return f"<{type(self).__name__} {self.name!r} size={self.size} mode={self.mode!r} {state}>"


class ClientFace:
    """A connection to the node daemon of this host."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core

    @property
    def address(self) -> str:
        """The path of the node daemon's socket."""
        return self._core.address

    @property
    def node(self) -> str:
        """The name of the node."""
        return self._core.node

    @property
    def access(self) -> str:
        """ "transparent-full", "transparent-user" or "scoped": how this process reaches regions."""
        return self._core.access

    @property
    def closed(self) -> bool:
        return self._core.closed

    def __repr__(self) -> str:
        state = "closed" if self.closed else self.access
        return f"<{type(self).__name__} of node {self.node!r} at {self.address!r} {state}>"
