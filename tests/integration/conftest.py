"""A cluster of three nodes for each module, and processes on its nodes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

import pytest

import dsm
from tests.integration.actor import Actor

DEADLINE_SECONDS = 10.0

Start = Callable[..., Actor]
Until = Callable[[Callable[[], object]], None]
_names = itertools.count()


@pytest.fixture(scope="module")
def cluster() -> Iterator[dsm.LocalCluster]:
    with dsm.LocalCluster(nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def actors(cluster: dsm.LocalCluster) -> Iterator[list[Actor]]:
    """A process on each node, where plain loads and stores are to work."""
    processes = [Actor(cluster.socket(node)) for node in range(len(cluster))]
    yield processes
    for process in processes:
        process.close()


@pytest.fixture
def start(cluster: dsm.LocalCluster) -> Iterator[Start]:
    """Start one more process on a node, for this test."""
    started: list[Actor] = []

    def start(node: int, *options: str) -> Actor:
        started.append(Actor(cluster.socket(node), *options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def name() -> str:
    return f"region-{next(_names)}"


@pytest.fixture
def until() -> Until:
    """Wait until something is true; fail at a deadline."""

    def until(true: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.01)

    return until
