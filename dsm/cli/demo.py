"""`dsm demo`: the demo of `dsm.demo` on a cluster of its own, on nodes that run already, or as one worker of it."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import SECONDS, output_option
from dsm.cli.output import coloured, printable, show_json, show_pairs, show_table
from dsm.limits import DEMO_SECONDS_DEFAULT
from dsm.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.demo.run import Report

_HEADERS = ("NODE", "ACCESS", "WORDS", "PAGES IN", "PAGES OUT", "SCOPES", "READ FAULTS", "P50", "P99")
_WORKERS_MAX = 64
_GRACE_SECONDS = 10.0  # beyond the time-out, for a worker that cannot act because it is stopped at a page


@click.command()
@click.option(
    "--input",
    "directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Directory of the corpus, read with all below it.",
    show_default="Python's standard library",
)
@click.option("--nodes", type=click.IntRange(1, _WORKERS_MAX), default=3, help="Of the cluster that is started.")
@click.option("--socket", "sockets", multiple=True, metavar="PATH", help="Of a node that runs already; give several.")
@click.option(
    "--worker", type=click.IntRange(1, _WORKERS_MAX), help="Be this one of --workers, on the node of --socket."
)
@click.option("--workers", type=click.IntRange(1, _WORKERS_MAX), help="How many there are, on whatever hosts.")
@click.option("--name", default="demo", help="Of the regions in which the workers meet.")
@click.option("--timeout", type=SECONDS, default=DEMO_SECONDS_DEFAULT, show_default="2min", help="For all of it.")
@output_option
@click.pass_context
def demo(
    context: click.Context,
    directory: Path | None,
    nodes: int,
    sockets: tuple[str, ...],
    worker: int | None,
    workers: int | None,
    name: str,
    timeout: float,
    output: str,
) -> None:
    """Count the words of a corpus on three nodes, in one shared table.

    One client on each node reads its share and merges its counts into a hash table in shared memory, while the others
    do the same. Then every node reads the whole table and compares it with the count of one process alone. Exit status
    1 if there is any difference.

    Workers on several hosts are started one by one, with --worker and --workers.
    """
    if (worker is None) != (workers is None):
        raise click.UsageError("--worker and --workers belong together")
    if worker is None or workers is None:
        equal = _run_all(directory, nodes, sockets, timeout, output)
    elif worker > workers or len(sockets) > 1:
        raise click.UsageError(f"worker {worker} of {workers} workers, on {len(sockets)} nodes")
    else:
        equal = _run_one(directory, sockets, worker, workers, name, timeout, output)
    context.exit(0 if equal else 1)


def _run_all(directory: Path | None, nodes: int, sockets: Sequence[str], timeout: float, output: str) -> bool:
    from dsm.cluster import LocalCluster
    from dsm.demo.picture import display
    from dsm.demo.run import run

    began = time.monotonic()
    with ExitStack() as stack:
        if not sockets:
            cluster = stack.enter_context(LocalCluster(nodes))
            sockets = [cluster.socket(number) for number in range(nodes)]
            if output == "table":
                click.echo(f"{nodes} nodes on this machine, started in {time.monotonic() - began:.1f} s\n")
        where = stack.enter_context(display()) if output == "table" else None
        report = run(sockets, directory, timeout, where)
    if output == "json":
        show_json(report.as_map())
    else:
        _show(report)
    return report.equal


def _run_one(
    directory: Path | None, sockets: Sequence[str], worker: int, workers: int, name: str, timeout: float, output: str
) -> bool:
    from dataclasses import asdict

    from dsm.client import connect
    from dsm.demo.picture import Watch, display, node_names
    from dsm.demo.run import Report
    from dsm.demo.worker import Task, Worker

    # Python's own handlers do not run while a thread is stopped at a page; the kernel's default, the end, does.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, timeout + _GRACE_SECONDS)
    draws = worker == 1 and output == "table"
    with (
        connect(sockets[0] if sockets else None) as client,
        display() if draws else nullcontext() as where,
    ):
        watch = None if where is None else Watch(where, node_names(client))
        outcome = Worker(client, Task(name, worker, workers, directory, timeout), watch).run()
    if output == "json":
        show_json(asdict(outcome))
    else:
        _show(Report.of([asdict(outcome)], sum(outcome.seconds.values())))
    return outcome.equal


def _show(report: Report) -> None:
    table = report.table
    phases = ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in report.seconds.items())
    slots = f"{table['slots']:,} slots in {table['pages']:,} pages of {format_size(table['page_size'])}"
    show_pairs(
        [
            ("words", f"{report.words:,}, {report.distinct:,} of them different"),
            ("table", f"{format_size(table['bytes'])}: {slots}"),
            ("time", f"{report.elapsed:.1f} s: {phases}"),
            ("moved", f"{report.pages_moved:,} pages, {format_size(report.bytes_moved)}"),
        ]
    )
    click.echo()
    show_table(_HEADERS, map(_row, report.workers), right=_HEADERS[2:])
    click.echo()
    for worker in report.workers:
        _show_verdict(worker)


def _row(worker: dict[str, Any]) -> list[str]:
    stats = worker["stats"]
    faults = stats["latency"]["read"]
    counts = [worker["words"], stats["pages_in"], stats["pages_out"], stats["scopes"], faults["count"]]
    return [
        worker["node"],
        worker["access"],
        *(f"{number:,}" for number in counts),
        *map(_latency, (faults["p50"], faults["p99"])),
    ]


def _latency(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e6:,.0f} us"


def _show_verdict(worker: dict[str, Any]) -> None:
    if worker["access"] == "scoped":
        click.echo(f"{worker['node']} has no userfaultfd and read the table in a scope; `dsm doctor` says why")
    if not worker["differing"]:
        click.echo(f"{worker['node']}: " + coloured("the table equals the count of one process", "green"))
        return
    click.echo(f"{worker['node']}: " + coloured(f"{worker['differing']:,} words differ", "red"))
    for word in worker["differences"]:
        found = " and ".join(f"{count:,}" for count in word["found"]) or "nothing"
        click.echo(f"    {printable(word['word'])}: {found} in the table, {word['expected']:,} in the corpus")
