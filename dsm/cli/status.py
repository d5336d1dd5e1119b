"""`dsm status`: is the node of this host well, or a directory? Exit status 1 says no, for health checks."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import click

from dsm.cli.options import ADDRESS, SECONDS, output_option, socket_option
from dsm.cli.output import duration, show_json, show_pairs, show_table
from dsm.errors import DirectoryUnavailable, DsmError
from dsm.limits import CONNECT_SECONDS
from dsm.units import format_size


@click.command()
@click.option("--directory", type=ADDRESS, help="Ask the directory at this address, not the node of this host.")
@click.option("--timeout", type=SECONDS, default=CONNECT_SECONDS, show_default="5s", help="How long to wait.")
@socket_option
@output_option
@click.pass_context
def status(context: click.Context, directory: str | None, timeout: float, socket: str | None, output: str) -> None:
    """Show whether this host's node, or a directory, is well.

    Exit status 1 if it cannot be reached, or if the node has not joined the cluster.
    """
    try:
        answer = _ask_node(socket, timeout) if directory is None else _ask_directory(directory, timeout)
    except DsmError as error:
        if output == "json":
            show_json({"well": False, "error": type(error).__name__, "message": error.message, "remedy": error.remedy})
            context.exit(1)
        raise
    if output == "json":
        show_json(answer)
    else:
        _show(answer)
    context.exit(0 if answer["well"] else 1)


def _ask_node(socket: str | None, timeout: float) -> dict[str, Any]:
    from dsm.client.sync import connect as connect_in_full

    with connect_in_full(socket, timeout=timeout) as client:
        answer = client.status()
    return {"well": bool(answer.get("joined"))} | answer


def _ask_directory(address: str, timeout: float) -> dict[str, Any]:
    from dsm.wire.calls import DirectoryCalls
    from dsm.wire.rpc import DIRECTORY_SERVICE, channel

    async def ask() -> dict[str, Any]:
        async with channel(address) as to:
            await _check_health(to, DIRECTORY_SERVICE, address, timeout)
            answer = await DirectoryCalls(to, timeout).status()
            return {"well": True, "directory": address} | asdict(answer)

    return asyncio.run(ask())


async def _check_health(to: Any, service: str, address: str, seconds: float) -> None:
    """Ask as any orchestrator would: a directory may be up and say that it does not serve."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    request = health_pb2.HealthCheckRequest(service=service)
    try:
        answer = await health_pb2_grpc.HealthStub(to).Check(request, timeout=seconds)
    except grpc.aio.AioRpcError as error:
        raise DirectoryUnavailable(f"no directory answers at {address}: {error.details()}", definite=True) from error
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise DirectoryUnavailable(f"the directory at {address} does not serve yet", remedy="Ask again in a moment")


def _show(answer: dict[str, Any]) -> None:
    simple = [(name, _text(name, value)) for name, value in answer.items() if name not in ("well", "members")]
    show_pairs((name, text) for name, text in simple if text)
    click.echo()
    members = sorted(answer.get("members", ()), key=lambda member: str(member["name"]))
    show_table(
        ("MEMBER", "EPOCH", "PAGES", "GRPC"),
        [(member["name"], member["epoch"], member["page_address"], member["grpc_address"]) for member in members],
        right=("EPOCH",),
    )


def _text(name: str, value: Any) -> str:
    match name, value:
        case "memory", {"used": int(used), "limit": int(limit)}:
            return f"{format_size(used)} of {format_size(limit)}"
        case "uptime", int() | float():
            return duration(value)
        case "client", {"access": str(access)}:
            return access
        case _, dict():
            return ", ".join(f"{key} {number:,}" for key, number in value.items())
        case _, bool():
            return "yes" if value else "no"
        case _, None:
            return ""
    return str(value)
