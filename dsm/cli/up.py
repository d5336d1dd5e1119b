"""`dsm up`: a `LocalCluster` for as long as the command runs."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import click

from dsm.cli.options import ADDRESS, SIZE, output_option, trace_option
from dsm.cli.output import coloured, show_json
from dsm.errors import DirectoryUnavailable
from dsm.limits import LOCAL_NODES_MAX

if TYPE_CHECKING:
    from dsm.cluster import LocalCluster

_LOOK_SECONDS = 0.5


@click.command()
@click.option("--nodes", type=click.IntRange(1, LOCAL_NODES_MAX), default=3, help="How many node daemons.")
@click.option("--memory-limit", type=SIZE, help="Of each node.", show_default="half of the memory, divided among them")
@click.option("--listen", type=ADDRESS, default="127.0.0.1:0", help="Of the directory; port 0 picks a free one.")
@trace_option("Let every daemon record its steps there, for `dsm check --trace`.")
@output_option
def up(nodes: int, memory_limit: int | None, listen: str, trace: str | None, output: str) -> None:
    """Run a cluster on this machine until Ctrl-C.

    It needs neither root nor configuration, and leaves nothing behind.
    """
    from dsm.cluster import LocalCluster

    # A shell without job control starts background jobs with SIGINT ignored; this command is ended by it anyway.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with LocalCluster(nodes, memory_limit=memory_limit, listen=listen, trace=trace) as cluster:
            _tell(cluster, output)
            _watch(cluster)
    except KeyboardInterrupt:
        click.echo(err=True)  # below the ^C of the terminal


def _tell(cluster: LocalCluster, output: str) -> None:
    sockets = [cluster.socket(number) for number in range(len(cluster))]
    if output == "json":
        nodes = [child.ready | {"pid": child.pid} for child in cluster.nodes]
        show_json({"directory": cluster.directory_address, "nodes": nodes})
        return
    click.echo(f"directory  {cluster.directory_address}")
    for child, socket in zip(cluster.nodes, sockets, strict=True):
        click.echo(f"{child.name:<9}  {socket}")
    click.echo("\nIn another terminal, for a client of the first node:\n")
    click.echo("    " + coloured(f"export DSM_NODE={sockets[0]}", "cyan"))
    click.echo("\nCtrl-C ends it.")


def _watch(cluster: LocalCluster) -> None:
    """Tell of nodes that end; return never.

    Raises:
        DirectoryUnavailable: the directory has ended, and with it the cluster.
    """
    ended: set[str] = set()
    while cluster.directory.exit_status is None:
        for child in cluster.nodes:
            if child.exit_status is not None and child.name not in ended:
                ended.add(child.name)
                click.echo(f"dsm: {child.name} has ended with status {child.exit_status}", err=True)
        time.sleep(_LOOK_SECONDS)
    status = cluster.directory.exit_status
    raise DirectoryUnavailable(f"the directory has ended with status {status}", remedy=cluster.directory.last_words())
