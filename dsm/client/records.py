"""What a node daemon tells about regions, as typed records.

A daemon of another version may send more fields; they are left out. Fewer, or of other types, is a ProtocolError.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from dsm.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class RegionInfo:
    """A region as the directory has it. Sizes in bytes, times in seconds; `created_at` since 1970."""

    id: int
    name: str
    size: int
    page_size: int
    lifetime: str
    hold: float
    shape: tuple[int, ...] | None
    dtype: str | None
    creator: str
    created_at: float

    @classmethod
    def decode(cls, reply: Any) -> Self:
        """Return the record in a daemon's reply."""
        match reply:
            case {
                "id": int(),
                "name": str(),
                "size": int(size),
                "page_size": int(page_size),
                "lifetime": str(),
                "hold": int() | float(),
                "shape": list() | None as shape,
                "dtype": str() | None,
                "creator": str(),
                "created_at": int() | float(),
            } if size > 0 and page_size > 0 and all(isinstance(extent, int) for extent in shape or ()):
                known = {field.name: reply[field.name] for field in fields(RegionInfo)}
                return cls(**known | {"shape": None if shape is None else tuple(shape)})
        raise ProtocolError(f"the node daemon describes a region by {reply!r:.200}")

    @property
    def mapped_size(self) -> int:
        """The size in whole pages: what the memfd has and a client maps."""
        return -(-self.size // self.page_size) * self.page_size


@dataclass(frozen=True, slots=True)
class RegionDetails:
    """A region with the nodes that have it attached, and counts of its pages by what is known of them."""

    info: RegionInfo
    attached: tuple[str, ...]
    pages: dict[str, Any]

    @classmethod
    def decode(cls, reply: object) -> Self:
        """Return the record in a daemon's reply."""
        info = RegionInfo.decode(reply)
        match reply:
            case {"attached": list(attached), "pages": dict(pages)} if all(isinstance(name, str) for name in attached):
                return cls(info, tuple(attached), pages)
        raise ProtocolError(f"the node daemon describes a region by {reply!r:.200}")


@dataclass(frozen=True, slots=True)
class PageHolders:
    """Adjacent pages that the same nodes hold. `owner` is None for pages that nobody has touched."""

    first: int
    count: int
    owner: str | None
    sharers: tuple[str, ...]
    version: int
    lost: bool

    @classmethod
    def decode(cls, row: object) -> Self:
        """Return the record in a row of a daemon's reply."""
        match row:
            case [int(first), int(count), str() | None as owner, [*sharers], int(version), bool(lost)]:
                return cls(first, count, owner, tuple(map(str, sharers)), version, lost)
        raise ProtocolError(f"the node daemon tells who has pages by {row!r:.200}")


def decode_list(reply: object) -> list[object]:
    """Return a reply that is a list."""
    if not isinstance(reply, list):
        raise ProtocolError(f"the node daemon sent {type(reply).__name__} in place of a list")
    return reply


def decode_dict(reply: object) -> dict[str, Any]:
    """Return a reply that is a map."""
    if not isinstance(reply, dict):
        raise ProtocolError(f"the node daemon sent {type(reply).__name__} in place of a map")
    return reply


def decode_number(reply: object, field: str) -> int:
    """Return the number that a reply has in `field`."""
    number = reply.get(field) if isinstance(reply, dict) else None
    if isinstance(number, int):
        return number
    raise ProtocolError(f"the node daemon sent {reply!r:.100} in place of a map with {field!r}")
