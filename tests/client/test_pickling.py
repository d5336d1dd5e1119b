"""Clients and regions go to other processes as an address and a name."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

import dsm
from dsm.errors import RegionNotFound

BYTES_MAX = 250


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_a_region_and_a_client_pass_to_another_process(client: dsm.Client, name: str, method: str) -> None:
    # From a process of its own, since the servers of multiprocessing live as long as who started them.
    command = [sys.executable, "-m", "tests.client.pickling_program", method, client.address, name]
    subprocess.run(command, check=True, timeout=60)
    with client.open(name).read(0, 2) as view, client.open(f"{name}-other").read(0, 2) as other:
        assert (bytes(view), bytes(other)) == (b"AB", b"hi")


def test_a_pickle_is_small_and_unpickled_regions_share_one_client(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    assert len(pickle.dumps(region)) < BYTES_MAX
    assert len(pickle.dumps(client)) < BYTES_MAX
    first, second, again = (pickle.loads(pickle.dumps(thing)) for thing in (region, region, client))
    assert first.id == second.id == region.id
    assert first._core.core is second._core.core is again._core
    assert again._core is not client._core
    again.close()
    assert first.closed
    assert not pickle.loads(pickle.dumps(client)).closed


def test_the_mode_is_kept(client: dsm.Client, name: str) -> None:
    client.create(name, 4096)
    assert pickle.loads(pickle.dumps(client.open(name, mode="r"))).mode == "r"


def test_the_default_address_is_that_of_the_process_that_unpickles(
    address: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSM_NODE", address)
    with dsm.connect() as client:
        assert address.encode() not in pickle.dumps(client)
        assert pickle.loads(pickle.dumps(client)).address == address


def test_a_region_that_is_gone_is_not_found(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    data = pickle.dumps(region)
    region.unlink()
    with pytest.raises(RegionNotFound):
        pickle.loads(data)
