"""`dsm status`, of a node and of a directory."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from dsm.cluster import LocalCluster
from tests.cli.conftest import Command

NODE = {"well", "node", "node_id", "epoch", "directory", "joined", "uptime", "version", "regions", "clients", "memory"}
MEMBER = {"node_id", "name", "epoch", "page_address", "grpc_address"}


def test_a_node_that_is_well(command: Command, cluster: LocalCluster) -> None:
    ran = command("status", "-o", "json")
    assert ran.status == 0
    assert NODE | {"members", "client"} <= set(ran.json)
    assert (ran.json["well"], ran.json["node"], ran.json["directory"]) == (True, "node-0", cluster.directory_address)
    assert {member["name"] for member in ran.json["members"]} == {"node-0", "node-1"}
    assert all(set(member) >= MEMBER for member in ran.json["members"])


def test_a_directory_that_is_well(command: Command, cluster: LocalCluster) -> None:
    ran = command("status", "--directory", cluster.directory_address, "-o", "json")
    assert ran.status == 0
    assert {"well", "directory", "cluster", "version", "uptime", "members", "regions", "counters"} == set(ran.json)
    assert {member["name"] for member in ran.json["members"]} == {"node-0", "node-1"}


@pytest.mark.parametrize("of_directory", [False, True])
def test_people_see_the_members(command: Command, cluster: LocalCluster, of_directory: bool) -> None:
    ran = command("status", *(["--directory", cluster.directory_address] if of_directory else []))
    assert ran.status == 0
    assert [line.split()[0] for line in ran.out.splitlines()[-3:]] == ["MEMBER", "node-0", "node-1"]


def test_a_node_that_is_not_there(command: Command, tmp_path: Path) -> None:
    missing = str(tmp_path / "none.sock")
    ran = command("status", "--socket", missing)
    assert (ran.status, ran.out) == (1, "")
    assert missing in ran.err and "dsm node" in ran.err
    ran = command("status", "--socket", missing, "-o", "json")
    assert ran.status == 1
    assert set(ran.json) == {"well", "error", "message", "remedy"}
    assert (ran.json["well"], ran.json["error"]) == (False, "NodeUnavailable")


def test_a_directory_that_is_not_there(command: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port, nobody answers
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ran = command("status", "--directory", address, "--timeout", "2s", "-o", "json")
    assert ran.status == 1
    assert ran.json["error"] == "DirectoryUnavailable"
    assert address in ran.json["message"]


def test_a_server_that_is_no_directory(command: Command, cluster: LocalCluster) -> None:
    address = cluster.nodes[0].ready["grpc"]
    ran = command("status", "--directory", address)
    assert ran.status == 1
    assert f"no directory answers at {address}" in ran.err


def test_a_node_that_has_not_joined_is_not_well(command: Command, tmp_path: Path) -> None:
    with LocalCluster(nodes=1) as alone:
        alone.directory.signal(9)
        alone.directory.reap(0)
        answer = {"well": True}
        deadline = time.monotonic() + 20
        while answer["well"] and time.monotonic() < deadline:
            ran = command("status", "--socket", alone.socket(0), "-o", "json")
            answer = ran.json
        assert (answer["well"], ran.status) == (False, 1)
        assert answer["last_error"]
        doctor = command("doctor", "--socket", alone.socket(0))
        assert doctor.status == 1
        assert f"dsm status --directory {alone.directory_address}" in doctor.out
