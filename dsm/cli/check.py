"""`dsm check`: do the records of a live cluster obey the laws of the protocol (`dsm.live`)?

With --trace: did daemons do what the core says (`dsm.verify.conformance`)?
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import ADDRESS, SECONDS, connect, output_option, region_argument, socket_option, trace_option
from dsm.cli.output import coloured, printable, show_json, show_pairs
from dsm.limits import CHECK_FINDINGS_MAX, CHECK_SECONDS_DEFAULT

if TYPE_CHECKING:
    from dsm.live import Findings
    from dsm.verify.conformance import Conformance


@click.command()
@region_argument("names", nargs=-1, required=False)
@click.option("--directory", type=ADDRESS, help="Of the cluster.", show_default="that of this host's node")
@click.option("--timeout", type=SECONDS, default=CHECK_SECONDS_DEFAULT, help="Wait so long for pages to become quiet.")
@trace_option("Judge what daemons have recorded there, in place of a live cluster.")
@socket_option
@output_option
@click.pass_context
def check(
    context: click.Context,
    names: tuple[str, ...],
    directory: str | None,
    timeout: float,
    trace: str | None,
    socket: str | None,
    output: str,
) -> None:
    """Ask a live cluster whether its records obey the laws of the protocol.

    One writer or many readers of each page, every readable copy the latest, and the directory and the nodes agree. A
    page with a request under way is looked at again until it is quiet; pages that were busy all the time are counted.
    Exit status 1 if a law is broken, a page is stuck, or no page could be judged.

    With --trace, what all daemons of a cluster have recorded with their own --trace is replayed: each step has to have
    the effects that the protocol's core gives it, and what one process said another has to have heard, in order and
    once. Exit status 1 if not, if nothing was recorded, or if traces are missing or cut off by much.
    """
    if trace is None:
        ok = _check_live(names, directory, timeout, socket, output)
    elif names or directory is not None:
        raise click.UsageError("--trace is about what was recorded, of all regions; it asks no cluster")
    else:
        ok = _check_trace(trace, output)
    context.exit(0 if ok else 1)


def _check_live(names: tuple[str, ...], directory: str | None, timeout: float, socket: str | None, output: str) -> bool:
    from dsm.live import examine

    if directory is None:
        with connect(socket) as client:
            directory = str(client.status()["directory"])
    findings = asyncio.run(examine(directory, names, timeout))
    if output == "json":
        show_json(_as_map(findings))
    else:
        _show(findings)
    return findings.ok


def _as_map(findings: Findings) -> dict[str, Any]:
    return {
        "ok": findings.ok,
        "verdict": findings.verdict,
        "regions": findings.regions,
        "pages": findings.pages,
        "judged": findings.judged,
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
            ("judged", f"{findings.judged:,}"),
            ("violations", f"{len(findings.violations):,}"),
            ("stuck", f"{len(findings.stuck):,}"),
            ("busy", f"{findings.busy:,} all the time, so not judged"),
        ]
    )
    for region, page, what in (findings.violations + findings.stuck)[:CHECK_FINDINGS_MAX]:
        click.echo(f"    region {printable(region)}, page {page:,}: {printable(what)}")
    click.echo(coloured(findings.verdict, "green" if findings.ok else "red"))


def _check_trace(trace: str, output: str) -> bool:
    from dsm.trace.files import traces
    from dsm.verify.conformance import check_conformance

    report = check_conformance(traces(trace))
    if output == "json":
        show_json(report.as_map())
    else:
        _show_trace(report)
    return report.ok


def _show_trace(report: Conformance) -> None:
    one_sided = f", {report.one_sided:,} of them recorded on one side only" if report.one_sided else ""
    beyond = f", {report.beyond:,} heard of traces that are cut short" if report.beyond else ""
    show_pairs(
        [
            ("processes", f"{report.processes:,}"),
            ("sessions", f"{report.sessions:,}{one_sided}"),
            ("pages", f"{report.pages:,}"),
            ("steps", f"{report.steps:,}"),
            ("messages", f"{report.matched:,} heard as said, {report.under_way:,} under way at an end{beyond}"),
            ("drifts", f"{len(report.drifts):,}"),
        ]
    )
    for name in report.cut_short:
        click.echo(f"{printable(name)} has no end, so its last steps may be missing: it was killed, or still runs")
    for drift in report.drifts[:CHECK_FINDINGS_MAX]:
        for line in str(drift).splitlines():
            click.echo(f"    {printable(line)}")
    click.echo(coloured(report.verdict, "green" if report.ok else "red"))
