"""Histories as one writes them on a board.

Wa1      write 1 to word a            Ra0      read 0 from a             F       a fence
Aa5@2    add 5 to a, found 2          Ca2>7@2  swap 2 for 7 in a, found 2
?        after any of them: the outcome is unknown (and what it found is left away)
"""

from __future__ import annotations

import re

from dsm.verify import History, Kind, Operation, Word

_FORM = re.compile(r"([WRAC])([a-z])(-?\d+)?(?:>(\d+))?(?:@(\d+))?(\?)?")
_KINDS = {"W": Kind.WRITE, "R": Kind.READ, "A": Kind.FETCH_ADD, "C": Kind.COMPARE_AND_SWAP}


def word(letter: str) -> Word:
    """Neighbours in the alphabet are on different pages; a and i on one."""
    place = ord(letter) - ord("a")
    return Word(1, place % 8, place // 8 * 8)


def parse(text: str, process: int, invoked: int = 0, returned: int = 0) -> Operation:
    """One operation."""
    if text == "F":
        return Operation(process, Kind.FENCE)
    match = _FORM.fullmatch(text)
    assert match is not None, text
    letter, name, first, swapped, found, doubt = match.groups()
    kind = _KINDS[letter]
    seen = first if kind is Kind.READ else found
    value = swapped if kind is Kind.COMPARE_AND_SWAP else first
    return Operation(
        process,
        kind,
        word(name),
        seen=None if seen is None else int(seen),
        value=None if kind is Kind.READ else int(value),
        expected=int(first) if kind is Kind.COMPARE_AND_SWAP else None,
        invoked=invoked,
        returned=None if doubt else returned,
    )


def processes(*programs: str, hosts: tuple[int, ...] = ()) -> History:
    """What each process did, without times: `processes("Wa1 Rb0", "Wb1 Ra0")`."""
    operations = [parse(text, number) for number, program in enumerate(programs) for text in program.split()]
    return History.of(operations, dict(enumerate(hosts)))


def timed(*rows: str) -> History:
    """A history with times, a row for each operation: `timed("0: Wa1 10-20", "1: Ra0 15-30")`."""
    operations = []
    for row in rows:
        process, text, span = row.replace(":", "").split()
        invoked, returned = map(int, span.split("-"))
        operations.append(parse(text, int(process), invoked, returned))
    return History.of(operations)
