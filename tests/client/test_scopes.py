"""Scoped access: exclusive, over exactly the bytes asked for, and over when the block is."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsm
from dsm.client.scopes import uncovered
from dsm.errors import ArraysAlive, DeadlineExceeded, RegionClosed
from tests.client.helpers import eventually

SHORT = 0.05


def test_a_view_is_exactly_the_bytes_asked_for(client: dsm.Client, name: str) -> None:
    region = client.create(name, 200_000)
    with region.write(65_530, 12) as view:
        assert (len(view), view.format, view.readonly) == (12, "B", False)
        view[:] = b"over the end"
    with region.read(65_529, 14) as view:
        assert view.readonly
        assert bytes(view) == b"\0over the end\0"
    with region.read() as view:
        assert len(view) == 200_000


def test_a_view_used_after_the_block_is_a_value_error(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    with region.write(0, 16) as view:
        pass
    with pytest.raises(ValueError, match="released"):
        view[0] = 1
    with pytest.raises(ValueError, match="released"):
        bytes(view)


@pytest.mark.parametrize(
    "make",
    [
        lambda view: view[1:],
        memoryview,
        lambda view: np.frombuffer(view, "u1"),
        lambda view: np.asarray(view)[2:],
        lambda view: np.ndarray(4, "u1", view),
    ],
)
def test_what_is_made_of_a_view_and_outlives_the_block_is_reported(
    client: dsm.Client, name: str, make: Callable[[memoryview], Any]
) -> None:
    region = client.create(name, 4096)
    with pytest.raises(ArraysAlive, match="write scope over bytes 8 to 23"), region.write(8, 16) as view:
        kept = make(view)
    with region.write(8, 16, timeout=SHORT):
        pass  # the pin was given back nevertheless
    with pytest.raises(ArraysAlive, match="write scope over bytes 8 to 23"):
        region.close()
    del kept
    region.close()


def test_an_exception_in_the_block_comes_out_as_it_is(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    kept: list[memoryview] = []

    def fail(view: memoryview) -> None:
        kept.append(view[1:])
        raise KeyError

    with pytest.raises(KeyError), region.write(0, 16) as view:
        fail(view)
    with region.write(0, 16, timeout=SHORT):
        pass
    kept.clear()


def test_a_write_scope_is_alone_and_the_error_names_the_holder(client: dsm.Client, address: str, name: str) -> None:
    region = client.create(name, 8192, page_size=4096)
    with dsm.connect(address) as other, region.write(0, 1):
        theirs = other.open(name)
        for use in (theirs.read, theirs.write):
            with pytest.raises(DeadlineExceeded, match="are held by process") as raised:
                use(100, 1, timeout=SHORT).__enter__()
            assert isinstance(raised.value, TimeoutError)
        with theirs.write(4096, 1, timeout=SHORT):
            pass  # another page


def test_read_scopes_share(client: dsm.Client, address: str, name: str) -> None:
    region = client.create(name, 4096)
    with dsm.connect(address) as other:
        theirs = other.open(name)
        readers = region.read(0, 1), region.read(0, 1, timeout=SHORT), theirs.read(0, 1, timeout=SHORT)
        with readers[0], readers[1], readers[2], pytest.raises(DeadlineExceeded):
            theirs.write(0, 1, timeout=SHORT).__enter__()
        with theirs.write(0, 1, timeout=SHORT):
            pass


def test_a_waiting_scope_gets_the_pages_when_they_are_free(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    order: list[str] = []

    def wait() -> None:
        with region.write(0, 1):
            order.append("second")

    with region.write(0, 1):
        waiter = threading.Thread(target=wait)
        waiter.start()
        eventually(lambda: client.stats()["waiting"] == 1)
        order.append("first")
    waiter.join(10)
    assert order == ["first", "second"]


def test_a_region_is_not_closed_under_an_open_scope(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    with region.read(0, 5) as view:
        with pytest.raises(ArraysAlive, match="read scope over bytes 0 to 4"):
            region.close()
        assert bytes(view) == bytes(5)
    region.close()


def test_a_scope_that_waits_while_the_region_is_closed_ends_with_it(client: dsm.Client, name: str) -> None:
    region, other = client.create(name, 4096), client.open(name)
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            other.read(0, 1).__enter__()
        except RegionClosed as error:
            raised.append(error)

    with region.write(0, 1):
        waiter = threading.Thread(target=wait)
        waiter.start()
        eventually(lambda: client.stats()["waiting"] == 1)
        other.close()
        waiter.join(10)
    assert [type(error) for error in raised] == [RegionClosed]


def test_a_scope_that_is_dropped_unfinished_gives_its_pages_back(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    scope = region.write(0, 1)
    view = scope.__enter__()
    del scope
    gc.collect()
    with region.write(0, 1, timeout=SHORT):
        pass
    with pytest.raises(ValueError, match="released"):
        view[0] = 1


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([], [(10, 20)]),
        ([(0, 5), (30, 40)], [(10, 20)]),
        ([(0, 30)], []),
        ([(10, 12), (18, 20)], [(12, 18)]),
        ([(14, 16), (5, 11), (15, 18)], [(11, 14), (18, 20)]),
        ([(20, 25), (5, 10)], [(10, 20)]),
    ],
)
def test_only_pages_that_no_other_scope_has_are_shut(
    others: list[tuple[int, int]], left: list[tuple[int, int]]
) -> None:
    assert list(uncovered(10, 20, others)) == left
