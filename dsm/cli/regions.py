"""`dsm ls`, `dsm stat`, `dsm rm`: the regions of the cluster, as `ipcs` and `ipcrm` for System V."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import connect, output_option, region_argument, socket_option
from dsm.cli.output import moment, show_json, show_pairs, show_table
from dsm.errors import DsmError, LimitExceeded
from dsm.units import format_size

if TYPE_CHECKING:
    from dsm.client.records import PageHolders, RegionDetails, RegionInfo
    from dsm.client.sync import Region


@click.command()
@click.argument("prefix", default="")
@socket_option
@output_option
def ls(prefix: str, socket: str | None, output: str) -> None:
    """List regions.

    With PREFIX only those whose names begin so.
    """
    with connect(socket) as client:
        found = [info for info in client.list() if info.name.startswith(prefix)]
    if output == "json":
        show_json({"regions": [asdict(info) for info in found]})
        return
    show_table(
        ("NAME", "SIZE", "PAGE", "ARRAY", "LIFETIME", "CREATOR", "CREATED"),
        (
            (
                info.name,
                format_size(info.size),
                format_size(info.page_size),
                _array(info),
                info.lifetime,
                info.creator,
                moment(info.created_at),
            )
            for info in found
        ),
        right=("SIZE", "PAGE"),
    )


@click.command()
@region_argument()
@socket_option
@output_option
def stat(name: str, socket: str | None, output: str) -> None:
    """Show one region, and which node has how many of its pages."""
    with connect(socket) as client:
        details = client.describe(name)
        with client.open(name, mode="r") as region:
            nodes = _holdings(_holders(region, 0, details.info.size))
    if output == "json":
        show_json(asdict(details.info) | {"attached": details.attached, "pages": details.pages, "nodes": nodes})
        return
    _show_details(details)
    if nodes:
        click.echo()
        show_table(("NODE", "OWNS", "READS"), (node.values() for node in nodes), right=("OWNS", "READS"))


@click.command()
@region_argument("names", nargs=-1)
@socket_option
@output_option
@click.pass_context
def rm(context: click.Context, names: tuple[str, ...], socket: str | None, output: str) -> None:
    """Unlink regions.

    The name goes at once, the memory when nobody has the region attached any more.
    """
    failures: dict[str, DsmError] = {}
    with connect(socket) as client:
        for name in names:
            try:
                client.unlink(name)
            except DsmError as error:
                failures[name] = error
    for failure in failures.values():
        click.echo(f"dsm: {failure}", err=True)
    if output == "json":
        failed = [
            {"name": name, "error": type(failure).__name__, "message": str(failure)}
            for name, failure in failures.items()
        ]
        show_json({"removed": [name for name in names if name not in failures], "failed": failed})
    context.exit(1 if failures else 0)


def _show_details(details: RegionDetails) -> None:
    info, pages = details.info, details.pages
    show_pairs(
        [
            ("name", info.name),
            ("size", f"{format_size(info.size)} ({info.size:,} bytes)"),
            ("array", _array(info) or "none"),
            ("lifetime", info.lifetime),
            ("hold", f"{info.hold * 1000:g} ms"),
            ("created", f"{moment(info.created_at)} on {info.creator}"),
            ("attached", ", ".join(details.attached) or "nowhere"),
            ("pages", f"{pages['all']:,} of {format_size(info.page_size)}"),
            *((kind, f"{count:,}") for kind, count in pages.items() if kind != "all"),
        ]
    )


def _holders(region: Region, offset: int, length: int) -> Iterator[PageHolders]:
    """Who has which pages of a range, in as many answers as it takes."""
    try:
        yield from region.who_has(offset, length)
    except LimitExceeded:
        pages = -(-length // region.page_size)
        if pages == 1:
            raise
        half = pages // 2 * region.page_size
        yield from _holders(region, offset, half)
        yield from _holders(region, offset + half, length - half)


def _holdings(runs: Iterator[PageHolders]) -> list[dict[str, Any]]:
    owned: Counter[str] = Counter()
    read: Counter[str] = Counter()
    for run in runs:
        if run.owner is not None:
            owned[run.owner] += run.count
        for sharer in run.sharers:
            read[sharer] += run.count
    return [{"node": node, "owned": owned[node], "shared": read[node]} for node in sorted({*owned, *read})]


def _array(info: RegionInfo) -> str:
    """Shape and dtype, as NumPy writes them; empty if the region is not an array."""
    return "" if info.shape is None else f"{'x'.join(map(str, info.shape)) or 'scalar'} {info.dtype}"
