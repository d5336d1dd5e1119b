"""What one worker does: count its share of the corpus, merge it into the table, read the whole table and compare.

    every worker    count own files; tell how many different words
    worker 1        make the table, large enough for all of these
    every worker    open it; when all have, merge, in several rounds, so that every page goes round among the nodes
    every worker    when all have: look up some words, read the whole table, and compare it with its own count of the
                    whole corpus

Merging is scoped: a worker is alone on a page while it looks for the right slot and adds to it. Reading is transparent,
through a plain NumPy array; where that is not possible, it is scoped too, and the outcome says so.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsm.demo import table, words
from dsm.demo.board import Board, Stage
from dsm.demo.table import SLOT, Batch, Difference, Layout, Slots
from dsm.errors import DsmError, TransparentAccessUnavailable
from dsm.limits import PAGE_BYTES_DEFAULT

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

ROUNDS = 3
LOOK_UPS = 200
DIFFERENCES_MAX = 20  # that are told; the number of all is told too


def table_name(name: str) -> str:
    """The region of the table in the demo of this name. The region of this name itself is the board."""
    return f"{name}-table"


@dataclass(frozen=True)
class Task:
    """What a worker is to do. Workers count from 1; `timeout` in seconds, for everything."""

    name: str
    worker: int
    workers: int
    directory: Path | None
    timeout: float


@dataclass
class Outcome:
    """What a worker has done, as its JSON has it. Times in seconds, sizes in bytes."""

    worker: int
    node: str = ""
    access: str = ""
    files: int = 0
    bytes_read: int = 0
    words: int = 0
    words_all: int = 0
    distinct: int = 0
    table: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    stats: dict[str, Any] = field(default_factory=dict)
    differing: int = 0
    differences: list[dict[str, Any]] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return self.differing == 0


Watch = Callable[["Region"], None]
"""Called with the table now and then, from between two pages."""


class Worker:
    """One worker, on the node that its client is connected to."""

    def __init__(self, client: Client, task: Task, watch: Watch | None = None) -> None:
        self._client = client
        self._task = task
        self._watch: Watch = watch or (lambda _: None)
        self._deadline = time.monotonic() + task.timeout
        self._outcome = Outcome(task.worker, client.node, client.access)

    def run(self) -> Outcome:
        """Do everything.

        Raises:
            DeadlineExceeded, Unavailable: another worker was late, or has failed.
        """
        files = words.corpus(self._task.directory)
        board = self._make_board()
        try:
            self._work(files, board)
        except BaseException:
            with contextlib.suppress(DsmError):
                board.post(self._task.worker, failed=1)
            raise
        return self._outcome

    def _make_board(self) -> Board:
        task = self._task
        if task.worker == 1:
            return Board.create(self._client, task.name, task.workers)
        return Board.open(self._client, task.name, task.workers, self._deadline)

    def _work(self, files: list[Path], board: Board) -> None:
        task = self._task
        with self._timed("count"):
            counts = self._count(words.share(files, task.worker, task.workers), board)
        region = self._open_table(board)
        layout = Layout(region.size // SLOT.itemsize, region.page_size // SLOT.itemsize)
        with self._timed("merge"):
            self._merge(region, layout, counts)
            board.post(task.worker, stage=Stage.MERGED)
            board.wait(Stage.MERGED, self._deadline)
        expected = words.count(files)
        with self._timed("read"):
            found = self._read(region, sorted(expected))
        self._watch(region)
        self._conclude(region, table.differences(found, expected))
        self._outcome.distinct = len(expected)
        board.post(task.worker, stage=Stage.COMPARED)
        if task.worker == 1:
            board.wait(Stage.COMPARED, self._deadline)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._outcome.seconds[what] = time.monotonic() - began

    # --- 1. count -------------------------------------------------------------------------------------------------

    def _count(self, files: list[Path], board: Board) -> dict[bytes, int]:
        counts = words.count(files)
        outcome = self._outcome
        outcome.files = len(files)
        outcome.bytes_read = sum(file.stat().st_size for file in files)
        outcome.words = counts.total()
        board.post(self._task.worker, stage=Stage.COUNTED, words=counts.total(), distinct=len(counts))
        return counts

    # --- 2. merge -------------------------------------------------------------------------------------------------

    def _open_table(self, board: Board) -> Region:
        task = self._task
        if task.worker == 1:
            rows = board.wait(Stage.COUNTED, self._deadline)
            layout = Layout.holding(int(rows["distinct"].sum()), PAGE_BYTES_DEFAULT)
            # The array itself is not used, and cannot be without userfaultfd; its shape and dtype are stored anyway.
            with contextlib.suppress(TransparentAccessUnavailable):
                self._client.array(table_name(task.name), (layout.slots,), SLOT, lifetime="creator")
        else:
            board.wait(Stage.OPENED, self._deadline, only_first=True)
        region = self._client.open(table_name(task.name))
        board.post(task.worker, stage=Stage.OPENED)
        rows = board.wait(Stage.OPENED, self._deadline)
        self._outcome.words_all = int(rows["words"].sum())
        return region

    def _merge(self, region: Region, layout: Layout, counts: dict[bytes, int]) -> None:
        def merge_page(page: int, batch: Batch) -> Batch:
            with region.write(page * region.page_size, region.page_size, timeout=self._left()) as view:
                beyond = table.insert(table.array_over(view), batch)
            self._watch(region)
            return beyond

        order = random.Random(self._task.worker)
        items = list(counts.items())
        for turn in range(ROUNDS):
            table.merge(layout, items[turn::ROUNDS], merge_page, order)

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    # --- 3. read and compare --------------------------------------------------------------------------------------

    def _read(self, region: Region, known: list[bytes]) -> list[tuple[bytes, int]]:
        if self._client.access == "scoped":
            with region.read(timeout=self._left()) as view:
                return table.entries(table.array_over(view))
        slots: Slots = region.ndarray()
        chosen = random.Random(self._task.worker).sample(known, min(LOOK_UPS, len(known)))
        looked_up = [(word, table.look_up(slots, word)) for word in chosen]
        found = table.entries(slots.copy())
        once = dict(found)
        # A look-up that misses what is there is told like a word that is there twice.
        return found + [(word, count) for word, count in looked_up if once.get(word, 0) != count]

    def _conclude(self, region: Region, differences: list[Difference]) -> None:
        outcome = self._outcome
        outcome.table = {
            "slots": region.size // SLOT.itemsize,
            "bytes": region.size,
            "page_size": region.page_size,
            "pages": region.size // region.page_size,
        }
        outcome.stats = region.stats()
        outcome.differing = len(differences)
        outcome.differences = [
            {"word": word.decode(errors="backslashreplace"), "expected": expected, "found": list(found)}
            for word, expected, found in differences[:DIFFERENCES_MAX]
        ]
