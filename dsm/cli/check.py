"""`dsm check`: do the records of a live cluster obey the laws of the protocol? See `dsm.live`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import ADDRESS, SECONDS, connect, output_option, region_argument, socket_option
from dsm.cli.output import coloured, printable, show_json, show_pairs
from dsm.limits import CHECK_FINDINGS_MAX, CHECK_SECONDS_DEFAULT

if TYPE_CHECKING:
    from dsm.live import Findings


@click.command()
@region_argument("names", nargs=-1, required=False)
@click.option("--directory", type=ADDRESS, help="Of the cluster.", show_default="that of this host's node")
@click.option("--timeout", type=SECONDS, default=CHECK_SECONDS_DEFAULT, help="Wait so long for pages to become quiet.")
@socket_option
@output_option
@click.pass_context
def check(
    context: click.Context,
    names: tuple[str, ...],
    directory: str | None,
    timeout: float,
    socket: str | None,
    output: str,
) -> None:
    """Ask a live cluster whether its records obey the laws of the protocol.

    One writer or many readers of each page, every readable copy the latest, and the directory and the nodes agree. A
    page with a request under way is looked at again until it is quiet. Exit status 1 if a law is broken or a page is
    stuck; pages that were busy all the time are counted.
    """
    from dsm.live import examine

    if directory is None:
        with connect(socket) as client:
            directory = str(client.status()["directory"])
    findings = asyncio.run(examine(directory, names, timeout))
    if output == "json":
        show_json(_as_map(findings))
    else:
        _show(findings)
    context.exit(0 if findings.ok else 1)


def _as_map(findings: Findings) -> dict[str, Any]:
    return {
        "ok": findings.ok,
        "regions": findings.regions,
        "pages": findings.pages,
        "nodes": findings.nodes,
        "violations": len(findings.violations),
        "stuck": len(findings.stuck),
        "busy": findings.busy,
        "found": [
            {"region": region, "page": page, "what": what}
            for region, page, what in (findings.violations + findings.stuck)[:CHECK_FINDINGS_MAX]
        ],
    }


def _show(findings: Findings) -> None:
    show_pairs(
        [
            ("regions", f"{findings.regions:,}"),
            ("pages", f"{findings.pages:,} that were ever touched, on {findings.nodes} nodes"),
            ("violations", f"{len(findings.violations):,}"),
            ("stuck", f"{len(findings.stuck):,}"),
            ("busy", f"{findings.busy:,} all the time, so not judged"),
        ]
    )
    for region, page, what in (findings.violations + findings.stuck)[:CHECK_FINDINGS_MAX]:
        click.echo(f"    region {printable(region)}, page {page:,}: {printable(what)}")
    click.echo(coloured("ok", "green") if findings.ok else coloured("BROKEN", "red"))
