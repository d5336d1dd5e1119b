"""What survives, and which files are refused."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dsm.core.types import RegionId
from dsm.directory.store import Store
from dsm.errors import DirectoryUnavailable
from dsm.wire.directory import Lifetime, RegionInfo

INFO = RegionInfo(RegionId(0), "grid", 1 << 40, 4096, Lifetime.CREATOR, 0.25, (1, 2), "<f8", "a", 12.5)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.path)


def test_a_nodes_number_is_its_own_for_ever(path: str) -> None:
    store = Store(path)
    first, second = store.node("a"), store.node("b")
    assert first != second
    store = reopened(store)
    assert (store.node("b"), store.node("a")) == (second, first)


def test_epochs_grow_over_every_restart(path: str) -> None:
    store = Store(path)
    epochs = [store.next_epoch(), store.next_epoch()]
    store = reopened(store)
    epochs.append(store.next_epoch())
    assert epochs == [1, 2, 3]


def test_a_store_keeps_the_name_of_its_cluster(path: str) -> None:
    store = Store(path)
    cluster = store.cluster()
    assert len(cluster) == 36 and reopened(store).cluster() == cluster
    assert Store(":memory:").cluster() != cluster


def test_a_region_comes_back_as_it_was(path: str) -> None:
    store = Store(path)
    node = store.node("a")
    number = store.add_region(INFO, node)
    store.mark_written(number)
    (region,) = reopened(store).regions()
    assert region.info.id == number and region.creator == node
    assert (region.info.shape, region.info.size, region.info.lifetime) == ((1, 2), 1 << 40, Lifetime.CREATOR)
    assert region.written and not region.unlinked


def test_a_name_is_free_again_after_unlink(path: str) -> None:
    store = Store(path)
    node = store.node("a")
    first = store.add_region(INFO, node)
    with pytest.raises(DirectoryUnavailable, match="UNIQUE"):
        store.add_region(INFO, node)
    store.mark_unlinked(first)
    store.add_region(INFO, node)
    assert [region.unlinked for region in store.regions()] == [True, False]


def test_a_regions_number_is_never_used_again(path: str) -> None:
    store = Store(path)
    assert store.newest_region() == 0
    first = store.add_region(INFO, store.node("a"))
    store.delete_region(first)
    store = reopened(store)
    assert store.newest_region() == first and store.regions() == []
    assert store.add_region(INFO, store.node("a")) > first


def test_a_store_in_use_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.directory.store.LOCK_SECONDS", 0.01)
    store = Store(path)
    store.next_epoch()
    with pytest.raises(DirectoryUnavailable, match="locked"):
        Store(path)
    assert store.next_epoch() == 2


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_bytes(b"not a database " * 1000)
    with pytest.raises(DirectoryUnavailable, match="not a database") as caught:
        Store(str(file))
    assert caught.value.definite and "writable" in caught.value.remedy
    assert file.read_bytes() == b"not a database " * 1000


def test_a_damaged_store_is_refused(path: str) -> None:
    store = Store(path)
    for number in range(200):
        store.node(f"node-{number}")
    store.close()
    content = bytearray(Path(path).read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    Path(path).write_bytes(content)
    with pytest.raises(DirectoryUnavailable):
        Store(path)


def test_the_database_of_another_program_is_refused(path: str) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE theirs (x)")
    database.close()
    with pytest.raises(DirectoryUnavailable, match="another program"):
        Store(path)


def test_a_store_of_a_later_version_is_refused(path: str) -> None:
    Store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(DirectoryUnavailable, match="schema 99 of ours"):
        Store(path)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnavailable, match="unable to open"):
        Store(str(tmp_path / "nowhere" / "store"))


def test_every_commit_is_on_disk(path: str) -> None:
    database = Store(path)._database
    assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert database.execute("PRAGMA synchronous").fetchone() == (2,)
