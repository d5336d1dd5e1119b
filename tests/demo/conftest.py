"""A cluster to run the demo on, and a corpus that is small but has its share of everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dsm.cluster import LocalCluster


@pytest.fixture(scope="package")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(2) as cluster:
        yield cluster


@pytest.fixture
def sockets(cluster: LocalCluster) -> list[str]:
    return [cluster.socket(0), cluster.socket(1)]


@pytest.fixture(scope="package")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


def write_corpus(directory: Path) -> Path:
    """Files with words that all have, words of their own, no words, and a word that is too long."""
    for number in range(7):
        own = " ".join(f"w{number}_{word}" for word in range(300))
        (directory / f"{number}.txt").write_text(f"the same words, and Größe; {own}")
    (directory / "empty").touch()
    (directory / "long").write_text("x" * 200)
    return directory
