"""Sizes as people write them: a number of bytes, or text with a unit.

    4096   "4096"   "64KiB"   "64 kib"   "1.5GiB"   "10MB"

KiB, MiB, GiB and TiB are powers of 1024; kB, MB, GB and TB are powers of 1000. A bare "K" or "G" means one or the
other depending on the program, so it is refused. Nothing is rounded: "1.5B" is refused too.
"""

from __future__ import annotations

import operator
import re
from decimal import Decimal

from dsm.errors import InvalidArgument

_BINARY = ("KiB", "MiB", "GiB", "TiB")
_UNITS = {unit.lower(): 1024 ** (power + 1) for power, unit in enumerate(_BINARY)}
_UNITS |= {unit: 1000 ** (power + 1) for power, unit in enumerate(("kb", "mb", "gb", "tb"))}
_UNITS |= {"": 1, "b": 1}
_TEXT = re.compile(r"\s*(-?\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z]*)\s*", re.ASCII)
_REMEDY = 'Give a whole number of bytes, or text like "64KiB", "4GiB" or "10MB"'


def parse_size(value: object, what: str = "size") -> int:
    """Return `value` in bytes; `what` names it in the error. Negative sizes are the caller's to refuse.

    Raises:
        InvalidArgument: it is neither an integer nor text that means a whole number of bytes.
    """
    if isinstance(value, str):
        return _parse_text(value, what)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidArgument(f"{what} is {value!r:.100}, of type {type(value).__name__}", remedy=_REMEDY)
    return operator.index(value)


def _parse_text(text: str, what: str) -> int:
    match = _TEXT.fullmatch(text)
    unit = _UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise InvalidArgument(f"{what} is {text!r:.100}, which is not a size", remedy=_REMEDY)
    exact = Decimal(match[1]) * unit
    if exact != int(exact):
        raise InvalidArgument(f"{what} is {text!r:.100}, which is not a whole number of bytes", remedy=_REMEDY)
    return int(exact)


def format_size(size: int) -> str:
    """Return a size for people, in the largest binary unit below it, with at most one digit after the point."""
    for power in range(len(_BINARY), 0, -1):
        if size >= 1024**power:
            number = f"{size / 1024**power:.1f}".removesuffix(".0")
            return f"{number} {_BINARY[power - 1]}"
    return f"{size} B"
