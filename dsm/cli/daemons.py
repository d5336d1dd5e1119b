"""`dsm directory` and `dsm node`: the daemons, in the foreground, until SIGTERM or SIGINT.

Each prints one line of JSON on standard output when it serves, and logs to standard error.
"""

from __future__ import annotations

import logging
import os
import socket as sockets
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dsm.cli.options import ADDRESS, SIZE, socket_option, trace_option
from dsm.limits import MEMORY_BYTES_DEFAULT_SHARE

F = TypeVar("F", bound=Callable[..., Any])

_LEVELS = ["debug", "info", "warning", "error"]


def daemon_options(function: F) -> F:
    """What both daemons have: how much to log, whether to record, and the hidden ties of a LocalCluster."""
    lifeline = click.option("--lifeline-fd", type=int, hidden=True, help="Stop when the other end of this pipe closes.")
    directory = click.option("--run-directory", type=Path, hidden=True, help="Sweep this once the lifeline is broken.")
    level = click.option(
        "--log-level", type=click.Choice(_LEVELS), default="info", envvar="DSM_LOG_LEVEL", help="What to log."
    )
    trace = trace_option("For debugging, record every step there; `dsm check --trace` judges.", envvar="DSM_TRACE")
    return lifeline(directory(level(trace(function))))


@click.command()
@click.option("--listen", type=ADDRESS, default="127.0.0.1:4711", help="Where nodes reach it; port 0 picks a free one.")
@click.option("--store", metavar="PATH", default=":memory:", help="SQLite file for regions and epochs.")
@daemon_options
def directory(
    listen: str, store: str, log_level: str, trace: str | None, lifeline_fd: int | None, run_directory: Path | None
) -> None:
    """Run the directory service.

    It knows every region and who has which page, and never sees the bytes of one. With --store :memory: all regions
    are forgotten when it ends.
    """
    from dsm import __version__
    from dsm.directory.server import DirectoryOptions
    from dsm.directory.server import run_directory as serve
    from dsm.lifeline import Ready, run

    _prepare(log_level)
    options = DirectoryOptions(listen=listen, store=store, version=__version__, trace=trace)

    async def daemon(ready: Ready) -> None:
        await serve(options, lambda address: ready({"ready": "directory", "address": address}))

    run(daemon, lifeline=lifeline_fd, run_directory=run_directory)


@click.command()
@click.option("--name", metavar="NAME", help="Its name in the cluster.", show_default="the name of this host")
@click.option(
    "--directory",
    type=ADDRESS,
    default="127.0.0.1:4711",
    envvar="DSM_DIRECTORY",
    show_envvar=True,
    help="Where the directory listens.",
)
@socket_option
@click.option(
    "--listen", type=ADDRESS, default="127.0.0.1:0", help="Where other nodes reach it; port 0 picks a free one."
)
@click.option(
    "--page-port", type=click.IntRange(0, 0xFFFF), default=0, help="Port of the page stream; 0 picks a free one."
)
@click.option("--advertise", metavar="HOST", help="The host that others are told.", show_default="that of --listen")
@click.option(
    "--memory-limit", type=SIZE, help="Of all pages here.", show_default="half of what the machine or control group has"
)
@click.option(
    "--trust-uid", type=click.IntRange(0), multiple=True, help="A user who may connect, besides this one and root."
)
@daemon_options
def node(
    name: str | None,
    directory: str,
    socket: str | None,
    listen: str,
    page_port: int,
    advertise: str | None,
    memory_limit: int | None,
    trust_uid: tuple[int, ...],
    log_level: str,
    trace: str | None,
    lifeline_fd: int | None,
    run_directory: Path | None,
) -> None:
    """Run the node daemon of this host.

    It keeps this host's pages, and serves the processes of its own user, of root, and of those that --trust-uid names.
    """
    from dsm.lifeline import Ready, run
    from dsm.memory.machine import memory
    from dsm.node.daemon import NodeOptions, run_node
    from dsm.wire.local import default_socket

    _prepare(log_level)
    options = NodeOptions(
        name=name or sockets.gethostname(),
        directory=directory,
        socket=socket or default_socket(),
        memory_limit=memory_limit or int(memory().allowed * MEMORY_BYTES_DEFAULT_SHARE),
        listen=listen,
        page_port=page_port,
        advertise=advertise,
        trusted_uids=frozenset(trust_uid),
        trace=trace,
    )

    async def daemon(ready: Ready) -> None:
        await run_node(options, lambda told: ready({"ready": "node", **told}))

    run(daemon, lifeline=lifeline_fd, run_directory=run_directory)


def _prepare(level: str) -> None:
    """Set up logging, and gRPC, which reads its environment when it is first used."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would write beside our errors says the same again
    # With gRPC's older poller a message and its answer took 96 us where its event engine took 180: one thread less is
    # woken for each message (grpcio 1.85, loopback). A release that knows no such experiment ignores this.
    os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
