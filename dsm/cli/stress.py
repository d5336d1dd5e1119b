"""`dsm stress`: `dsm.stress`, on a cluster of its own, on nodes that run already, or as one worker."""

from __future__ import annotations

import secrets
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dsm.cli.options import SECONDS, output_option, trace_option
from dsm.cli.output import coloured, printable, show_json, show_pairs
from dsm.errors import DsmError
from dsm.limits import STRESS_CLIENTS_MAX, STRESS_GRACE_SECONDS, STRESS_SECONDS_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsm.stress.plan import Run

_SEED_BITS = 32
_ALARM_SECONDS = 10.0  # beyond the time-out, for a worker that cannot act because it is stopped at a page


@click.command()
@click.option("--nodes", type=click.IntRange(1, STRESS_CLIENTS_MAX), default=3, help="Of the cluster that is started.")
@click.option("--socket", "sockets", multiple=True, metavar="PATH", help="Of a node that runs already; give several.")
@click.option("--clients", type=click.IntRange(1, STRESS_CLIENTS_MAX), default=2, help="Processes on each node.")
@click.option("--seconds", type=SECONDS, default=STRESS_SECONDS_DEFAULT, help="How long the clients act.")
@click.option("--seed", type=click.IntRange(0), help="Of what they do.", show_default="drawn anew")
@click.option("--torn", is_flag=True, help="Write whole pages, and look for torn ones in place of checking histories.")
@click.option(
    "--transfers-min", type=click.IntRange(0), help="Fewer pages moved are a failure.", show_default="by time and nodes"
)
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), help="Leave the history of a bad round there.")
@click.option("--worker", type=click.IntRange(1), help="Be this one of --workers, on the node of --socket.")
@click.option("--workers", type=click.IntRange(1, STRESS_CLIENTS_MAX), help="How many there are, on whatever hosts.")
@click.option("--name", default="stress", help="Of the regions in which the workers meet.")
@click.option("--timeout", type=SECONDS, help="For all of it.", show_default="10 times --seconds and a minute")
@trace_option("Let the daemons of the cluster record their steps there, for `dsm check --trace`.")
@output_option
@click.pass_context
def stress(
    context: click.Context,
    nodes: int,
    sockets: tuple[str, ...],
    clients: int,
    seconds: float,
    seed: int | None,
    torn: bool,
    transfers_min: int | None,
    keep: Path | None,
    worker: int | None,
    workers: int | None,
    name: str,
    timeout: float | None,
    trace: str | None,
    output: str,
) -> None:
    """Let clients on all nodes work against each other, and check what they saw.

    They load and store, plainly and in scopes, count, prefetch, detach and attach, on more and more pages. What each
    did and saw is recorded and checked for linearizability and sequential consistency. Exit status 1 if anything was
    wrong, if a check ran out of time, or if too little happened to mean anything.

    Workers on several hosts are started one by one, with --worker and --workers, and the same --seed and --seconds.
    """
    from dsm.stress.plan import Run

    if (worker is None) != (workers is None):
        raise click.UsageError("--worker and --workers belong together")
    if worker is not None and workers is not None and (worker > workers or len(sockets) > 1):
        raise click.UsageError(f"worker {worker} of {workers} workers, on {len(sockets)} nodes")
    if trace is not None and (sockets or worker is not None):
        raise click.UsageError("--trace is for the cluster that is started; give it to daemons that run already")
    run = Run(
        name=name if worker is not None else f"stress-{secrets.token_hex(4)}",
        worker=worker or 1,
        workers=workers or clients * (len(sockets) or nodes),
        seed=seed if seed is not None else 0 if worker is not None else secrets.randbits(_SEED_BITS),
        seconds=seconds,
        torn=torn,
        timeout=10 * seconds + STRESS_GRACE_SECONDS if timeout is None else timeout,
        transfers_min=transfers_min,
    )
    try:
        if worker is None:
            report = _run_all(run, sockets, nodes, keep, trace)
        else:
            report = _run_one(run, sockets[0] if sockets else None, keep)
    except DsmError as error:
        if output == "json":
            show_json({"verdict": "failed", "error": str(error), "seed": run.seed})
        raise
    if run.worker > 1:
        show_json({"worker": run.worker})  # only worker 1 knows of the others
        return
    if output == "json":
        show_json(report)
    else:
        _show(report)
    context.exit(0 if report["verdict"] == "ok" else 1)


def _run_all(run: Run, sockets: Sequence[str], nodes: int, keep: Path | None, trace: str | None) -> dict[str, Any]:
    from dsm.cluster import LocalCluster
    from dsm.stress.run import run_all

    with ExitStack() as stack:
        if not sockets:
            cluster = stack.enter_context(LocalCluster(nodes, trace=trace))
            sockets = [cluster.socket(number) for number in range(nodes)]
        return run_all(run, list(sockets) * (run.workers // len(sockets)), keep)


def _run_one(run: Run, socket: str | None, keep: Path | None) -> dict[str, Any]:
    from dsm.client import connect
    from dsm.stress.worker import Worker
    from dsm.verify.encoding import to_bytes

    # Python's own handlers do not run while a thread is stopped at a page; the kernel's default, the end, does.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, run.timeout + _ALARM_SECONDS)
    with connect(socket) as client:
        report = Worker(client, run).run()
    if keep is not None and report.history is not None:
        keep.write_bytes(to_bytes(report.history))
    return report.as_map()


def _show(report: dict[str, Any]) -> None:
    show_pairs(
        [
            ("nodes", f"{report['nodes']}, with {report['workers']} clients"),
            ("operations", f"{report['operations']:,}, {report['operations_per_second']:,.0f} a second"),
            ("transfers", f"{report['transfers']:,} pages"),
            ("invalidations", f"{report['invalidations']:,}"),
            ("time", f"{report['seconds']:.1f} s in {len(report['rounds'])} rounds"),
            ("checks", "; ".join(f"{check}: {_outcomes(found)}" for check, found in report["checks"].items())),
            ("checked in", f"{report['checker_seconds']:.1f} s"),
            ("seed", report["seed"]),
        ]
    )
    for node, access in report["access"].items():
        if access == "scoped":
            click.echo(f"{printable(node)} has no userfaultfd, so its clients used scopes only; `dsm doctor` says why")
    for why in report["not_judged"]:
        click.echo(why)
    click.echo(coloured(report["verdict"], "green" if report["verdict"] == "ok" else "red"))
    for found in report["found"]:
        click.echo(f"    {printable(found)}")


def _outcomes(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in found.items())
