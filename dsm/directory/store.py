"""What the directory must remember beyond its own life: regions, node numbers, epochs. SQLite, one file.

WAL with synchronous=FULL: what a call has answered survives a power cut. A commit costs some 0.2 ms to a few ms
depending on the disk, and the event loop waits for it; this happens when a region or a session comes or goes, never
for a page, except once for each region before its first write grant.

The file is locked for as long as the directory runs: a second directory on it would give out the same epochs.

Caveat: a store put back from a backup gives out epochs and region numbers again that nodes may still remember. Start
every node anew after that.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dsm.core.types import Epoch, NodeId, RegionId
from dsm.errors import DirectoryUnavailable
from dsm.wire.directory import Lifetime, RegionInfo

SCHEMA_VERSION = 1
APPLICATION_ID = 0x64736D31  # "dsm1"; tells our file from other SQLite files
LOCK_SECONDS = 1.0  # a directory that is being replaced may still be closing the file

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE nodes (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE regions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- AUTOINCREMENT: never given out twice
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    page_size INTEGER NOT NULL,
    lifetime TEXT NOT NULL,
    hold REAL NOT NULL,
    shape TEXT,
    dtype TEXT,
    creator INTEGER NOT NULL REFERENCES nodes,
    created_at REAL NOT NULL,
    unlinked INTEGER NOT NULL DEFAULT 0,
    written INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX names ON regions (name) WHERE NOT unlinked;
INSERT INTO meta VALUES ('epoch', 0);
COMMIT;
"""

_COLUMNS = """
    regions.id, regions.name, size, page_size, lifetime, hold, shape, dtype, nodes.name, created_at,
    creator, unlinked, written
"""


@dataclass(frozen=True, slots=True)
class StoredRegion:
    info: RegionInfo
    creator: NodeId
    unlinked: bool
    """Its name is free again; it lives on for those who have it attached."""
    written: bool
    """Some page may have been written, so a page that nobody reports after a restart is lost, not zeros."""


class Store:
    """The open file. Every method that changes something returns when the change is on disk."""

    def __init__(self, path: str) -> None:
        """Open the file, or make it; ":memory:" forgets everything at the end.

        Raises:
            DirectoryUnavailable: it cannot be used; the message says why.
        """
        self.path = path
        with self._explained("open"):
            self._database = sqlite3.connect(path, timeout=LOCK_SECONDS, isolation_level=None)
        try:
            with self._explained("open"):
                self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")
        execute("PRAGMA foreign_keys = ON")
        (application,) = execute("PRAGMA application_id").fetchone()
        (version,) = execute("PRAGMA user_version").fetchone()
        (tables,) = execute("SELECT count(*) FROM sqlite_master").fetchone()
        if tables and (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            found = f"schema {version} of ours" if application == APPLICATION_ID else "of another program"
            raise self._unusable(f"it is {found}, not schema {SCHEMA_VERSION} of a directory")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        (health,) = execute("PRAGMA quick_check(1)").fetchone()
        if health != "ok":
            raise self._unusable(f"it is damaged: {health}")
        if not tables:
            self._database.executescript(_SCHEMA)
            execute("INSERT INTO meta VALUES ('cluster', ?)", (str(uuid.uuid4()),))
            # Last, so that a store half made is refused.
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._database.close()

    def cluster(self) -> str:
        """Return the name that this store gave its cluster when it was made."""
        with self._explained("read"):
            (value,) = self._database.execute("SELECT value FROM meta WHERE key = 'cluster'").fetchone()
        return str(value)

    def node(self, name: str) -> NodeId:
        """Return the number of this name, the same for ever."""
        with self._explained("change"):
            self._database.execute("INSERT INTO nodes (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            (number,) = self._database.execute("SELECT id FROM nodes WHERE name = ?", (name,)).fetchone()
        return NodeId(number)

    def next_epoch(self) -> Epoch:
        """Return a number that was never returned before."""
        with self._explained("change"):
            rows = self._database.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value")
            ((epoch,),) = rows.fetchall()
        return Epoch(epoch)

    def regions(self) -> list[StoredRegion]:
        with self._explained("read"):
            query = f"SELECT {_COLUMNS} FROM regions JOIN nodes ON nodes.id = creator ORDER BY regions.id"  # noqa: S608
            return [_region(row) for row in self._database.execute(query)]

    def newest_region(self) -> RegionId:
        """Return the highest number ever given to a region, 0 if none was."""
        with self._explained("read"):
            row = self._database.execute("SELECT seq FROM sqlite_sequence WHERE name = 'regions'").fetchone()
        return RegionId(row[0] if row else 0)

    def add_region(self, info: RegionInfo, creator: NodeId) -> RegionId:
        """Keep a new region and return its number; that of `info` is not looked at."""
        shape = None if info.shape is None else json.dumps(info.shape)
        row = (info.name, info.size, info.page_size, info.lifetime.value, info.hold, shape, info.dtype)
        with self._explained("change"):
            cursor = self._database.execute(
                "INSERT INTO regions (name, size, page_size, lifetime, hold, shape, dtype, creator, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, creator, info.created_at),
            )
        assert cursor.lastrowid is not None, "law: SQLite numbers every row"
        return RegionId(cursor.lastrowid)

    def mark_unlinked(self, region: RegionId) -> None:
        self._change("UPDATE regions SET unlinked = 1 WHERE id = ?", region)

    def mark_written(self, region: RegionId) -> None:
        self._change("UPDATE regions SET written = 1 WHERE id = ?", region)

    def delete_region(self, region: RegionId) -> None:
        self._change("DELETE FROM regions WHERE id = ?", region)

    def _change(self, statement: str, region: RegionId) -> None:
        with self._explained("change"):
            self._database.execute(statement, (region,))

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._unusable(f"cannot {doing} it: {error}") from error

    def _unusable(self, reason: str) -> DirectoryUnavailable:
        remedy = "See that its folder exists, is writable, has space, and that no other directory uses it"
        return DirectoryUnavailable(f"the store {self.path!r}: {reason}", remedy=remedy, definite=True)


def _region(row: tuple[object, ...]) -> StoredRegion:
    match row:
        case (
            int(number),
            str(name),
            int(size),
            int(page_size),
            str(lifetime),
            float(hold),
            str() | None as shape,
            str() | None as dtype,
            str(creator),
            float(created_at),
            int(node),
            int(unlinked),
            int(written),
        ):
            info = RegionInfo(
                RegionId(number),
                name,
                size,
                page_size,
                Lifetime.named(lifetime),
                hold,
                None if shape is None else tuple(json.loads(shape)),
                dtype,
                creator,
                created_at,
            )
            return StoredRegion(info, NodeId(node), bool(unlinked), bool(written))
    raise sqlite3.DataError(f"a region cannot be {row!r:.200}")
