"""A cluster for the commands to talk to, and a way to run them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dsm.cli import run
from dsm.cluster import LocalCluster


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DSM_NODE", "DSM_CONFIG", "DSM_DIRECTORY", "DSM_OUTPUT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `dsm` in this process."""

    def ran(*arguments: object) -> Ran:
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(status, captured.out, captured.err)

    return ran


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[LocalCluster]:
    with LocalCluster(nodes=2) as cluster:
        yield cluster


@pytest.fixture
def cluster(running_cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    """Two nodes without regions; DSM_NODE is the first one's socket."""
    monkeypatch.setenv("DSM_NODE", running_cluster.socket(0))
    yield running_cluster
    with running_cluster.connect(0, scoped_only=True) as client:
        for info in client.list():
            client.unlink(info.name)
