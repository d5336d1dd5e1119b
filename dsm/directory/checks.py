"""What a region may be called and be like. Each check says what is right."""

from __future__ import annotations

import math
from dataclasses import replace

from dsm.errors import InvalidArgument
from dsm.limits import (
    ARRAY_DIMENSIONS_MAX,
    DTYPE_CHARS_MAX,
    HOLD_SECONDS_DEFAULT,
    HOLD_SECONDS_MAX,
    NAME_CHARS_MAX,
    PAGE_BYTES_DEFAULT,
    PAGE_BYTES_MAX,
    PAGE_BYTES_MIN,
    REGION_BYTES_MAX,
)
from dsm.wire.directory import RegionInfo, RegionRequest


def region_name(name: str) -> str:
    """Return the name without the leading slash that POSIX names have."""
    bare = name.removeprefix("/")
    if not 1 <= len(bare) <= NAME_CHARS_MAX:
        raise InvalidArgument(f"a region's name has 1 to {NAME_CHARS_MAX} characters, not {len(bare):,}")
    if "\0" in bare or "/" in bare:
        raise InvalidArgument(f"a region's name has no NUL and no '/' but one in front, unlike {name!r:.300}")
    return bare


def region_request(request: RegionRequest) -> RegionRequest:
    """Return the request with its name made bare; nothing else is filled in."""
    _size(request.size)
    if request.page_size is not None:
        _page_size(request.page_size)
    if request.hold is not None:
        _hold(request.hold)
    if request.shape is not None:
        _shape(request.shape, request.size)
    if request.dtype is not None and not 1 <= len(request.dtype) <= DTYPE_CHARS_MAX:
        raise InvalidArgument(f"a dtype has 1 to {DTYPE_CHARS_MAX:,} characters, not {len(request.dtype):,}")
    return replace(request, name=region_name(request.name))


def with_defaults(request: RegionRequest) -> tuple[int, float]:
    """Return the page size and the hold time of a new region."""
    page_size = PAGE_BYTES_DEFAULT if request.page_size is None else request.page_size
    hold = HOLD_SECONDS_DEFAULT if request.hold is None else request.hold
    return page_size, hold


def same_region(info: RegionInfo, request: RegionRequest) -> None:
    """Refuse to open a region as something that it is not. Lifetime and hold time are its creator's to say."""
    for what in ("size", "page_size", "shape", "dtype"):
        wanted, real = getattr(request, what), getattr(info, what)
        if wanted is not None and wanted != real:
            raise InvalidArgument(
                f"region {info.name!r} exists with {what.replace('_', ' ')} {real}, not {wanted}",
                remedy="Open it without saying what it is, or unlink it first",
            )


def _size(size: int) -> None:
    if not 1 <= size <= REGION_BYTES_MAX:
        raise InvalidArgument(f"a region has 1 to {REGION_BYTES_MAX:,} bytes, not {size:,}")


def _page_size(size: int) -> None:
    if not PAGE_BYTES_MIN <= size <= PAGE_BYTES_MAX or size & (size - 1):
        raise InvalidArgument(
            f"a page size is a power of two from {PAGE_BYTES_MIN:,} to {PAGE_BYTES_MAX:,} bytes, unlike {size:,}"
        )


def _hold(hold: float) -> None:
    if not 0 <= hold <= HOLD_SECONDS_MAX:  # also refuses NaN
        raise InvalidArgument(f"a hold time is 0 to {HOLD_SECONDS_MAX} seconds, not {hold}")


def _shape(shape: tuple[int, ...], size: int) -> None:
    if len(shape) > ARRAY_DIMENSIONS_MAX:
        raise InvalidArgument(f"a shape has at most {ARRAY_DIMENSIONS_MAX} dimensions, not {len(shape)}")
    if math.prod(shape) > size:
        raise InvalidArgument(f"an array of shape {shape} does not fit into {size:,} bytes")
