"""What commands print: tables for people, JSON for programs, progress.

rich draws tables and progress bars on a terminal. Anywhere else tables are plain aligned text, so that `grep` and
`awk` see the same columns on every machine. JSON is one document on standard output with names that stay; later
versions add fields and remove none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click


def show_json(document: dict[str, Any]) -> None:
    """Print a document for programs."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def show_table(headers: Sequence[str], rows: Iterable[Iterable[object]], *, right: Collection[str] = ()) -> None:
    """Print rows for people, the columns in `right` aligned there."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _show_rich_table(headers, cells, right)
        return
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for line in (headers, *cells):
        aligned = [
            cell.rjust(width) if header in right else cell.ljust(width)
            for header, cell, width in zip(headers, line, widths, strict=True)
        ]
        click.echo("  ".join(aligned).rstrip())


def show_pairs(pairs: Iterable[tuple[str, object]]) -> None:
    """Print names and values for people, one pair on a line."""
    known = [(name, printable(str(value))) for name, value in pairs]
    width = max(len(name) for name, _ in known)
    for name, value in known:
        click.echo(f"{name:<{width}}  {value}")


def coloured(text: str, colour: str) -> str:
    """Return the text in a colour where that can be seen and is wanted."""
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return click.style(text, fg=colour, bold=True) if wanted else text


def printable(text: str) -> str:
    """Return the text without control characters: names come from other hosts, and a terminal obeys what it reads."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def moment(seconds: float) -> str:
    """Return a time since 1970 in this machine's zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Return a time span in at most two units."""
    whole = int(seconds)
    for unit, size, smaller, smaller_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{seconds:.1f} s"


@contextmanager
def progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` bytes are done, on a terminal; gives the function to call with each further number."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
    with Progress(
        *columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    ) as bars:
        task = bars.add_task(printable(label), total=total)
        yield lambda done: bars.advance(task, done)


def _show_rich_table(headers: Sequence[str], cells: list[list[str]], right: Collection[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))  # Text, because "[red]" is a name and not a colour here
    Console().print(table)
