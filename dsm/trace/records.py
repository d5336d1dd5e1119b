"""What stands in a trace, in the order in which it happened in one process.

A trace begins with `Began` and ends with `Ended`, unless its process was killed. A step is written down before anything
that follows from it leaves the process. Effects are those that the core gave; what the process made of them shows in
what others have heard.

Dataclasses and enumerations of the core travel as a list of their name and their fields, so that a new message or
effect needs nothing here. What comes in may be anything: whatever is no trace raises `InvalidArgument`.

Caveat: that the fields have the right types is not checked. A file that somebody has tampered with may raise anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, BinaryIO, get_args

import msgpack

from dsm.core import cache, effects, events, home_page, messages, types
from dsm.core.cache import CachePage
from dsm.core.effects import CacheEffect, SendTo
from dsm.core.events import Event, SessionEnded
from dsm.core.home_page import HomePage
from dsm.core.messages import ToHome
from dsm.core.types import Epoch, NodeId, RegionId
from dsm.errors import InvalidArgument
from dsm.limits import TRACE_RECORD_BYTES_MAX

FORMAT = 1
DIRECTORY, NODE = "directory", "node"


@dataclass(frozen=True, slots=True)
class Began:
    """A process has begun to record."""

    format: int
    kind: str
    """DIRECTORY or NODE."""
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The process ended as it should. Without this it was killed, and the last it did may be missing."""


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """A session begins: of this node, or, at the directory, of some node."""

    cluster: str
    node: NodeId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class SessionOver:
    """A session is over, and every page has been told."""

    node: NodeId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class RegionBegan:
    """The process knows a region from now on; the record of each page is this."""

    region: RegionId
    page: HomePage | CachePage


@dataclass(frozen=True, slots=True)
class RegionEnded:
    """The process has forgotten a region, and the records of its pages."""

    region: RegionId


@dataclass(frozen=True, slots=True)
class HomeStepped:
    """Home has moved adjacent pages, all of which had the same record."""

    region: RegionId
    first: int
    count: int
    sender: NodeId
    message: ToHome | SessionEnded
    effects: tuple[SendTo, ...]


@dataclass(frozen=True, slots=True)
class CacheStepped:
    """A node has moved a page."""

    region: RegionId
    page: int
    event: Event
    effects: tuple[CacheEffect, ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """There was no row for what happened to a page, or to the first of a run."""

    region: RegionId
    page: int
    why: str


Record = Began | Ended | SessionBegan | SessionOver | RegionBegan | RegionEnded | HomeStepped | CacheStepped | Refused
Note = Callable[[Record], None]
"""Whatever takes records."""


def ignore(_record: Record) -> None:
    """What a process that is not traced does with its records."""


# --- msgpack ---------------------------------------------------------------------------------------------------------

_TUPLE, _SET = "()", "{}"


def _public(module: ModuleType) -> Iterator[type]:
    for thing in vars(module).values():
        if isinstance(thing, type) and (dataclasses.is_dataclass(thing) or issubclass(thing, Enum)):
            yield thing


_RECORDS: tuple[type, ...] = get_args(Record)
_CORE = [kind for module in (types, messages, events, effects, cache, home_page) for kind in _public(module)]
_BY_NAME: dict[str, Callable[..., Any]] = {kind.__name__: kind for kind in (*_CORE, *_RECORDS)}
_FIELDS: dict[type, tuple[str, ...]] = {
    kind: tuple(field.name for field in dataclasses.fields(kind))
    for kind in (*_CORE, *_RECORDS)
    if dataclasses.is_dataclass(kind)
}


def _taken_apart(thing: object) -> list[Any]:
    if isinstance(thing, Enum):
        return [type(thing).__name__, thing.value]
    if isinstance(thing, tuple):
        return [_TUPLE, *thing]
    if isinstance(thing, frozenset):
        return [_SET, *sorted(thing)]
    return [type(thing).__name__, *(getattr(thing, name) for name in _FIELDS[type(thing)])]


def _put_together(parts: list[Any]) -> object:
    match parts:
        case [str(name), *values] if name == _TUPLE:
            return tuple(values)
        case [str(name), *values] if name == _SET:
            return frozenset(values)
        case [str(name), *values] if name in _BY_NAME:
            return _BY_NAME[name](*values)
    raise InvalidArgument(f"a trace with {parts!r:.100}, which is nothing that this version knows")


def packer() -> Callable[[Record], bytes]:
    """Return what makes bytes of records."""
    pack: Callable[[Record], bytes] = msgpack.Packer(default=_taken_apart, strict_types=True).pack
    return pack


def read(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a trace. The last one, if it was not written to its end, is left out.

    Raises:
        InvalidArgument: it is no trace, or one of another format.
    """
    unpacker = msgpack.Unpacker(file, list_hook=_put_together, max_buffer_size=TRACE_RECORD_BYTES_MAX)
    began = False
    try:
        for record in unpacker:
            if not isinstance(record, Record) or isinstance(record, Began) == began:
                raise InvalidArgument(f"{record!r:.100} is out of place in a trace")
            if isinstance(record, Began) and record.format != FORMAT:
                raise InvalidArgument(f"a trace of format {record.format}; this version knows format {FORMAT}")
            began = True
            yield record
    except (ValueError, TypeError, msgpack.UnpackException) as problem:
        if isinstance(problem, InvalidArgument):
            raise
        raise InvalidArgument(f"this is no trace: {problem}") from None
