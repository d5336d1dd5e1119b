"""A node without anything around it, and a region on it."""

from __future__ import annotations

import pytest

from dsm.node.region import Region
from tests.node.fakes import FakeHost, info


@pytest.fixture
async def host() -> FakeHost:
    host = FakeHost()
    host.time = 1000.0
    return host


@pytest.fixture
async def region(host: FakeHost) -> Region:
    return host.add(info())
