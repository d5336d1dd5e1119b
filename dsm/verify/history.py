"""What processes did to shared words, and what they saw: the input of every checker.

A history is a table of 64-bit integers with one row for each operation, so that a million of them take 80 MB and
NumPy can work on whole columns. A **process** is whatever acts in sequence: a thread counts as one. The rows of one
process are in its program order; how the rows of several interleave means nothing.

* `invoked` and `returned` are readings of a monotonic clock, before and after. Linearizability needs one clock for
  all (one machine's CLOCK_MONOTONIC); sequential consistency looks at none and takes zeros.
* An operation whose outcome is unknown, because its process died or the call ended in doubt, returns at `FOREVER`:
  it may take effect at any time after its invocation, or never. If its process goes on, it orders nothing after it.
* A **word** is what the recorder treats as one place: eight bytes, or a whole page with a stamp in it. It starts
  with the history's `initial` value. Values are signed 64-bit integers; `fetch_add` wraps.
* `hosts` says which processes share a machine, for the model of that machine.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsm.errors import InvalidArgument

FOREVER = (1 << 63) - 1  # when an operation returned whose outcome nobody knows

Column = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Kind(IntEnum):
    """What an operation is. The last three order the loads and stores around them, as x86's locked instructions do."""

    READ = 0
    WRITE = 1
    COMPARE_AND_SWAP = 2
    FETCH_ADD = 3
    FENCE = 4


COLUMNS = ("process", "kind", "region", "page", "offset", "seen", "value", "expected", "invoked", "returned")


class Word(NamedTuple):
    """Where a word is: the region, the page in it, the byte in the page."""

    region: int
    page: int
    offset: int

    def __str__(self) -> str:
        return f"{self.region}:{self.page}+{self.offset}"


NOWHERE = Word(-1, -1, -1)  # of a fence


@dataclass(frozen=True)
class Operation:
    """One row of a history, for people and files. What its kind does not have is None."""

    process: int
    kind: Kind
    word: Word | None = None
    seen: int | None = None
    """What was read; by compare_and_swap and fetch_add, what they found."""
    value: int | None = None
    """What was written; what compare_and_swap would write; what fetch_add adds."""
    expected: int | None = None
    """What compare_and_swap compared with."""
    invoked: int = 0
    returned: int | None = 0
    """None if the outcome is unknown."""

    @property
    def known(self) -> bool:
        return self.returned is not None

    def __str__(self) -> str:
        return f"process {self.process} {self._deed()}"

    def _deed(self) -> str:
        doubt = "" if self.known else ", outcome unknown"
        found = f", found {self.seen}" if self.known else doubt
        match self.kind:
            case Kind.READ:
                return f"read {self.seen if self.known else 'something'} from word {self.word}"
            case Kind.WRITE:
                return f"wrote {self.value} to word {self.word}{doubt}"
            case Kind.COMPARE_AND_SWAP:
                return f"compared word {self.word} with {self.expected} to swap in {self.value}{found}"
            case Kind.FETCH_ADD:
                return f"added {self.value} to word {self.word}{found}"
            case Kind.FENCE:
                return "passed a fence"


@dataclass(frozen=True, eq=False)
class History:
    """A table of operations: one row for each of COLUMNS, one column for each operation."""

    table: NDArray[np.int64]
    hosts: Mapping[int, int] = field(default_factory=dict)
    initial: int = 0

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.table.shape[0] != len(COLUMNS) or self.table.dtype != np.int64:
            raise InvalidArgument(f"a history is a table of {len(COLUMNS)} rows of int64")
        kinds = self.column("kind")
        if kinds.size and not (kinds.min() >= min(Kind) and kinds.max() <= max(Kind)):
            raise InvalidArgument("the history has an operation of an unknown kind")
        if (self.column("invoked") > self.column("returned")).any():
            raise InvalidArgument("the history has an operation that returned before it was invoked")

    def __len__(self) -> int:
        return int(self.table.shape[1])

    def __iter__(self) -> Iterator[Operation]:
        return (self.operation(row) for row in range(len(self)))

    def column(self, name: str) -> Column:
        found: Column = self.table[COLUMNS.index(name)]
        return found

    def operation(self, row: int) -> Operation:
        fields = dict(zip(COLUMNS, (int(number) for number in self.table[:, row]), strict=True))
        kind = Kind(fields["kind"])
        known = fields["returned"] != FOREVER
        reads = known and kind not in (Kind.WRITE, Kind.FENCE)
        return Operation(
            process=fields["process"],
            kind=kind,
            word=None if kind is Kind.FENCE else Word(fields["region"], fields["page"], fields["offset"]),
            seen=fields["seen"] if reads else None,
            value=None if kind in (Kind.READ, Kind.FENCE) else fields["value"],
            expected=fields["expected"] if kind is Kind.COMPARE_AND_SWAP else None,
            invoked=fields["invoked"],
            returned=fields["returned"] if known else None,
        )

    @classmethod
    def of(cls, operations: Iterable[Operation], hosts: Mapping[int, int] | None = None, initial: int = 0) -> History:
        """A history of operations that are given one by one."""
        recorder = Recorder(0)
        for operation in operations:
            recorder.append(operation)
        return cls(recorder.table(), hosts or {}, initial)

    @classmethod
    def joined(cls, histories: Iterable[History]) -> History:
        """One history of several, in the order given. They start from the same initial value."""
        parts = list(histories)
        if len({part.initial for part in parts}) > 1:
            raise InvalidArgument("histories with different initial values cannot be joined")
        hosts = {process: host for part in parts for process, host in part.hosts.items()}
        table = np.concatenate([part.table for part in parts], axis=1) if parts else _empty()
        return cls(table, hosts, parts[0].initial if parts else 0)


class Recorder:
    """Collects the operations of one process as they happen: about half a microsecond and 80 bytes for each."""

    def __init__(self, process: int, host: int | None = None) -> None:
        self.process = process
        self._hosts = {} if host is None else {process: host}
        self._numbers = array("q")

    def __len__(self) -> int:
        return len(self._numbers) // len(COLUMNS)

    def read(self, word: Word, seen: int, invoked: int = 0, returned: int = 0) -> None:
        """A load, and what it saw."""
        self._numbers.extend((self.process, Kind.READ, *word, seen, 0, 0, invoked, returned))

    def write(self, word: Word, value: int, invoked: int = 0, returned: int = 0) -> None:
        """A store."""
        self._numbers.extend((self.process, Kind.WRITE, *word, 0, value, 0, invoked, returned))

    def compare_and_swap(
        self, word: Word, expected: int, value: int, seen: int, invoked: int = 0, returned: int = 0
    ) -> None:
        """An atomic compare-and-swap. It took effect if it saw what it expected."""
        row = (self.process, Kind.COMPARE_AND_SWAP, *word, seen, value, expected, invoked, returned)
        self._numbers.extend(row)

    def fetch_add(self, word: Word, value: int, seen: int, invoked: int = 0, returned: int = 0) -> None:
        """An atomic addition of `value` to what it saw."""
        self._numbers.extend((self.process, Kind.FETCH_ADD, *word, seen, value, 0, invoked, returned))

    def fence(self) -> None:
        """A full fence: x86's MFENCE, or a system call."""
        self._numbers.extend((self.process, Kind.FENCE, *NOWHERE, 0, 0, 0, 0, 0))

    def append(self, operation: Operation) -> None:
        """Any operation, of whatever process it names."""
        word = NOWHERE if operation.word is None else operation.word
        if (operation.kind is Kind.FENCE) != (operation.word is None):
            raise InvalidArgument(f"every operation but a fence has a word: {operation}")
        values = (operation.seen or 0, operation.value or 0, operation.expected or 0)
        returned = FOREVER if operation.returned is None else operation.returned
        row = (operation.process, operation.kind, *word, *values, operation.invoked, returned)
        try:
            self._numbers.extend(row)
        except OverflowError:
            raise InvalidArgument(f"a number beyond 64 bits: {operation}") from None

    def table(self) -> NDArray[Any]:
        rows = np.array(self._numbers, dtype=np.int64).reshape(-1, len(COLUMNS))
        return np.ascontiguousarray(rows.T)

    def history(self, initial: int = 0) -> History:
        """What was recorded so far."""
        return History(self.table(), self._hosts, initial)


def _empty() -> NDArray[np.int64]:
    return np.zeros((len(COLUMNS), 0), dtype=np.int64)
