"""Regions and clients from one process: what works, what is refused, and what closing means."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dsm
from dsm.errors import (
    AccessDenied,
    ArraysAlive,
    InvalidArgument,
    RegionClosed,
    RegionExists,
    RegionNotFound,
)
from tests.client.conftest import Nodes
from tests.client.helpers import eventually

TIB = 1 << 40


def test_a_region_has_what_it_was_created_with(client: dsm.Client, name: str) -> None:
    region = client.create(f"/{name}", "1MiB", page_size="4KiB", lifetime="last-detach", hold=0.5)
    assert (region.name, region.size, region.page_size, region.lifetime) == (name, 1 << 20, 4096, "last-detach")
    assert region.info.hold == 0.5
    assert len(region) == 1 << 20
    assert region.created and not region.closed
    assert repr(region).startswith(f"<Region {name!r} size=1048576 mode='r+' ")


def test_a_page_is_64_kib_unless_asked_otherwise(client: dsm.Client, name: str) -> None:
    assert client.create(name, 1).page_size == 65536


@pytest.mark.needs("userfaultfd")
def test_another_client_sees_what_was_stored(client: dsm.Client, address: str, name: str) -> None:
    mine = client.create(name, 100_000)
    mine.buf[99_999] = 7
    with dsm.connect(address) as other:
        theirs = other.open(name)
        assert (theirs.buf[99_999], len(theirs.buf), theirs.created) == (7, 100_000, False)
        theirs.buf[0] = 9
    assert mine.buf[0] == 9


@pytest.mark.needs("userfaultfd")
def test_both_ends_of_a_tebibyte_can_be_touched(client: dsm.Client, name: str) -> None:
    region = client.create(name, "1TiB", page_size="2MiB")
    region.buf[0], region.buf[-1] = 1, 2
    with region.read(TIB - 1) as view:
        assert view.tolist() == [2]


@pytest.mark.needs("userfaultfd")
def test_a_region_to_read_is_not_written_in_any_way(client: dsm.Client, name: str) -> None:
    client.create(name, 4096).buf[0] = 5
    region = client.open(name, mode="r")
    assert region.buf.readonly and region.buf[0] == 5
    array = region.ndarray()
    assert not array.flags.writeable and array[0] == 5
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True
    with pytest.raises(AccessDenied, match=r"mode='r\+'"), region.write(0, 1):
        pass
    with pytest.raises(AccessDenied):
        region.prefetch(write=True)
    with region.read(0, 1) as view:
        assert view.readonly and view[0] == 5


def test_create_of_a_taken_name_is_a_file_exists_error(client: dsm.Client, name: str) -> None:
    client.create(name, 1)
    with pytest.raises(RegionExists) as raised:
        client.create(name, 1)
    assert isinstance(raised.value, FileExistsError)


def test_open_of_a_missing_name_is_a_file_not_found_error(client: dsm.Client, name: str) -> None:
    with pytest.raises(RegionNotFound) as raised:
        client.open(name)
    assert isinstance(raised.value, FileNotFoundError)


def test_open_or_create_tells_which_it_was(client: dsm.Client, name: str) -> None:
    assert client.open_or_create(name, 4096).created
    assert not client.open_or_create(name, 4096).created
    with pytest.raises(InvalidArgument, match="size"):
        client.open_or_create(name, 8192)


def test_unlink_takes_the_name_and_leaves_the_memory(scoped: dsm.Client, name: str) -> None:
    region = scoped.create(name, 4096)
    region.unlink()
    with pytest.raises(RegionNotFound):
        scoped.unlink(name)
    with region.write(0, 4) as view:
        view[:] = b"here"
    with region.read(0, 4) as view:
        assert bytes(view) == b"here"


def test_the_directory_lists_and_describes(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    assert region.info in client.list()
    found = client.describe(name)
    assert found.info == region.info
    assert found.attached == ("fake",)


def test_who_has_names_the_owner_of_touched_pages(client: dsm.Client, name: str) -> None:
    region = client.create(name, 8192, page_size=4096)
    region.prefetch(4096, 1)
    assert [(run.first, run.count, run.owner) for run in region.who_has()] == [(0, 1, None), (1, 1, "fake")]


def test_status_and_stats_are_maps(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    region.flush()
    assert client.status()["client"]["access"] == client.access
    assert region.stats()["calls"]["flush"] >= 1
    assert client.stats()["calls"]["hello"] >= 1


@pytest.mark.parametrize(
    ("call", "bounds"),
    [
        (lambda c, n: c.create("", 1), "1 to 255 characters"),
        (lambda c, n: c.create("a" * 256, 1), "1 to 255 characters"),
        (lambda c, n: c.create("a/b", 1), "no NUL"),
        (lambda c, n: c.create("a\0b", 1), "no NUL"),
        (lambda c, n: c.create("\udc80", 1), "Unicode"),
        (lambda c, n: c.open(b"name"), "is text"),
        (lambda c, n: c.create(n, 0), "1 byte to 1 TiB"),
        (lambda c, n: c.create(n, -1), "1 byte to 1 TiB"),
        (lambda c, n: c.create(n, TIB + 1), "1 byte to 1 TiB"),
        (lambda c, n: c.create(n, 1.5), "type float"),
        (lambda c, n: c.create(n, "many"), "not a size"),
        (lambda c, n: c.create(n, 1, page_size=5000), "power of two from 4 KiB to 2 MiB"),
        (lambda c, n: c.create(n, 1, page_size=2048), "power of two from 4 KiB to 2 MiB"),
        (lambda c, n: c.create(n, 1, page_size="4MiB"), "power of two from 4 KiB to 2 MiB"),
        (lambda c, n: c.create(n, 1, page_size=0), "power of two from 4 KiB to 2 MiB"),
        (lambda c, n: c.create(n, 1, lifetime="for ever"), "'unlink', 'last-detach', 'creator'"),
        (lambda c, n: c.create(n, 1, hold=-1), "from 0 to 1"),
        (lambda c, n: c.create(n, 1, hold=2), "from 0 to 1"),
        (lambda c, n: c.create(n, 1, hold=float("nan")), "from 0 to 1"),
        (lambda c, n: c.create(n, 1, hold="1"), "in seconds"),
        (lambda c, n: c.create(n, 1, mode="w"), "mode is 'r'"),
        (lambda c, n: c.open(n, mode="rw"), "mode is 'r'"),
    ],
)
def test_a_bad_argument_is_refused_with_its_bounds(
    client: dsm.Client, name: str, call: Callable[[Any, str], object], bounds: str
) -> None:
    with pytest.raises(InvalidArgument, match=bounds):
        call(client, name)


@pytest.mark.parametrize(
    ("offset", "length"),
    [(-1, 1), (0, 0), (0, -1), (0, 4097), (4096, 1), (4095, 2), (4096, None), (5000, None), (0, 1 << 70), (-1, None)],
)
def test_bytes_outside_the_region_are_refused_with_its_bounds(
    client: dsm.Client, name: str, offset: int, length: int | None
) -> None:
    region = client.create(name, 4096)
    for use in (region.read, region.write):
        with pytest.raises(InvalidArgument, match=f"outside region '{name}', which has bytes 0 to 4,095"):
            use(offset, length).__enter__()
    for call in (region.prefetch, region.who_has):
        with pytest.raises(InvalidArgument, match="bytes 0 to 4,095"):
            call(offset, length)


@pytest.mark.parametrize("timeout", [-1, float("inf"), float("nan"), "1", True, 1e12])
def test_a_timeout_that_is_none_is_refused(client: dsm.Client, name: str, timeout: Any) -> None:
    with pytest.raises(InvalidArgument, match="seconds"):
        client.create(name, 1).read(0, 1, timeout=timeout).__enter__()


def test_offsets_and_lengths_may_be_text(client: dsm.Client, name: str) -> None:
    with client.create(name, "1MiB").read("64KiB", "4KiB") as view:
        assert len(view) == 4096


@pytest.mark.parametrize(
    "use",
    [
        lambda region: region.buf,
        lambda region: region.ndarray(),
        lambda region: region.read().__enter__(),
        lambda region: region.write().__enter__(),
        lambda region: region.prefetch(),
        lambda region: region.flush(),
        lambda region: region.who_has(),
        lambda region: region.stats(),
    ],
)
def test_a_closed_region_says_so(client: dsm.Client, name: str, use: Callable[[dsm.Region], object]) -> None:
    region = client.create(name, 4096)
    region.close()
    region.close()
    assert region.closed
    with pytest.raises(RegionClosed, match=f"region {name!r} was closed. Open it again"):
        use(region)


def test_a_closed_client_says_so(address: str, name: str) -> None:
    client = dsm.connect(address)
    region = client.create(name, 4096)
    client.close()
    client.close()
    assert client.closed and region.closed
    with pytest.raises(RegionClosed, match="the client was closed"):
        client.open(name)


@pytest.mark.needs("userfaultfd")
def test_close_lists_the_arrays_that_are_alive(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    array = region.ndarray((4, 4), "f8", offset=8)
    part = array[1:]
    del array
    with pytest.raises(ArraysAlive, match=r"shape \(4, 4\) and dtype float64 at offset 8") as raised:
        region.close()
    assert isinstance(raised.value, BufferError)
    part[:] = 1.0
    assert region.ndarray((4, 4), "f8", offset=8).sum() == 12
    del part
    region.close()
    assert region.closed


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize(
    "keep",
    [
        lambda region: region.buf,
        lambda region: region.buf[1:3],
        lambda region: np.ndarray(4, "u1", buffer=region.buf),
        lambda region: np.frombuffer(region.buf, "u1"),
        lambda region: np.asarray(region.buf),
        lambda region: region.ndarray().reshape(2, -1).T,
    ],
)
def test_whatever_points_into_a_region_keeps_it_mapped(
    client: dsm.Client, name: str, keep: Callable[[dsm.Region], Any]
) -> None:
    region = client.create(name, 4096)
    kept = keep(region)
    with pytest.raises(ArraysAlive, match=name):
        region.close()
    del kept
    region.close()


@pytest.mark.needs("userfaultfd")
def test_an_array_outlives_the_region_and_the_client_that_made_it(address: str, client: dsm.Client, name: str) -> None:
    with dsm.connect(address) as short:
        array = short.create(name, 1 << 20).ndarray(dtype="i8")
        array[0] = 1
    assert short.closed
    gc.collect()
    array[:] = 3  # pages that were never touched before
    assert client.open(name).ndarray(dtype="i8").sum() == 3 * len(array)


@pytest.mark.needs("userfaultfd")
def test_close_of_a_client_closes_what_it_can_and_lists_the_rest(address: str, name: str) -> None:
    client = dsm.connect(address)
    free, used = client.create(f"{name}-free", 1), client.create(f"{name}-used", 1)
    view = used.buf
    with pytest.raises(ArraysAlive, match=f"{name}-used"):
        client.close()
    assert (free.closed, used.closed, client.closed) == (True, False, False)
    view[0] = 1
    del view
    client.close()
    assert used.closed and client.closed


@pytest.mark.needs("userfaultfd")
def test_the_daemon_is_told_when_the_last_array_is_collected(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    with dsm.connect(address) as observer:
        with dsm.connect(address) as short:
            array = short.create(name, 4096).ndarray()
        assert (observer.status()["attachments"], observer.status()["clients"]) == (1, 2)
        del array
        eventually(lambda: (observer.status()["attachments"], observer.status()["clients"]) == (0, 1))


def test_a_dropped_client_and_its_regions_leave_nothing_at_the_daemon(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    with dsm.connect(address) as observer:
        dropped = dsm.connect(address)
        region = dropped.create(name, 4096, lifetime="creator")
        before = observer.status()
        assert (before["attachments"], before["clients"], before["regions"]) == (1, 2, 1)
        del dropped, region
        eventually(lambda: observer.status()["clients"] == 1)
        assert (observer.status()["attachments"], observer.status()["regions"]) == (0, 0)


def test_a_region_of_its_creator_goes_with_it(address: str, client: dsm.Client, name: str) -> None:
    with dsm.connect(address) as creator:
        creator.create(name, 4096, lifetime="creator")
        assert client.describe(name).info.lifetime == "creator"

    def gone() -> bool:
        return name not in {info.name for info in client.list()}

    eventually(gone)


@pytest.mark.needs("userfaultfd")
def test_many_threads_share_a_client(client: dsm.Client, name: str) -> None:
    region = client.create(name, 1 << 20, page_size=4096)
    array = region.ndarray(dtype="i8")
    failures: list[BaseException] = []

    def count(slot: int) -> None:
        try:
            for turn in range(50):
                with region.write(0, 8) as view:
                    np.frombuffer(view, "i8")[0] += 1
                array[512 * (1 + slot) + turn % 7] += 1
        except BaseException as error:  # noqa: BLE001  (shown by the assertion)
            failures.append(error)

    threads = [threading.Thread(target=count, args=(slot,)) for slot in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert array[0] == 400
    assert array.sum() == 800
