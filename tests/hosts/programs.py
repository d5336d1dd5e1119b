"""What the clients do on their hosts: ``python -m tests.hosts.programs PROGRAM SOCKET HOST``.

Each program is one client of its host's node. It ends with status 0 only if every byte was what it had to be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

import dsm

HOSTS = 3
PAGE_BYTES = 64 << 10
PATTERN_PAGES = 48
COUNTERS = 8
INCREMENTS = 50
TURNS = 90
TURN_TIMEOUT = 20.0


def make(client: dsm.Client, _host: int) -> None:
    """Create the regions that the other programs share."""
    client.create("pattern", size=PATTERN_PAGES * PAGE_BYTES, page_size=PAGE_BYTES)
    client.create("counters", size=COUNTERS * PAGE_BYTES, page_size=PAGE_BYTES)
    client.create("turns", size=COUNTERS * PAGE_BYTES, page_size=PAGE_BYTES)


def fill(client: dsm.Client, host: int) -> None:
    """Write every third page with bytes that only that page has, by turns transparently and in a scope."""
    region = client.open("pattern")
    array = region.ndarray((PATTERN_PAGES, PAGE_BYTES), "u1")
    for page in range(host, PATTERN_PAGES, HOSTS):
        if page % 2:
            array[page] = _pattern(page)
        else:
            with region.write(page * PAGE_BYTES, PAGE_BYTES) as view:
                view[:] = _pattern(page).tobytes()


def check(client: dsm.Client, _host: int) -> None:
    """Read every page in a scope and once more transparently."""
    region = client.open("pattern")
    array = region.ndarray((PATTERN_PAGES, PAGE_BYTES), "u1")
    for page in range(PATTERN_PAGES):
        with region.read(page * PAGE_BYTES, PAGE_BYTES) as view:
            assert bytes(view) == _pattern(page).tobytes(), f"page {page} differs in a scope"
        assert np.array_equal(array[page], _pattern(page)), f"page {page} differs"


def count(client: dsm.Client, _host: int) -> None:
    """Add one to every counter, many times: no lock but the scope's own."""
    region = client.open("counters")
    for _ in range(INCREMENTS):
        for counter in range(COUNTERS):
            with region.write(counter * PAGE_BYTES, 8) as view:
                view.cast("q")[0] += 1


def total(client: dsm.Client, _host: int) -> None:
    """See every increment of every host."""
    counters = client.open("counters").ndarray((COUNTERS, PAGE_BYTES // 8), "i8")[:, 0]
    assert counters.tolist() == [HOSTS * INCREMENTS] * COUNTERS


def take_turns(client: dsm.Client, host: int) -> None:
    """Pass a turn around by plain loads and stores; who has it finds the last one's stores on every page."""
    words = client.open("turns").ndarray((COUNTERS, PAGE_BYTES // 8), "i8")[:, 0]
    for turn in range(host, TURNS, HOSTS):
        deadline = time.monotonic() + TURN_TIMEOUT
        while words[0] != turn:
            assert time.monotonic() < deadline, f"turn {turn} never came: {words.tolist()}"
            time.sleep(0.0005)
        assert words[1:].tolist() == [turn] * (COUNTERS - 1)
        words[1:] = turn + 1
        words[0] = turn + 1  # last: stores become visible in order


def _pattern(page: int) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.random.default_rng(page).integers(0, 256, PAGE_BYTES, dtype=np.uint8)


PROGRAMS: dict[str, Callable[[dsm.Client, int], None]] = {
    program.__name__: program for program in (make, fill, check, count, total, take_turns)
}


def main() -> None:
    name, socket, host = sys.argv[1:]
    with dsm.connect(socket) as client:
        PROGRAMS[name](client, int(host))


if __name__ == "__main__":
    main()
