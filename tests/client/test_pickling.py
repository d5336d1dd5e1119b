"""Clients and regions go to other processes as an address and a name."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsm
from dsm.client.arrays import SharedArray
from dsm.errors import InvalidArgument, RegionNotFound

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


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize(
    "cut",
    [
        lambda array: array,
        lambda array: array[3:7, ::2],
        lambda array: array[::-1, ::-3],
        lambda array: array.T,
        lambda array: array.view("u1"),
        lambda array: array[2],
        lambda array: array[2:3, 0].reshape(()),
    ],
)
def test_an_unpickled_array_is_the_same_memory(client: dsm.Client, name: str, cut: Callable[[Any], Any]) -> None:
    whole = client.array(name, (10, 12), "i4")
    whole[:] = np.arange(120).reshape(10, 12)
    mine = cut(whole)
    data = pickle.dumps(mine)
    assert len(data) < BYTES_MAX
    theirs = pickle.loads(data)
    assert np.array_equal(mine, theirs) and mine.dtype == theirs.dtype
    theirs[...] = 7
    assert np.all(mine == 7)


@pytest.mark.needs("userfaultfd")
def test_a_structured_array_and_its_fields_can_be_pickled(client: dsm.Client, name: str) -> None:
    whole = client.array(name, 4, [("a", "u1"), ("b", "f8")])
    theirs, field = pickle.loads(pickle.dumps(whole)), pickle.loads(pickle.dumps(whole["b"]))
    theirs["b"] = 2.5
    assert whole["b"].tolist() == field.tolist() == [2.5] * 4


@pytest.mark.needs("userfaultfd")
def test_what_is_computed_from_an_array_is_an_ordinary_array(client: dsm.Client, name: str) -> None:
    array = client.array(name, (4, 4), "f8")
    array += 1
    assert isinstance(array, SharedArray)
    assert type(array + 1) is type(array.sum(axis=0)) is type(np.sqrt(array)) is np.ndarray
    assert type(array.sum()) is type(array[0, 0]) is np.float64
    for own in (array.copy(), array[array > 0], array[[0, 1]]):
        assert np.array_equal(pickle.loads(pickle.dumps(own)), own)
        assert type(pickle.loads(pickle.dumps(own))) is np.ndarray


@pytest.mark.needs("userfaultfd")
def test_a_read_only_array_stays_read_only(client: dsm.Client, name: str) -> None:
    client.array(name, 4, "f8")
    assert not pickle.loads(pickle.dumps(client.array(name, mode="r"))).flags.writeable


@pytest.mark.needs("userfaultfd")
def test_an_array_of_a_region_that_is_another_now_is_refused(client: dsm.Client, name: str) -> None:
    data = pickle.dumps(client.array(name, 10_000, "f8"))
    client.unlink(name)
    client.create(name, 100)
    with pytest.raises(InvalidArgument, match="another one than was pickled"):
        pickle.loads(data)
