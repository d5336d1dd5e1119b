"""The processes that are the threads of litmus programs, and a cell run by them.

There is a process for each place where a cell may need a thread; those that a cell does not need wait. This process
touches no shared memory: it makes the regions, says what is to be done, and ends everybody when one does not answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

from dsm.errors import DeadlineExceeded, NodeUnavailable
from dsm.limits import LITMUS_BATCH_ROUNDS, LITMUS_BATCHES_MAX, LITMUS_CELL_SECONDS
from dsm.litmus.cells import Cell
from dsm.litmus.outcomes import Outcome, lost, outcome
from dsm.litmus.thread import LINE_BYTES, PAGE_BYTES, Layout, Order
from dsm.litmus.verdict import Verdict

if TYPE_CHECKING:
    from dsm.client.sync import Client

_THREADS_MAX = 4
_READ_BYTES = 1 << 20
Answer = dict[str, list[list[int]]]


class Process:
    """One of the processes, seen from outside."""

    def __init__(self, socket: str, counters: int) -> None:
        command = [sys.executable, "-m", "dsm.litmus.thread", socket, str(counters)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[counters], bufsize=0
        )

    def tell(self, order: Order) -> None:
        assert self._process.stdin is not None, "it is a pipe"
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the missing answer tells
            self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")

    def answer(self, deadline: float) -> Answer:
        """Return what it found.

        Raises:
            DeadlineExceeded: it does not answer.
            NodeUnavailable: it has ended.
        """
        assert self._process.stdout is not None, "it is a pipe"
        descriptor, line = self._process.stdout.fileno(), b""
        while not line.endswith(b"\n"):
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise DeadlineExceeded(f"the thread in process {self._process.pid} does not answer")
            more = os.read(descriptor, _READ_BYTES)
            if not more:
                raise NodeUnavailable("a thread has ended", remedy="Its last words are above", definite=True)
            line += more
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError), self._process:  # closes its pipes, and waits
            self._process.kill()


class Crew:
    """All processes on some nodes. A context manager."""

    def __init__(self, client: Client, sockets: Sequence[str], seed: int) -> None:
        self._client = client
        self._sockets = sockets
        self._seed = seed
        self._processes: dict[tuple[int, int], Process] = {}
        self._counters = -1
        self._first = 1
        self._batches = 0

    def __enter__(self) -> Self:
        self._counters = os.memfd_create("dsm-litmus")
        os.truncate(self._counters, _THREADS_MAX * LINE_BYTES)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.close()
        os.close(self._counters)

    def run(self, cell: Cell, rounds: int) -> Verdict:
        """Run a cell for so many rounds, and on, up to a bound, while an allowed outcome was not seen often enough.

        Raises:
            DeadlineExceeded, NodeUnavailable: a thread does not answer, or has ended.
        """
        verdict = Verdict(cell)
        began = time.monotonic()
        while verdict.rounds < rounds or (verdict.rare and verdict.rounds < LITMUS_BATCHES_MAX * rounds):
            verdict.add(*self._batch(cell, min(LITMUS_BATCH_ROUNDS, rounds)))
            if verdict.bad:
                break
        verdict.seconds = time.monotonic() - began
        return verdict

    def _batch(self, cell: Cell, rounds: int) -> tuple[Counter[Outcome], int]:
        self._batches += 1
        name = f"litmus-{os.getpid()}-{self._batches}"
        layout = Layout(cell.shape.words, cell.words == "page")
        size = layout.region_bytes(rounds)
        with self._client.create(name, size, page_size=PAGE_BYTES, hold=0.0, lifetime="creator"):
            try:
                return _histogram(cell, self._answers(cell, name, rounds))
            finally:
                self._client.unlink(name)

    def _answers(self, cell: Cell, name: str, rounds: int) -> list[Answer]:
        processes = self._processes_of(cell)
        for thread, process in enumerate(processes):
            process.tell(self._order(cell, name, thread, rounds))
        self._first += rounds + 1
        deadline = time.monotonic() + LITMUS_CELL_SECONDS
        return [process.answer(deadline) for process in processes]

    def _processes_of(self, cell: Cell) -> list[Process]:
        """A process for each thread; started when it is needed first."""
        taken: Counter[int] = Counter()
        found = []
        for node in cell.nodes:
            place = (node, taken[node])
            taken[node] += 1
            if place not in self._processes:
                self._processes[place] = Process(self._sockets[node], self._counters)
            found.append(self._processes[place])
        return found

    def _order(self, cell: Cell, name: str, thread: int, rounds: int) -> Order:
        return Order(
            region=name,
            thread=thread,
            threads=len(cell.shape.threads),
            program=[[access.word, access.value] for access in cell.shape.threads[thread]],
            words=cell.shape.words,
            one_page=cell.words == "page",
            owned=cell.words == "owned",
            scoped=cell.access == "scoped",
            rounds=rounds,
            first=self._first,
            seed=f"{self._seed}/{self._batches}",
        )


def _histogram(cell: Cell, answers: list[Answer]) -> tuple[Counter[Outcome], int]:
    """Return how the rounds ended, and in how many a store was lost, which are left out."""
    loads: list[Any] = [answer["loads"] for answer in answers]
    found = zip(*loads, answers[0]["finals"], strict=True)
    whole = [(round_loads, memory) for *round_loads, memory in found if not lost(cell.shape, tuple(memory))]
    seen = Counter(outcome(cell.shape, tuple(map(tuple, values)), tuple(memory)) for values, memory in whole)
    return seen, len(answers[0]["finals"]) - len(whole)
