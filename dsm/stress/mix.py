"""The workload that records a history: every kind of access to a few words that all workers share.

Each page has four words. Three are **registers**: loads and stores of values that are never written twice, plain or in
a scope. One is a **counter**: read and written back by one more in a write scope, so that a lost update is two
increments that found the same value. Words of one page are at its ends and in its middle, so everything here is false
sharing. Accesses come in bursts, some within what one possession of a page lasts, some longer.

A store is followed by a full fence (a lock taken and given back) before its end is noted: another process of the host
may read the word from then on, and must find it. What loads and stores do without one, `dsm litmus` shows.

Where a client has no transparent access, plain loads and stores become scopes.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dsm.stress.plan import Round
from dsm.verify import Recorder, Word
from dsm.verify.encoding import to_bytes

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region

OPERATIONS_MAX = 1 << 18
"""Of one worker in one round; 80 bytes for each."""

WORD_BYTES = 8
_BURST_MAX = 64
_STAY = 0.9
_PAUSE_SECONDS_MAX = 0.0004
_SCOPE_SECONDS_MAX = 0.0002  # that some scopes are kept for nothing, so that others come to wait for them
_VALUES_PER_WORKER = 1 << 40
_clock = time.monotonic_ns
_fence = threading.Lock()


class Mix:
    """One worker in one round."""

    def __init__(self, client: Client, region: Region, plan: Round, worker: int, host: int, seed: int) -> None:
        self._client = client
        self._region = region
        self._plan = plan
        self._draw = random.Random(f"{seed}/{plan.number}/{worker}")
        self._record = Recorder(worker, host)
        self._value = worker * _VALUES_PER_WORKER
        self._transparent = client.access != "scoped"
        self._words: memoryview | None = None
        self._hot = 1
        self._page = 0
        self._deeds: list[Callable[[], None]] = []
        weights: dict[Callable[[], None], int] = {
            self._load: 600,
            self._store: 300,
            self._count: 60,
            self._read_scope: 20,
            self._write_scope: 20,
            self._read_many: 6,
            self._prefetch: 6,
            self._attach_again: 1,
        }
        self._deeds, self._weights = list(weights), list(weights.values())

    def act(self) -> None:
        """Do it for as long as the round lasts."""
        began = time.monotonic()
        while (elapsed := time.monotonic() - began) < self._plan.seconds and len(self._record) < OPERATIONS_MAX:
            self._hot = self._plan.hot(elapsed)
            self._page = self._draw.randrange(self._hot)
            for deed in self._draw.choices(self._deeds, self._weights, k=self._draw.randint(1, _BURST_MAX)):
                deed()
            time.sleep(self._draw.uniform(0, _PAUSE_SECONDS_MAX))
        self._let_go()

    def result(self) -> dict[str, Any]:
        """What is handed to the judge."""
        return {"history": to_bytes(self._record.history()), "stats": self._region.stats()}

    # --- Words ----------------------------------------------------------------------------------------------------

    def _place(self) -> tuple[Word, int]:
        """A register, and where it is in the region."""
        page = self._next_page()
        offset = self._draw.choice((0, WORD_BYTES, self._plan.page_size // 2))
        return Word(self._plan.number, page, offset), page * self._plan.page_size + offset

    def _counter(self) -> tuple[Word, int]:
        page = self._next_page()
        offset = self._plan.page_size - WORD_BYTES
        return Word(self._plan.number, page, offset), page * self._plan.page_size + offset

    def _next_page(self) -> int:
        """Mostly the page of this burst, so that something happens between two faults."""
        return self._page if self._draw.random() < _STAY else self._draw.randrange(self._hot)

    def _next_value(self) -> int:
        self._value += 1
        return self._value

    def _plain(self) -> memoryview:
        if self._words is None:
            self._words = self._region.buf.cast("q")
        return self._words

    def _let_go(self) -> None:
        if self._words is not None:
            self._words.release()
            self._words = None

    # --- Deeds ----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        if not self._transparent:
            return self._read_scope()
        word, place = self._place()
        words, index = self._plain(), place // WORD_BYTES
        invoked = _clock()
        seen = words[index]
        self._record.read(word, seen, invoked, _clock())
        return None

    def _store(self) -> None:
        if not self._transparent:
            return self._write_scope()
        word, place = self._place()
        words, index, value = self._plain(), place // WORD_BYTES, self._next_value()
        invoked = _clock()
        words[index] = value
        with _fence:
            pass
        self._record.write(word, value, invoked, _clock())
        return None

    def _count(self) -> None:
        word, place = self._counter()
        with self._region.write(place, WORD_BYTES) as view, view.cast("q") as words:
            invoked = _clock()
            seen = words[0]
            self._linger()
            words[0] = seen + 1
            with _fence:
                pass
            self._record.fetch_add(word, 1, seen, invoked, _clock())

    def _read_scope(self) -> None:
        word, place = self._place() if self._draw.random() < 0.5 else self._counter()
        with self._region.read(place, WORD_BYTES) as view, view.cast("q") as words:
            invoked = _clock()
            seen = words[0]
            self._record.read(word, seen, invoked, _clock())
            self._linger()

    def _write_scope(self) -> None:
        word, place = self._place()
        with self._region.write(place, WORD_BYTES) as view, view.cast("q") as words:
            self._linger()
            value = self._next_value()
            invoked = _clock()
            words[0] = value
            with _fence:
                pass
            self._record.write(word, value, invoked, _clock())

    def _read_many(self) -> None:
        """A scope over several pages, of which it reads all counters."""
        first = self._draw.randrange(self._hot)
        count = min(self._draw.randint(2, 4), self._plan.pages - first)
        size = self._plan.page_size
        with self._region.read(first * size, count * size) as view, view.cast("q") as words:
            for page in range(count):
                invoked = _clock()
                seen = words[(page + 1) * size // WORD_BYTES - 1]
                self._record.read(Word(self._plan.number, first + page, size - WORD_BYTES), seen, invoked, _clock())

    def _linger(self) -> None:
        if self._draw.random() < 0.1:
            time.sleep(self._draw.uniform(0, _SCOPE_SECONDS_MAX))

    def _prefetch(self) -> None:
        first = self._draw.randrange(self._hot)
        count = self._draw.randint(1, self._plan.pages - first)
        size = self._plan.page_size
        self._region.prefetch(first * size, count * size, write=self._draw.random() < 0.3)

    def _attach_again(self) -> None:
        name = self._region.name
        self._let_go()
        self._region.close()
        self._region = self._client.open(name)
