"""A fake node daemon, clients of it, and names that no other test uses."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import dsm

Start = Callable[..., str]
_names = itertools.count()


class Nodes:
    """Fake nodes by their socket."""

    def __init__(self) -> None:
        self.running: dict[str, subprocess.Popen[str]] = {}

    def start(self, *arguments: str) -> str:
        address = str(Path(tempfile.mkdtemp()) / "node.sock")
        command = [sys.executable, "-m", "tests.client.fake_node", address, *arguments]
        node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert node.stdout is not None and node.stdout.readline() == f"{address}\n"
        self.running[address] = node
        return address

    def kill(self, address: str) -> None:
        self.running[address].kill()
        self._wait(address)
        os.unlink(address)

    def stop(self) -> None:
        for address, node in list(self.running.items()):
            assert node.stdin is not None
            node.stdin.close()
            self._wait(address)

    def _wait(self, address: str) -> None:
        node = self.running.pop(address)
        node.wait(10)
        for pipe in (node.stdin, node.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="session")
def shared_nodes() -> Iterator[Nodes]:
    nodes = Nodes()
    yield nodes
    nodes.stop()


@pytest.fixture(scope="session")
def address(shared_nodes: Nodes) -> str:
    """The socket of a node that all tests share."""
    return shared_nodes.start()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Nodes of this test's own, to kill."""
    nodes = Nodes()
    yield nodes
    nodes.stop()


@pytest.fixture
def name() -> str:
    return f"region-{next(_names)}"


@pytest.fixture
def client(address: str) -> Iterator[dsm.Client]:
    """Transparent where this machine allows it."""
    with dsm.connect(address) as client:
        yield client


@pytest.fixture
def scoped(address: str) -> Iterator[dsm.Client]:
    """A client without userfaultfd, as on a machine that has none."""
    with dsm.connect(address, scoped_only=True) as client:
        yield client
