"""`dsm doctor`: gathers facts, judges them, and prints what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from dsm.cli.options import output_option, socket_option
from dsm.cli.output import coloured, printable, show_json

if TYPE_CHECKING:
    from dsm.cli.findings import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "bad": "red"}


@click.command()
@socket_option
@output_option
@click.pass_context
def doctor(context: click.Context, socket: str | None, output: str) -> None:
    """Find out what works on this machine, and how to mend the rest.

    Exit status 1 if anything is bad. Remedies can be pasted into a shell.
    """
    from dsm.cli.facts import gather
    from dsm.cli.findings import examine

    findings = examine(gather(socket))
    healthy = all(finding.state != "bad" for finding in findings)
    if output == "json":
        show_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        _show(findings)
    context.exit(0 if healthy else 1)


def _show(findings: list[Finding]) -> None:
    told: set[tuple[str, ...]] = set()
    for finding in findings:
        state = coloured(f"{finding.state:<5}", _COLOURS[finding.state])
        click.echo(f"{state} {finding.check}: {printable(finding.found)}")
        click.echo(f"      {finding.meaning}")
        for line in ("# as above",) if finding.remedy in told else finding.remedy:
            click.echo(f"          {printable(line)}")
        told |= {finding.remedy} - {()}
