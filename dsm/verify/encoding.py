"""Histories as text and as bytes: JSON lines for people, msgpack for a million operations. The caller does the I/O.

Both begin with a header that names the format, the hosts and the initial value. What comes in may be anything:
whatever is not a history raises `InvalidArgument`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgpack
import numpy as np

from dsm.errors import InvalidArgument
from dsm.verify.history import COLUMNS, History, Kind, Operation, Recorder, Word

FORMAT = "dsm-history"
FORMAT_VERSION = 1
_LITTLE_ENDIAN = np.dtype("<i8")
_NUMBERS = ("seen", "value", "expected")


def to_lines(history: History) -> Iterator[str]:
    """One JSON object a line: the header, then each operation."""
    yield json.dumps(_header(history))
    for operation in history:
        yield json.dumps(_operation_to_map(operation))


def from_lines(lines: Iterable[str]) -> History:
    """What `to_lines` wrote. Empty lines are skipped."""
    maps = (_parse(number, line) for number, line in enumerate(lines, 1) if line.strip())
    hosts, initial = _read_header(next(maps, None))
    return History.of((_operation_from_map(one) for one in maps), hosts, initial)


def to_bytes(history: History) -> bytes:
    """The whole history in one msgpack map; 80 bytes for each operation."""
    columns = history.table.astype(_LITTLE_ENDIAN, copy=False).tobytes()
    packed: bytes = msgpack.packb({**_header(history), "columns": columns})
    return packed


def from_bytes(data: bytes) -> History:
    """What `to_bytes` wrote."""
    try:
        decoded = msgpack.unpackb(data, max_bin_len=len(data))
    except (ValueError, msgpack.UnpackException) as problem:
        raise InvalidArgument(f"the bytes are not a history: {problem}") from None
    hosts, initial = _read_header(decoded)
    columns = decoded.get("columns")
    row_bytes = len(COLUMNS) * _LITTLE_ENDIAN.itemsize
    if not isinstance(columns, bytes) or len(columns) % row_bytes:
        raise InvalidArgument(f"the columns of a history are bytes, {row_bytes} for each operation")
    table = np.frombuffer(columns, _LITTLE_ENDIAN).reshape(len(COLUMNS), -1)
    return History(table.astype(np.int64), hosts, initial)


def _header(history: History) -> dict[str, Any]:
    hosts = [[process, host] for process, host in sorted(history.hosts.items())]
    return {"format": FORMAT, "version": FORMAT_VERSION, "initial": history.initial, "hosts": hosts}


def _read_header(header: object) -> tuple[dict[int, int], int]:
    if not isinstance(header, dict) or (header.get("format"), header.get("version")) != (FORMAT, FORMAT_VERSION):
        raise InvalidArgument(f"not a history: it does not begin with {FORMAT} version {FORMAT_VERSION}")
    hosts = header.get("hosts")
    if not isinstance(hosts, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in hosts):
        raise InvalidArgument("the hosts of a history are pairs of process and host")
    return {_integer(process): _integer(host) for process, host in hosts}, _integer(header.get("initial"))


def _parse(number: int, line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise InvalidArgument(f"line {number} of the history is not JSON: {problem}") from None


def _operation_to_map(operation: Operation) -> dict[str, object]:
    found: dict[str, object] = {"process": operation.process, "kind": operation.kind.name.lower()}
    if operation.word is not None:
        found["word"] = list(operation.word)
    numbers = {name: getattr(operation, name) for name in _NUMBERS}
    found.update({name: number for name, number in numbers.items() if number is not None})
    return {**found, "invoked": operation.invoked, "returned": operation.returned}


def _operation_from_map(found: object) -> Operation:
    if not isinstance(found, dict):
        raise InvalidArgument(f"an operation of a history is a map, not {found!r}")
    names = {kind.name.lower(): kind for kind in Kind}
    if not isinstance(kind := found.get("kind"), str) or kind not in names:
        raise InvalidArgument(f"an operation of unknown kind {kind!r}")
    operation = Operation(
        process=_integer(found.get("process")),
        kind=names[kind],
        word=_word(found["word"]) if "word" in found else None,
        invoked=_integer(found.get("invoked")),
        returned=None if found.get("returned", 0) is None else _integer(found.get("returned")),
        **{name: _integer(found[name]) for name in _NUMBERS if name in found},
    )
    Recorder(0).append(operation)  # refuses what does not fit into 64 bits, or lacks its word
    return operation


def _word(found: object) -> Word:
    if not isinstance(found, list) or len(found) != len(Word._fields):
        raise InvalidArgument(f"a word is [region, page, offset], not {found!r}")
    return Word(*(_integer(number) for number in found))


def _integer(found: object) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not -(1 << 63) <= found < 1 << 63:
        raise InvalidArgument(f"an integer of 64 bits was expected, not {found!r}")
    return found
