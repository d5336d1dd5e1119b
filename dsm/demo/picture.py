"""Which node owns which page, as rows of characters, drawn while it changes.

    A B C   owned by the first, second, third node, and nobody else has it
    a b c   owned by it, and others have copies to read
    .       nobody has touched it
    !       lost with its last holder

Where there are more pages than characters, one character stands for several adjacent pages and shows the most frequent
of theirs. On a terminal the picture is drawn over and over in one place; elsewhere a few are printed below each other.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from dsm.errors import DsmError

if TYPE_CHECKING:
    from rich.text import Text

    from dsm.client.records import PageHolders
    from dsm.client.sync import Client, Region

COLUMNS = 64
LIVE_ROWS_MAX = 16
PLAIN_ROWS_MAX = 4
COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan")

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LIVE_SECONDS = 0.15  # between two pictures
_PLAIN_SECONDS = 1.0  # until the second plain picture; twice as long until each further one


class Display(Protocol):
    """Where pictures appear."""

    interval: float

    def draw(self, pages: str, title: str, names: Sequence[str]) -> None: ...


def letters(holders: Sequence[PageHolders], pages: int, names: Sequence[str]) -> str:
    """Return one character for each page."""
    row = ["."] * pages
    for run in holders:
        row[run.first : run.first + run.count] = _letter(run, names) * run.count
    return "".join(row)


def _letter(run: PageHolders, names: Sequence[str]) -> str:
    if run.lost:
        return "!"
    if run.owner is None:
        return "."
    letter = _LETTERS[names.index(run.owner) % len(_LETTERS)] if run.owner in names else "?"
    return letter.lower() if set(run.sharers) - {run.owner} else letter


def fold(pages: str, rows_max: int) -> list[str]:
    """Return the characters of all pages in at most so many rows, several pages in one character if need be."""
    per_cell = -(-len(pages) // (COLUMNS * rows_max))
    cells = [Counter(pages[at : at + per_cell]).most_common(1)[0][0] for at in range(0, len(pages), per_cell)]
    return ["".join(cells[at : at + COLUMNS]) for at in range(0, len(cells), COLUMNS)]


class Watch:
    """Draws a region now and then, when it is called. Does not mind if the directory has no time to answer."""

    def __init__(self, display: Display, names: Sequence[str]) -> None:
        self._display = display
        self._names = names
        self._began = time.monotonic()
        self._due = 0.0

    def __call__(self, region: Region, *, now: bool = False) -> None:
        if time.monotonic() < self._due and not now:
            return
        with contextlib.suppress(DsmError):
            pages = letters(region.who_has(), -(-region.size // region.page_size), self._names)
            self._display.draw(pages, f"{time.monotonic() - self._began:5.1f} s", self._names)
        self._due = time.monotonic() + self._display.interval


class Plain:
    """A few pictures below each other, fewer and fewer."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.interval = _PLAIN_SECONDS / 2
        self._write = write

    def draw(self, pages: str, title: str, names: Sequence[str]) -> None:
        self.interval *= 2
        rows = "".join(f"    {row}\n" for row in fold(pages, PLAIN_ROWS_MAX))
        self._write(f"{title}   {legend(names)}\n{rows}")


class Live:
    """One picture in one place of a terminal."""

    interval = _LIVE_SECONDS

    def __init__(self, show: Callable[[Text], object]) -> None:
        self._show = show

    def draw(self, pages: str, title: str, names: Sequence[str]) -> None:
        from rich.text import Text

        text = Text(f"{title}   {legend(names)}\n")
        for row in fold(pages, LIVE_ROWS_MAX):
            text.append("    ")
            for letter, same in groupby(row):
                text.append("".join(same), style=_style(letter))
            text.append("\n")
        self._show(text)


def _style(letter: str) -> str:
    owner = _LETTERS.find(letter.upper())
    if owner < 0:
        return "dim"
    colour = COLOURS[owner % len(COLOURS)]
    return f"bold {colour}" if letter.isupper() else colour


def node_names(client: Client) -> list[str]:
    """The names of the cluster's nodes, sorted."""
    return sorted(member["name"] for member in client.status()["members"])


def legend(names: Sequence[str]) -> str:
    """What the characters mean, in a line."""
    owners = "  ".join(f"{_LETTERS[number % len(_LETTERS)]}={name}" for number, name in enumerate(names))
    return f"{owners}  small=copies elsewhere  .=untouched"


@contextmanager
def display() -> Iterator[Display]:
    """The display that fits standard output."""
    if not sys.stdout.isatty():
        yield Plain(lambda text: print(text, flush=True))
        return
    from rich.live import Live as Screen

    with Screen(auto_refresh=False) as screen:
        yield Live(lambda text: screen.update(text, refresh=True))
