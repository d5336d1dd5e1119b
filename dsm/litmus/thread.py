"""The process that is one thread of a litmus program: `python -m dsm.litmus.thread SOCKET FD`.

Orders and answers are lines of JSON on standard input and output. FD is memory that all these processes share in the
ordinary way; in it each says which round it has come to, so that they begin each round together without touching the
memory that is tested. Whoever waits there sleeps, since the daemons need the processors.

A few rounds are done at once, their accesses in an order drawn by lot that keeps each program's own: most of the time
goes into moving pages, and so one move serves more than one round. Between being ready and acting, and between its
accesses, a thread waits for a time drawn by lot, often none: without that the threads would always meet in the same
order, and some outcomes would never come about.

Every round has words of its own, which nobody has touched before. Words of many rounds share a page, so a page comes
to a round from wherever the last one left it; the last word of a page is there to be written by whoever is to own it.
"""

from __future__ import annotations

import json
import mmap
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsm.client import connect
from dsm.errors import DeadlineExceeded
from dsm.limits import LITMUS_ROUND_SECONDS

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

PAGE_BYTES = 4096
ROUNDS_AT_ONCE = 4
LINE_BYTES = 64  # a thread's counter has a cache line to itself

_WORD_BYTES = 8
_WORDS_PER_PAGE = PAGE_BYTES // _WORD_BYTES - 1  # and one to own the page by
_POLL_SECONDS = 2e-5
_SPIN_SECONDS_MAX = 3e-5
_DELAYS_SECONDS_MAX = {
    "plain": (0.0, 0.0, 5e-5, 5e-4, 3e-3),
    "scoped": (0.0, 5e-4, 3e-3, 6e-3),  # as long as some scopes, which are calls to the daemon
}
_LATE = 0.75  # the chance to begin late
_SLOW = 0.2  # and to wait before the next access


@dataclass(frozen=True)
class Layout:
    """Where the words of each round are."""

    words: int
    one_page: bool

    def place(self, instance: int, word: int) -> int:
        """Return the index of a word in the region, in words."""
        if self.one_page:
            per_page = _WORDS_PER_PAGE // self.words
            page, at = instance // per_page, instance % per_page * self.words + word
        else:
            page, at = instance // _WORDS_PER_PAGE * self.words + word, instance % _WORDS_PER_PAGE
        return page * (_WORDS_PER_PAGE + 1) + at

    def last_word(self, place: int) -> int:
        """Return the index of the last word of the page that a word is on."""
        return place | _WORDS_PER_PAGE

    def region_bytes(self, rounds: int) -> int:
        last = max(self.place(rounds - 1, word) for word in range(self.words))
        return (last // (_WORDS_PER_PAGE + 1) + 1) * PAGE_BYTES


@dataclass(frozen=True)
class Order:
    """What a thread is to do: its program as pairs of a word and the value to store, 0 to load."""

    region: str
    thread: int
    threads: int
    program: list[list[int]]
    words: int
    one_page: bool
    owned: bool
    scoped: bool
    rounds: int
    first: int
    """The round that the counters start from."""
    seed: str

    @property
    def layout(self) -> Layout:
        return Layout(self.words, self.one_page)


class Together:
    """The counters of all threads of a program."""

    def __init__(self, descriptor: int) -> None:
        self._counters = memoryview(mmap.mmap(descriptor, 0)).cast("q")

    def meet(self, order: Order, number: int) -> None:
        """Wait until every thread has come to this point.

        Raises:
            DeadlineExceeded: one has not.
        """
        stride = LINE_BYTES // _WORD_BYTES
        self._counters[order.thread * stride] = number
        counters = self._counters[: order.threads * stride : stride]
        deadline = time.monotonic() + LITMUS_ROUND_SECONDS
        while min(counters) < number:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"thread {order.thread} waits for {list(counters)} to come to {number}")


class Thread:
    """One thread in one cell."""

    def __init__(self, region: Region, order: Order, together: Together) -> None:
        self._region = region
        self._order = order
        self._together = together
        self._words = None if order.scoped else region.buf.cast("q")
        self._delay = random.Random(f"{order.seed}/{order.thread}")
        self._lot = random.Random(order.seed)
        """The same in all threads."""

    def run(self) -> list[list[int]]:
        """Return what the loads found, round by round."""
        order = self._order
        found: list[list[int]] = [[] for _ in range(order.rounds)]
        for start in range(0, order.rounds, ROUNDS_AT_ONCE):
            if order.owned:
                self._own(start)
            steps = self._merged(range(start, min(start + ROUNDS_AT_ONCE, order.rounds)))
            longest = self._lot.choice(_DELAYS_SECONDS_MAX["scoped" if order.scoped else "plain"])
            self._together.meet(order, order.first + start)
            self._wait(longest, _LATE)
            for instance, access in steps:
                value = access()
                if value is not None:
                    found[instance].append(value)
                self._wait(longest, _SLOW)
        self._together.meet(order, order.first + order.rounds)
        return found

    def _merged(self, instances: range) -> list[tuple[int, Callable[[], int | None]]]:
        """The program for each of several rounds: in an order drawn by lot, each in its own order."""
        order = self._order
        programs = {
            instance: [
                self._access(order.layout.place(instance, word), value) for word, value in reversed(order.program)
            ]
            for instance in instances
        }
        turns = [instance for instance in instances for _ in order.program]
        self._delay.shuffle(turns)
        return [(instance, programs[instance].pop()) for instance in turns]

    def finals(self) -> list[list[int]]:
        """Return what the words of each round have come to, when all threads are through."""
        layout, rounds, words = self._order.layout, self._order.rounds, self._order.words
        with self._region.read() as view, view.cast("q") as memory:
            return [[memory[layout.place(instance, word)] for word in range(words)] for instance in range(rounds)]

    def close(self) -> None:
        if self._words is not None:
            self._words.release()

    def _wait(self, longest: float, chance: float) -> None:
        if not longest or self._delay.random() > chance:
            return
        seconds = self._delay.uniform(0, longest)
        if seconds > _SPIN_SECONDS_MAX:
            time.sleep(seconds)
            return
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass

    def _own(self, instance: int) -> None:
        """Write to those pages of the round that this thread's node is to own."""
        layout = self._order.layout
        for word in range(self._order.words):
            if self._lot.randrange(self._order.threads) == self._order.thread:
                self._access(layout.last_word(layout.place(instance, word)), 1)()

    def _access(self, place: int, value: int) -> Callable[[], int | None]:
        words = self._words
        if words is None:
            return lambda: self._scoped(place, value)
        if value:
            return lambda: words.__setitem__(place, value)
        return lambda: words[place]

    def _scoped(self, place: int, value: int) -> int | None:
        offset = place * _WORD_BYTES
        if value:
            with self._region.write(offset, _WORD_BYTES) as view:
                view[:] = value.to_bytes(_WORD_BYTES, sys.byteorder)
            return None
        with self._region.read(offset, _WORD_BYTES) as view:
            return int.from_bytes(view, sys.byteorder)


def serve(client: Client, together: Together) -> None:
    """Carry out orders until there are no more."""
    for line in sys.stdin:
        order = Order(**json.loads(line))
        with client.open(order.region) as region:
            thread = Thread(region, order, together)
            loads = thread.run()
            finals = thread.finals() if order.thread == 0 else []
            thread.close()
        print(json.dumps({"loads": loads, "finals": finals}), flush=True)


if __name__ == "__main__":
    with connect(sys.argv[1]) as client:
        serve(client, Together(int(sys.argv[2])))
