"""NumPy arrays over a region, and dtypes as text.

Every array and view is made over a root: an array of bytes that holds an export of the mapping. Whatever is derived
from it, by slicing or by NumPy, keeps the root alive, and while that is so the mapping can neither be closed nor
collected. (`np.ndarray(buffer=...)` over a memoryview of the mapping itself would keep the mapping's object and still
let it be unmapped.)

An array is a subclass of `np.ndarray` in the way of `np.memmap`, for one reason: it pickles to where it lies, so that
another process gets the same memory and not a copy of it. What NumPy computes from it is an ordinary array.

A dtype is stored with a region as the text of NumPy's own description of it, the one in the header of a .npy file.
Reading it back needs no pickle. What does not come back as it went, or holds pointers, is refused.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dsm.errors import InvalidArgument, ProtocolError
from dsm.limits import ARRAY_DIMENSIONS_MAX, DTYPE_CHARS_MAX, REGION_BYTES_MAX
from dsm.memory.mapping import Mapping
from dsm.units import format_size, parse_size

if TYPE_CHECKING:
    from dsm.client.checks import Mode
    from dsm.client.region import RegionCore

Shape = SupportsIndex | Sequence[SupportsIndex]


def parse_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the dtype, one that can be shared between processes.

    Raises:
        InvalidArgument: it is no dtype, or its elements hold pointers or no bytes.
    """
    try:
        parsed = np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError) as error:
        raise InvalidArgument(f"{dtype!r:.100} is not a NumPy dtype: {error}") from error
    if parsed.hasobject:
        remedy = "Use numbers, or text and bytes of a fixed length"
        raise InvalidArgument(f"elements of dtype {parsed} are pointers, which mean nothing elsewhere", remedy=remedy)
    if parsed.itemsize == 0:
        raise InvalidArgument(f"elements of dtype {parsed} have no bytes", remedy="Give a length, as in 'S8'")
    return parsed


def encode_dtype(dtype: np.dtype[Any]) -> str:
    """Return a dtype as text."""
    text = repr(np.lib.format.dtype_to_descr(dtype))
    if len(text) > DTYPE_CHARS_MAX:
        raise InvalidArgument(
            f"a dtype whose description takes {len(text):,} characters, of {DTYPE_CHARS_MAX:,} at most"
        )
    if decode_dtype(text) != dtype:
        raise InvalidArgument(f"dtype {dtype} cannot be described as text", remedy="Leave out its metadata and titles")
    return text


def decode_dtype(text: str) -> np.dtype[Any]:
    """Return the dtype of a description, which may come from anywhere.

    Raises:
        ProtocolError: it is none.
    """
    try:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, IndexError) as error:
        raise ProtocolError(f"a region's dtype is stored as {text!r:.100}, which is none") from error
    if dtype.hasobject or dtype.itemsize == 0:
        raise ProtocolError(f"a region's dtype is stored as {text!r:.100}, which no region can have")
    return dtype


def parse_shape(shape: Shape) -> tuple[int, ...]:
    """Return the shape as a tuple of extents, 0 or more."""
    parts = (shape,) if isinstance(shape, SupportsIndex) else shape
    if isinstance(parts, (str, bytes)) or not isinstance(parts, Sequence):
        raise InvalidArgument(f"a shape is a number or a sequence of numbers, not {shape!r:.100}")
    extents = tuple(parse_size(extent, "an extent of the shape") for extent in parts)
    if len(extents) > ARRAY_DIMENSIONS_MAX or any(extent < 0 for extent in extents):
        raise InvalidArgument(f"a shape has up to {ARRAY_DIMENSIONS_MAX} extents of 0 or more, not {extents!r:.200}")
    return extents


def fold(shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Turn a dtype of little arrays into extents of the shape, as NumPy does in any array."""
    return (shape, dtype) if dtype.subdtype is None else (shape + dtype.subdtype[1], dtype.subdtype[0])


def byte_count(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array."""
    return math.prod(shape) * dtype.itemsize


def region_size(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array that is to be a region of its own.

    Raises:
        InvalidArgument: no region can have that size.
    """
    size = byte_count(shape, dtype)
    if not 1 <= size <= REGION_BYTES_MAX:
        bounds = f"a region has 1 byte to {format_size(REGION_BYTES_MAX)}"
        raise InvalidArgument(
            f"array {name!r:.300} of shape {shape!r:.200} and dtype {dtype!s:.100} has {size:,} bytes, and {bounds}",
            remedy="Share it in several arrays" if size else "Give every extent of the shape as 1 or more",
        )
    return size


def make_root(mapping: Mapping, offset: int, length: int, writable: bool) -> NDArray[np.uint8]:
    """Return bytes of a region as an array that holds an export of the mapping."""
    buffer = memoryview(mapping) if writable else memoryview(mapping).toreadonly()
    return np.frombuffer(buffer, np.uint8, length, offset)


class SharedArray(np.ndarray[Any, Any]):
    """An array that lies in a region. Slices and other views of it are such arrays too."""

    _region: RegionCore | None

    @classmethod
    def over(
        cls,
        region: RegionCore,
        root: NDArray[np.uint8],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        offset: int,
        strides: tuple[int, ...] | None = None,
    ) -> Self:
        """Return an array over the root of a region."""
        array = cls(shape, dtype, root, offset, strides)
        array._region = region
        return array

    def __array_finalize__(self, source: Any) -> None:
        # Called for whatever NumPy makes of an array of this class, with memory of its own or not.
        region = getattr(source, "_region", None)
        self._region = region if region is not None and np.may_share_memory(self, source) else None

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        result = super().__array_wrap__(array, context)
        if result is self or type(self) is not SharedArray:
            return result
        return result[()] if return_scalar or not result.shape else result.view(np.ndarray)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        if self._region is None:
            return np.asarray(self).__reduce_ex__(protocol)
        from dsm.client import sync

        mode: Mode = "r+" if self.flags.writeable else "r"
        offset = self.__array_interface__["data"][0] - self._region.address
        dtype = self.dtype if self.dtype.names else self.dtype.str  # the text is shorter, and all of a plain dtype
        where = self._region.core.given_address, self._region.info.name, mode
        return sync.array_again, (*where, offset, self.shape, self.strides, dtype)
