"""The partner process: what it answers, and what becomes of its errors and its end."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from dsm.bench.partner import Partner
from dsm.cluster import LocalCluster
from dsm.errors import RegionNotFound, Unavailable


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(1) as cluster:
        yield cluster


@pytest.fixture
def partner(cluster: LocalCluster) -> Iterator[Partner]:
    with Partner(cluster.socket(0), cluster.directory_address) as partner:
        yield partner


def test_it_counts_what_the_directory_counts(partner: Partner) -> None:
    assert all(isinstance(count, int) for count in partner.counters().values())


def test_its_error_is_raised_here(partner: Partner) -> None:
    with pytest.raises(RegionNotFound, match="nowhere"):
        partner.write("nowhere", 0)
    partner.counters()


def test_its_end_is_an_error_and_not_a_wait(partner: Partner) -> None:
    partner.counters()
    partner._process.send_signal(signal.SIGKILL)
    partner._process.wait()
    with pytest.raises(Unavailable, match="the partner process ended at write"):
        partner.write("any", 0)
