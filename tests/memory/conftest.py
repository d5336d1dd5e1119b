"""What the tests of dsm.memory need of the machine, and the processes that they start."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from dsm.memory.faults import probe
from dsm.memory.segment import Segment
from tests.memory.harness import PAGE, ClientProcess

StartClient = Callable[..., ClientProcess]


def _lacking(name: str, reason: str) -> None:
    """Skip with the reason, or fail where the environment promises to have it."""
    if name in os.environ.get("DSM_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"DSM_REQUIRE names {name}, but: {reason}")
    pytest.skip(reason)


@pytest.fixture
def needs_userfaultfd() -> None:
    support = probe()
    if support.mode is None:
        _lacking("userfaultfd", support.reason)


@pytest.fixture
def needs_root() -> None:
    if os.geteuid() != 0:
        _lacking("root", f"runs as user {os.geteuid()}, not as root")


@pytest.fixture
def segment() -> Iterator[Segment]:
    segment = Segment.create("test", 16 * PAGE)
    yield segment
    segment.close()


@pytest.fixture
def start_client(needs_userfaultfd: None) -> Iterator[StartClient]:
    clients: list[ClientProcess] = []

    def start(segment: Segment, user: int | None = None) -> ClientProcess:
        clients.append(ClientProcess(segment, user))
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def client(segment: Segment, start_client: StartClient) -> ClientProcess:
    return start_client(segment)
