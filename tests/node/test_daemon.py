"""Addresses and the start of a node daemon."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from dsm.errors import InvalidArgument, NodeUnavailable
from dsm.node.daemon import NodeOptions, run_node, split_address
from tests.node.fakes import SOON, until


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("h:1", "h", 1), ("[::1]:65535", "::1", 65535), (":0", "", 0), ("1.2.3.4:80", "1.2.3.4", 80)],
)
def test_addresses(address: str, host: str, port: int) -> None:
    assert split_address(address) == (host, port)


@pytest.mark.parametrize("wrong", ["", "h", "h:", "h:x", "h:-1", "h:65536"])
def test_wrong_addresses(wrong: str) -> None:
    with pytest.raises(InvalidArgument, match="host:port"):
        split_address(wrong)


def options(path: Path, listen: str = "127.0.0.1:0", name: str = "node.sock") -> NodeOptions:
    return NodeOptions("n", "127.0.0.1:1", str(path / name), 1 << 20, listen)


async def test_a_daemon_serves_without_a_directory_and_ends_when_cancelled(tmp_path: Path) -> None:
    told: list[dict[str, object]] = []
    async with asyncio.timeout(SOON), asyncio.TaskGroup() as tasks:
        daemon = tasks.create_task(run_node(options(tmp_path), told.append))
        await until(lambda: told)
        assert told[0]["name"] == "n" and (tmp_path / "node.sock").is_socket()
        daemon.cancel()
    assert not (tmp_path / "node.sock").exists()


async def test_an_address_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ExceptionGroup) as group:
            await run_node(options(tmp_path, address), lambda _: None)
    assert group.group_contains(InvalidArgument, match="cannot listen")


async def test_a_socket_path_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as group:
        await run_node(options(tmp_path, name="x" * 200), lambda _: None)
    assert group.group_contains(NodeUnavailable)
