"""Options and types of values that several commands share.

@socket_option      --socket        which node daemon to talk to
@output_option      -o, --output    a table for people or JSON for programs
@trace_option       --trace         a directory for traces of what daemons do
@region_argument    NAME            a region, completed by the shell
SIZE  SECONDS  ADDRESS              64KiB, 500ms, 127.0.0.1:4600
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from dsm.errors import DsmError, InvalidArgument
from dsm.limits import COMPLETION_SECONDS, CONNECT_SECONDS

if TYPE_CHECKING:
    from dsm.client.sync import Client

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s|min|h)?")
_SECONDS_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, None: 1.0, "min": 60.0, "h": 3600.0}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]]+):(\d{1,5})")


class Size(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """Bytes: a number, or text with a unit (64KiB, 2GiB)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from dsm.units import parse_size

        try:
            size = parse_size(value, "it")
        except InvalidArgument as error:
            self.fail(str(error), param, ctx)
        if size <= 0:
            self.fail(f"{value} is not above 0", param, ctx)
        return size


class Seconds(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """Seconds: a number, or text with a unit (500ms, 2s, 1min)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        match = _SECONDS.fullmatch(str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not a time like 0.5, 500ms, 2s or 1min", param, ctx)
        return float(match[1]) * _SECONDS_UNITS[match[2]]


class Address(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5 only
    """HOST:PORT, or [IPv6]:PORT. Port 0 stands for a free one where something listens."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        match = _ADDRESS.fullmatch(str(value))
        if match is None or int(match[2]) > 0xFFFF:
            self.fail(f"{value!r} is not HOST:PORT", param, ctx)
        return str(value)


SIZE, SECONDS, ADDRESS = Size(), Seconds(), Address()


def socket_option(function: F) -> F:
    """Give a command the option --socket."""
    return click.option(
        "--socket",
        envvar="DSM_NODE",
        show_envvar=True,
        metavar="PATH",
        help="Unix socket of this host's node daemon.",
        show_default="/run/dsm/node.sock, or this user's own",
    )(function)


def output_option(function: F) -> F:
    """Give a command the option -o."""
    return click.option(
        "-o",
        "--output",
        envvar="DSM_OUTPUT",
        type=click.Choice(["table", "json"]),
        default="table",
        help="A table for people, or JSON for programs.",
    )(function)


def trace_option(what: str, *, envvar: str | None = None) -> Callable[[F], F]:
    """Give a command the option --trace."""
    return click.option("--trace", metavar="DIR", envvar=envvar, show_envvar=envvar is not None, help=what)


def region_argument(name: str = "name", *, nargs: int = 1, required: bool = True) -> Callable[[F], F]:
    """Give a command an argument that is the name of a region, or several."""
    return click.argument(name, nargs=nargs, required=required, shell_complete=_complete_region)


def connect(socket: str | None, *, timeout: float = CONNECT_SECONDS) -> Client:
    """A client of this host's node daemon.

    Raises:
        NodeUnavailable: there is none.
    """
    from dsm.client.sync import connect as connect_to

    # No command needs plain loads and stores, so none needs userfaultfd.
    return connect_to(socket, timeout=timeout, scoped_only=True)


def _complete_region(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        with connect(context.params.get("socket"), timeout=COMPLETION_SECONDS) as client:
            return [CompletionItem(info.name) for info in client.list() if info.name.startswith(incomplete)]
    except DsmError:
        return []
