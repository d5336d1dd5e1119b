"""Arrays by name: shape and dtype travel with it, and what cannot be shared is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dsm
from dsm.client import arrays
from dsm.errors import InvalidArgument, ProtocolError, RegionNotFound

RECORD = np.dtype([("id", "<i4"), ("point", "<f8", (3,)), ("name", "S7"), ("inner", [("a", "u1"), ("b", ">u2")])])
ALIGNED = np.dtype({"names": ["a", "b"], "formats": ["u1", "f8"], "offsets": [0, 8], "itemsize": 24})

pytestmark = pytest.mark.needs("userfaultfd")


@pytest.mark.parametrize("dtype", ["f4", "<i8", ">i2", "?", "c16", "S5", "U3", "M8[ns]", "m8[us]", RECORD, ALIGNED])
def test_another_process_needs_no_dtype(client: dsm.Client, address: str, name: str, dtype: Any) -> None:
    mine = client.array(name, (3, 5), dtype)
    mine[1, 2] = np.ones((), dtype)
    with dsm.connect(address) as other:
        theirs = other.array(name)
        assert (theirs.shape, theirs.dtype) == ((3, 5), np.dtype(dtype))
        assert theirs.tobytes() == mine.tobytes()
        assert other.open(name).ndarray().dtype == np.dtype(dtype)


def test_a_dtype_of_little_arrays_becomes_part_of_the_shape(client: dsm.Client, name: str) -> None:
    array = client.array(name, 4, ("f4", (2,)))
    assert (array.shape, array.dtype) == ((4, 2), np.dtype("f4"))
    assert client.array(name, 4, ("f4", (2,))).shape == (4, 2)


def test_a_new_array_is_zeros_and_a_second_call_finds_it(client: dsm.Client, name: str) -> None:
    array = client.array(name, (100, 100), "f8", page_size=4096)
    assert not array.any()
    array[:] = 2
    assert client.array(name, (100, 100), "f8").sum() == 20_000
    assert client.array(name, mode="r").sum() == 20_000
    assert not client.array(name, (100, 100), "f8", mode="r").flags.writeable


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4), "f4"), ((16,), "f8"), ((2, 8), None), (None, "i8"), (8, "c16")])
def test_another_shape_or_dtype_is_refused(client: dsm.Client, name: str, shape: Any, dtype: Any) -> None:
    client.array(name, (4, 4), "f8")
    with pytest.raises(InvalidArgument, match=name):
        client.array(name, shape, dtype)


def test_an_array_needs_shape_and_dtype_to_be_created(client: dsm.Client, name: str) -> None:
    for arguments in ((), (4,), (None, "f8")):
        with pytest.raises(RegionNotFound):
            client.array(name, *arguments)
    with pytest.raises(RegionNotFound):
        client.array(name, 4, "f8", mode="r")


def test_a_region_that_is_no_array_is_refused_as_one(client: dsm.Client, name: str) -> None:
    client.create(name, 64)
    with pytest.raises(InvalidArgument, match="not created as an array"):
        client.array(name)


@pytest.mark.parametrize(
    ("shape", "dtype", "why"),
    [
        (4, "O", "pointers"),
        (4, [("a", "O")], "pointers"),
        (4, "S", "no bytes"),
        (4, "no such type", "not a NumPy dtype"),
        (-1, "f8", "0 or more"),
        ((1,) * 65, "f8", "64 extents"),
        ("4", "f8", "a number or a sequence"),
        (2.5, "f8", "a number or a sequence"),
        ((2, 2.5), "f8", "type float"),
        ((0, 4), "f8", "1 byte to 1 TiB"),
        ((1 << 40, 1 << 40), "f8", "1 byte to 1 TiB"),
        (4, [("x" * 5000, "f8")], "5,0.. characters"),
    ],
)
def test_what_cannot_be_shared_is_refused(client: dsm.Client, name: str, shape: Any, dtype: Any, why: str) -> None:
    with pytest.raises(InvalidArgument, match=why):
        client.array(name, shape, dtype)
    assert name not in {info.name for info in client.list()}


def test_ndarray_covers_what_is_asked_for(client: dsm.Client, name: str) -> None:
    region = client.create(name, 1000)
    whole = region.ndarray()
    whole[:] = np.arange(1000) % 251
    assert (whole.shape, whole.dtype) == ((1000,), np.dtype("u1"))
    assert region.ndarray(dtype="f8").shape == (125,)
    assert region.ndarray(dtype="f8", offset=8).shape == (124,)
    assert region.ndarray((), "u1", offset="500").item() == 500 % 251
    assert region.ndarray((3, 0), "u1").size == 0
    assert np.array_equal(region.ndarray((2, 3), "u1", 7).ravel(), np.arange(7, 13))


@pytest.mark.parametrize(("shape", "dtype", "offset"), [(126, "f8", 0), (125, "f8", 1), (1, "u1", 1000), (1, "u1", -1)])
def test_an_array_that_does_not_fit_is_refused(
    client: dsm.Client, name: str, shape: int, dtype: str, offset: int
) -> None:
    with pytest.raises(InvalidArgument, match=name):
        client.create(name, 1000).ndarray(shape, dtype, offset)


@pytest.mark.parametrize(
    "text",
    ["", "f8", "'O'", "'S'", "[('a', 'O')]", "__import__('os')", "(" * 500, "1" * 5000, "[('a',)]", "{}", "None"],
)
def test_a_stored_dtype_that_is_none_is_the_daemons_mistake(text: str) -> None:
    with pytest.raises(ProtocolError, match="dtype is stored as"):
        arrays.decode_dtype(text)


def test_an_array_without_bytes_is_refused_by_its_shape(client: dsm.Client, name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"shape \(3, 0\) and dtype int64 has 0 bytes.*every extent"):
        client.array(name, shape=(3, 0), dtype="i8")
    with pytest.raises(InvalidArgument, match=r"shape \(\d+,\) and dtype int64 has .*several arrays"):
        client.array(name, shape=1 << 60, dtype="i8")


def test_a_region_without_bytes_is_refused_with_a_remedy(client: dsm.Client, name: str) -> None:
    with pytest.raises(InvalidArgument, match=r"not 0 bytes\. Give a size of 1 byte or more"):
        client.create(name, 0)
