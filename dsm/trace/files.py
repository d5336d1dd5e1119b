"""Traces as files: `Recorder` writes one, `traces` reads those of a directory.

Each process has a file of its own, `directory-1.trace` or `node-<name>-1.trace`; the number is the first that is free,
so a daemon that is started again does not write where another one left off in the middle of a record.

What is recorded in one turn of the event loop is written at its end, as one write, and before what was sent in that
turn, since whoever sends is woken later. So the trace of a process that is killed has nearly everything that others
have heard of it, and nothing waits for long in memory.

Recording must not end what it records: if the file cannot be written to, the process goes on without it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, FileIO
from pathlib import Path

from dsm.errors import InvalidArgument
from dsm.limits import NAME_CHARS_MAX, TRACE_BUFFER_BYTES
from dsm.trace.records import FORMAT, Began, Ended, Record, packer, read

log = logging.getLogger(__name__)

_SUFFIX = ".trace"


class Recorder:
    """Writes one trace. It belongs to an event loop."""

    def __init__(self, file: FileIO | BytesIO, kind: str, name: str, version: str) -> None:
        self._file: FileIO | BytesIO | None = file
        self._pack = packer()
        self._waiting = bytearray()
        self._due = False
        self.note(Began(FORMAT, kind, name, version))

    def note(self, record: Record) -> None:
        self._waiting += self._pack(record)
        if len(self._waiting) > TRACE_BUFFER_BYTES:
            self._write()
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._turn_ended)

    def _turn_ended(self) -> None:
        self._due = False
        self._write()

    def _write(self) -> None:
        content, self._waiting = self._waiting, bytearray()
        if self._file is None:
            return
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[self._file.write(rest) :]
        except (OSError, ValueError) as error:
            log.error("nothing is recorded from here on: %s", error)  # noqa: TRY400  # the daemon does not need it
            self._file = None

    def close(self) -> None:
        """Say that the process ended as it should."""
        self._waiting += self._pack(Ended())
        self._write()
        self._file = None


@contextmanager
def recording(directory: str | None, kind: str, name: str, version: str) -> Iterator[Recorder | None]:
    """Record in a new file of a directory; not at all for None.

    Raises:
        InvalidArgument: no file can be made there.
    """
    if directory is None:
        yield None
        return
    with _new_file(Path(directory), kind if kind == name else f"{kind}-{name}") as file:
        recorder = Recorder(file, kind, name, version)
        try:
            yield recorder
        finally:
            recorder.close()


def _new_file(directory: Path, stem: str) -> FileIO:
    stem = re.sub(r"[^\w.-]", "_", stem)[: NAME_CHARS_MAX // 2]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(1):
            try:
                return open(directory / f"{stem}-{number}{_SUFFIX}", "xb", buffering=0, opener=_private)
            except FileExistsError:
                continue
    except OSError as error:
        raise InvalidArgument(f"no trace can be written to {directory}: {error.strerror}") from error
    raise AssertionError("law: numbers do not end")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def traces(directory: str) -> Iterator[tuple[str, Iterator[Record]]]:
    """Yield the traces of a directory: the name of each, and its records, to be taken before the next trace is.

    Raises:
        InvalidArgument: a file is no trace.
    """
    for path in sorted(Path(directory).glob(f"*{_SUFFIX}")):
        with path.open("rb") as file:
            yield path.name, _named(path, read(file))


def _named(path: Path, records: Iterator[Record]) -> Iterator[Record]:
    try:
        yield from records
    except InvalidArgument as error:
        raise InvalidArgument(f"{path}: {error.message}") from error
