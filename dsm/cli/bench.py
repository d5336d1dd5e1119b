"""`dsm bench`: the benchmark of `dsm.bench`, as tables or as one document."""

from __future__ import annotations

import sys
from typing import Any

import click

from dsm.cli.options import SIZE, output_option
from dsm.cli.output import show_json, show_table
from dsm.limits import BENCH_SAMPLES_DEFAULT
from dsm.units import format_size

_FAULTS = ("FAULT", "PAGE", "HOLD", "P50", "P99", "PEER", "PEER P50", "PEER P99", "MESSAGES")
_SCANS = ("SCAN", "SIZE", "GB/S", "PEER GB/S")


@click.command()
@click.option(
    "--page-size", "page_sizes", type=SIZE, multiple=True, help="Measure these.", show_default="4KiB 64KiB 1MiB"
)
@click.option("--samples", type=click.IntRange(1), default=BENCH_SAMPLES_DEFAULT, help="Of each kind of fault.")
@click.option("--scan", type=SIZE, default="256MiB", help="How much to read in bulk.")
@output_option
def bench(page_sizes: tuple[int, ...], samples: int, scan: int, output: str) -> None:
    """Measure latencies and throughput.

    It starts a cluster of two nodes on this machine, and beside it Redis, if that is installed. Only ratios within one
    run mean anything.
    """
    from dsm.bench.run import run

    document = run(page_sizes or (4096, 65536, 1048576), samples, scan, _tell)
    if output == "json":
        show_json(document)
        return
    show_table(_FAULTS, map(_fault, document["faults"]), right=_FAULTS[1:5] + _FAULTS[6:8])
    click.echo()
    show_table(_SCANS, map(_scan, document["scans"]), right=_SCANS[1:])
    click.echo()
    click.echo(f"peer: {document['peer'] or 'none, ' + document['peer_missing']}")


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"measuring {what}", err=True)


def _fault(row: dict[str, Any]) -> list[str]:
    peer = row["peer"] or {}
    messages = "  ".join(f"{name} {count:g}" for name, count in row["messages"].items())
    return [
        row["kind"],
        format_size(row["page_size"]),
        f"{row['hold_ms']:g} ms",
        *(_latency(row.get(name)) for name in ("p50_us", "p99_us")),
        peer.get("operation", "-"),
        *(_latency(peer.get(name)) for name in ("p50_us", "p99_us")),
        messages,
    ]


def _latency(microseconds: float | None) -> str:
    return "-" if microseconds is None else f"{microseconds:,.0f} us"


def _scan(row: dict[str, Any]) -> list[str]:
    theirs = row["peer_gb_per_s"]
    return [row["way"], format_size(row["bytes"]), f"{row['gb_per_s']:.2f}", "-" if theirs is None else f"{theirs:.2f}"]
