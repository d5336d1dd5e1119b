"""`dsm put` and `dsm get`: files into regions and back, through scoped access, a chunk at a time.

A chunk is read from the file straight into the region's memory, or written from there; nothing is copied between.
Each chunk is one scope, so others see all of a chunk or nothing of it; the whole file is not one scope.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from dsm.cli.options import SIZE, connect, output_option, region_argument, socket_option
from dsm.cli.output import printable, progress, show_json
from dsm.errors import DsmError, InvalidArgument, RegionExists, RegionNotFound
from dsm.limits import PAGE_BYTES_DEFAULT, TRANSFER_CHUNK_BYTES
from dsm.units import format_size

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.argument("name")
@click.option("--page-size", type=SIZE, default=PAGE_BYTES_DEFAULT, help="Of the new region.", show_default="64KiB")
@click.option("--overwrite", is_flag=True, help="Write into the region if it exists and has the size of the file.")
@socket_option
@output_option
def put(file: str, name: str, page_size: int, overwrite: bool, socket: str | None, output: str) -> None:
    """Copy a file into a new region.

    FILE may be "-" for standard input. The region stays until it is unlinked (dsm rm).
    """
    with _source(file) as source, connect(socket) as client:
        size = _size_left(source)
        with _region(client, name, overwrite, size, page_size) as region:
            seconds = _each_chunk(f"put {name}", size, lambda offset, length: _fill(region, offset, length, source))
    _tell({"region": name, "size": size, "created": region.created, "seconds": seconds}, output)


@click.command()
@region_argument()
@click.argument("file", type=click.Path(dir_okay=False, writable=True, allow_dash=True))
@socket_option
@output_option
def get(name: str, file: str, socket: str | None, output: str) -> None:
    """Copy a region into a file.

    FILE may be "-" for standard output.
    """
    to_stdout = file == "-"
    if to_stdout and output == "json":
        raise click.UsageError("standard output is for the bytes or for JSON, not for both")
    with connect(socket) as client, client.open(name, mode="r") as region, _target(file) as target:
        size = region.size
        seconds = _each_chunk(f"get {name}", size, lambda offset, length: _drain(region, offset, length, target))
    if not to_stdout:
        _tell({"region": name, "size": size, "file": file, "seconds": seconds}, output)


@contextmanager
def _region(client: Client, name: str, overwrite: bool, size: int, page_size: int) -> Iterator[Region]:
    """The region to fill. One that was made for the file goes again if filling it fails: a part is of no use."""
    try:
        make = client.open_or_create if overwrite else client.create
        region = make(name, size=size, page_size=page_size)
    except RegionExists as error:
        raise RegionExists(error.message, remedy="Give --overwrite, or remove it with `dsm rm`") from error
    with region:
        try:
            yield region
        except BaseException:
            if region.created:
                _unlink(client, name)
            raise


def _unlink(client: Client, name: str) -> None:
    try:
        client.unlink(name)
    except RegionNotFound:
        pass  # somebody else was quicker
    except DsmError as error:
        click.echo(f"dsm: {name} is incomplete and could not be unlinked: {error}", err=True)


def _each_chunk(label: str, size: int, move: Callable[[int, int], None]) -> float:
    """Move every chunk and return how many seconds that took."""
    start = time.monotonic()
    with progress(label, size) as advance:
        for offset in range(0, size, TRANSFER_CHUNK_BYTES):
            length = min(TRANSFER_CHUNK_BYTES, size - offset)
            move(offset, length)
            advance(length)
    return time.monotonic() - start


def _fill(region: Region, offset: int, length: int, source: BinaryIO) -> None:
    with region.write(offset, length) as view:
        done = 0
        while done < length:
            read = source.readinto(view[done:])  # type: ignore[attr-defined]  # every binary file has it
            if not read:
                raise InvalidArgument(
                    f"the file ended at {offset + done:,} bytes", remedy="Let nobody change it meanwhile"
                )
            done += read


def _drain(region: Region, offset: int, length: int, target: BinaryIO) -> None:
    with region.read(offset, length) as view:
        target.write(view)


@contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    """The file to read. A stream goes through a temporary file, since a region's size is fixed when it is created."""
    with _named_errors(file), open(0 if file == "-" else file, "rb", buffering=0, closefd=file != "-") as opened:
        if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            yield opened
            return
        with tempfile.TemporaryFile() as whole:
            shutil.copyfileobj(opened, whole)
            whole.seek(0)
            yield whole


def _size_left(source: BinaryIO) -> int:
    """Bytes from where the file stands: `dsm put - NAME < FILE` may come after a `read`."""
    return os.fstat(source.fileno()).st_size - source.tell()


@contextmanager
def _target(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with _named_errors(file), open(file, "wb") as opened:
        yield opened


@contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """A full disk or a missing right is the file's error, told without a traceback."""
    try:
        yield
    except DsmError:
        raise
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error


def _tell(done: dict[str, Any], output: str) -> None:
    if output == "json":
        show_json(done)
        return
    rate = format_size(int(done["size"] / max(done["seconds"], 1e-9)))
    click.echo(f"{printable(done['region'])}: {format_size(done['size'])} in {done['seconds']:.2f} s, {rate} a second")
