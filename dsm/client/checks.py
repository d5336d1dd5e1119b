"""Checks of what a program passes in, before anything is sent.

A node daemon checks again, since it trusts no client. Here the checks give the error where the mistake is, with the
bounds in its text. All raise InvalidArgument.
"""

from __future__ import annotations

import math
from typing import Literal

from dsm.errors import InvalidArgument
from dsm.limits import NAME_CHARS_MAX, PAGE_BYTES_MAX, PAGE_BYTES_MIN, REGION_BYTES_MAX, SCOPE_SECONDS_MAX
from dsm.units import format_size, parse_size

Mode = Literal["r", "r+"]
Lifetime = Literal["unlink", "last-detach", "creator"]

LIFETIMES = ("unlink", "last-detach", "creator")


def region_name(name: object) -> str:
    """Return the name without the one leading slash that POSIX names have."""
    if not isinstance(name, str):
        raise InvalidArgument(f"a region's name is text, not {type(name).__name__}")
    short = name.removeprefix("/")
    if not 1 <= len(short) <= NAME_CHARS_MAX:
        raise InvalidArgument(f"a region's name has 1 to {NAME_CHARS_MAX} characters, {name!r:.40} has {len(short)}")
    if "/" in short or "\0" in short:
        raise InvalidArgument(f"a region's name has no NUL and no '/' but a leading one: {name!r}")
    if not _encodable(short):
        raise InvalidArgument(f"a region's name is Unicode text: {name!r}")
    return short


def region_size(size: object) -> int:
    """Return the size of a region in bytes."""
    exact = parse_size(size)
    if not 1 <= exact <= REGION_BYTES_MAX:
        message = f"a region has 1 byte to {format_size(REGION_BYTES_MAX)}, not {exact:,} bytes"
        empty = "Give a size of 1 byte or more; an empty file or buffer cannot be shared"
        raise InvalidArgument(message, remedy="Share it in several regions" if exact > 0 else empty)
    return exact


def page_size(size: object) -> int:
    """Return the size of a region's pages in bytes."""
    exact = parse_size(size, "page_size")
    if exact & (exact - 1) or not PAGE_BYTES_MIN <= exact <= PAGE_BYTES_MAX:
        bounds = f"{format_size(PAGE_BYTES_MIN)} to {format_size(PAGE_BYTES_MAX)}"
        raise InvalidArgument(f"a page size is a power of two from {bounds}, not {exact:,} bytes")
    return exact


def lifetime(value: object) -> Lifetime:
    for allowed in LIFETIMES:
        if value == allowed:
            return allowed  # type: ignore[return-value]  # mypy does not narrow over a tuple of literals
    raise InvalidArgument(f"lifetime is one of {', '.join(map(repr, LIFETIMES))}, not {value!r:.100}")


def mode(value: object) -> Mode:
    if value == "r":
        return "r"
    if value == "r+":
        return "r+"
    raise InvalidArgument(f"mode is 'r' to read or 'r+' to read and write, not {value!r:.100}")


def seconds(value: object, what: str, most: float = math.inf) -> float:
    """Return a time in seconds, finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidArgument(f"{what} is in seconds, an int or float, not {value!r:.100}")
    if not (math.isfinite(value) and 0 <= value <= most):
        bounds = f"from 0 to {most:g}" if math.isfinite(most) else "0 or more, and finite"
        raise InvalidArgument(f"{what} is a number of seconds {bounds}, not {value!r:.100}")
    return float(value)


def timeout(value: float | None, default: float) -> float:
    """Return the seconds to wait: `default` for None, since nothing here waits for ever."""
    return default if value is None else seconds(value, "timeout", SCOPE_SECONDS_MAX)


def byte_range(offset: object, length: object, size: int, region: str) -> tuple[int, int]:
    """Return offset and length of a part of a region that is not empty; a length of None reaches to the end."""
    start = parse_size(offset, "offset")
    count = size - start if length is None else parse_size(length, "length")
    if start < 0 or count < 1 or start + count > size:
        raise InvalidArgument(
            f"offset {start:,} and length {count:,} lie outside region {region!r}, which has bytes 0 to {size - 1:,}",
            remedy="Give an offset of 0 or more and a length of 1 or more that end within the region",
        )
    return start, count


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate, as os.fsdecode() makes of bytes that are no UTF-8
        return False
    return True
