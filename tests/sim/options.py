"""What a seed's run is like. Each feature is on in some runs and off in others (swarm testing, Groce et al., ISSTA
2012): a run with everything on hides what only a run without some of it would reach."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields

PLENTY = 1 << 30
OS_PAGE = 4096


@dataclass(frozen=True)
class Options:
    nodes: int
    processes: int
    """On each node."""
    regions: int
    pages: int
    """Of a region."""
    page_size: int
    hold: float
    limit: int
    """Pages that a node may have; PLENTY: no limit."""
    operations: int
    """Of each process."""
    pause: float
    """Mean seconds between them."""
    delay: float
    """Mean seconds that a message takes."""
    tail: float
    """Share of the messages that take ten times as long."""
    buffer: int
    """Bytes that a page stream's connection takes before its writer has to wait."""
    stores: float
    """Share of writes among loads, stores and scopes."""
    hot: bool
    """Most accesses go to one page."""
    plain: bool
    scopes: bool
    nested: bool
    dawdles: bool
    """Some processes stay in a scope for long."""
    scans: bool
    prefetches: bool
    reattaches: bool
    temporary: bool
    """Regions come and go."""
    blind: bool
    """Some processes have no userfaultfd."""
    kills: bool
    cancels: bool
    deadlines: bool
    """Some scopes wait for only a moment."""
    refusals: bool
    """Some connections of the page stream cannot be made."""
    lost_calls: bool
    breaks: int
    """Page streams that break."""
    stalls: int
    """Page streams on which nothing comes through for seconds."""
    ends: int
    """Sessions that end."""

    def __str__(self) -> str:
        said = [(field.name, getattr(self, field.name)) for field in fields(self)]
        return ", ".join(f"{name}={value}" for name, value in said if value is not False)


def draw(seed: int) -> tuple[Options, random.Random]:
    """Return what the run of this seed is like, and where the rest of its draws come from."""
    rng = random.Random(seed)
    many_pages = rng.random() < 0.3
    limit = rng.choice((PLENTY, PLENTY, 2, 3, 4))
    options = Options(
        nodes=rng.choice((2, 2, 3, 3, 4)),
        processes=rng.choice((1, 2, 2, 3)),
        regions=rng.choice((1, 1, 2)),
        pages=rng.randint(10, 24) if many_pages else rng.randint(1, 5),
        page_size=rng.choice((OS_PAGE, OS_PAGE, 2 * OS_PAGE)),
        # Without a hold time, a node at its limit may evict a page before the process that waited for it has woken up.
        hold=rng.choice((0.0 if limit == PLENTY else 0.001, 0.001, 0.001, 0.01)),
        limit=limit,
        operations=rng.randint(4, 16),
        pause=rng.choice((0.0, 0.0005, 0.003)),
        delay=rng.choice((0.0001, 0.0005, 0.002)),
        tail=rng.choice((0.0, 0.05, 0.3)),
        buffer=rng.choice((1 << 20, 6000, 2500)),
        stores=rng.choice((0.2, 0.5, 0.8)),
        hot=rng.random() < 0.5,
        plain=rng.random() < 0.8,
        scopes=rng.random() < 0.7,
        nested=rng.random() < 0.4,
        dawdles=rng.random() < 0.3,
        scans=rng.random() < 0.4,
        prefetches=rng.random() < 0.4,
        reattaches=rng.random() < 0.3,
        temporary=rng.random() < 0.3,
        blind=rng.random() < 0.3,
        kills=rng.random() < 0.3,
        cancels=rng.random() < 0.3,
        deadlines=rng.random() < 0.3,
        refusals=rng.random() < 0.2,
        lost_calls=rng.random() < 0.1,
        breaks=rng.choice((0, 0, 1, 3)),
        stalls=rng.choice((0, 0, 0, 1)),
        ends=rng.choice((0, 0, 1, 1, 2, 3)),
    )
    return options, rng
