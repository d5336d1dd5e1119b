"""How workers on different nodes learn how far the others are."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest

from dsm.client import Client
from dsm.cluster import LocalCluster
from dsm.demo.board import Board, Stage
from dsm.errors import DeadlineExceeded, InvalidArgument, Unavailable


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with cluster.connect(0, scoped_only=True) as client:
        yield client


@pytest.fixture
def other(cluster: LocalCluster) -> Iterator[Client]:
    with cluster.connect(1, scoped_only=True) as client:
        yield client


@pytest.fixture
def name() -> str:
    return f"board-{secrets.token_hex(4)}"


def soon() -> float:
    return time.monotonic() + 0.2


def test_a_worker_on_another_node_reads_what_one_has_posted(client: Client, other: Client, name: str) -> None:
    board = Board.create(client, name, 2)
    board.post(1, stage=Stage.COUNTED, words=7, distinct=3)
    seen = Board.open(other, name, 2, soon())
    seen.post(2, stage=Stage.COUNTED, words=1 << 40)
    rows = board.wait(Stage.COUNTED, soon())
    assert rows["words"].tolist() == [7, 1 << 40]
    assert seen.rows()["distinct"].tolist() == [3, 0]


def test_waiting_names_the_worker_that_is_late(client: Client, name: str) -> None:
    board = Board.create(client, name, 3)
    for worker in (1, 3):
        board.post(worker, stage=Stage.MERGED)
    with pytest.raises(DeadlineExceeded, match="worker 2 has not merged its words"):
        board.wait(Stage.MERGED, soon())
    assert board.wait(Stage.MERGED, soon(), only_first=True)["stage"].tolist() == [Stage.MERGED, 0, Stage.MERGED]


def test_waiting_ends_when_a_worker_has_failed(client: Client, name: str) -> None:
    board = Board.create(client, name, 2)
    board.post(2, failed=1)
    with pytest.raises(Unavailable, match="worker 2 has failed"):
        board.wait(Stage.COUNTED, time.monotonic() + 60)


def test_the_board_goes_with_the_client_of_worker_1(cluster: LocalCluster, other: Client, name: str) -> None:
    with cluster.connect(0, scoped_only=True) as first:
        Board.create(first, name, 2)
        assert Board.open(other, name, 2, soon()).rows()["stage"].tolist() == [0, 0]
    deadline = time.monotonic() + 5
    while name in {info.name for info in other.list()}:
        assert time.monotonic() < deadline, "the region outlives its creator"
        time.sleep(0.02)
    with pytest.raises(DeadlineExceeded, match="worker 1 has not made region"):
        Board.open(other, name, 2, soon())


def test_the_board_of_a_demo_with_other_workers_is_refused(client: Client, other: Client, name: str) -> None:
    Board.create(client, name, 2)
    with pytest.raises(InvalidArgument, match="a demo with 2 workers, not 3"):
        Board.open(other, name, 3, soon())
