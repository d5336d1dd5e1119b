"""The hosts themselves: they reach each other and nothing else, and are gone afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts.harness import PREFIX, Hosts

SERVER = """
import json, socket, sys
server = socket.create_server((sys.argv[1], 0))
print(json.dumps({"port": server.getsockname()[1]}), flush=True)
server.accept()[0].sendall(b"hello")
"""
CLIENT = "import socket, sys; print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 5).recv(5).decode())"

pytestmark = pytest.mark.needs("root", "namespaces")


def test_a_host_reaches_another(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Hosts(2) as hosts:
        ready = hosts.start_daemon(0, sys.executable, "-c", SERVER, hosts.address(0), log=log)
        command = (sys.executable, "-c", CLIENT, hosts.address(0), str(ready["port"]))
        assert hosts.run_on_all({1: command}, timeout=10.0, log=log) == {1: "hello\n"}


def test_a_host_has_no_way_out(tmp_path: Path) -> None:
    with Hosts(1) as hosts:
        outputs = hosts.run_on_all({0: ("ip", "-json", "route")}, timeout=10.0, log=tmp_path / "log")
    assert [route["dst"] for route in json.loads(outputs[0])] == ["10.213.0.0/24"]


def test_nothing_of_the_hosts_is_left() -> None:
    with Hosts(2) as hosts:
        process = hosts.start(1, "sleep", "600")
    assert process.poll() is not None
    assert not [name for name in hosts.names if Path("/run/netns", name).exists()]


def test_what_a_killed_maker_left_is_removed_by_the_next() -> None:
    with subprocess.Popen(["true"]) as maker:
        maker.wait()
    left = Path("/run/netns", f"{PREFIX}-{maker.pid}-0")
    subprocess.run(["ip", "netns", "add", left.name], check=True)
    with Hosts(1):
        assert not left.exists()
