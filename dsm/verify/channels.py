"""What one process has said and another heard: a session is first in, first out, and loses nothing but its end.

The order is that of all messages of a session, over all pages. So a message that was dropped shows as soon as any later
one of the session was heard, also if its own page has been silent since.

No clocks: only the order within each trace counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dsm.core.types import RegionId
from dsm.trace.records import RegionBegan, RegionEnded
from dsm.verify.replay import Drift, Place, Replay, Said, Side, Transfer


@dataclass
class Tally:
    """What came of it."""

    matched: int = 0
    """Messages and transfers that were said and heard."""
    under_way: int = 0
    """Messages that were said, and not heard before the session or the trace of the hearer ended."""
    beyond: int = 0
    """Heard, and said by a process whose trace was cut short or is missing; if by anybody."""
    drifts: list[Drift] = field(default_factory=list)


def match_messages(speaker: Side, listener: Side, tally: Tally) -> None:
    """Compare one direction of a session."""
    said, at = speaker.said, 0
    knows = None if listener.knows is None else set(listener.knows)
    for heard in listener.heard:
        if not isinstance(heard, Said):
            _follow(knows, heard)
            continue
        while at < len(said) and not _same(said[at], heard) and _ignored(said[at], knows):
            at += 1
        if at < len(said) and _same(said[at], heard):
            at += 1
            tally.matched += 1
        elif at == len(said) and not speaker.replay.ended:
            tally.beyond += 1
        else:
            tally.drifts.append(_astray(speaker, listener, at, heard))
            return
    tally.under_way += len(said) - at


def _follow(knows: set[RegionId] | None, change: RegionBegan | RegionEnded) -> None:
    if knows is not None and isinstance(change, RegionBegan):
        knows.add(change.region)
    elif knows is not None:
        knows.discard(change.region)


def _ignored(said: Said, knows: set[RegionId] | None) -> bool:
    """Whether it was said before its speaker knew that the region is gone."""
    return knows is not None and said.place.region not in knows


def _same(said: Said, heard: Said) -> bool:
    return said.place == heard.place and said.message == heard.message


def _astray(speaker: Side, listener: Side, at: int, heard: Said) -> Drift:
    """Say what is wrong with a message that is not the next that was said."""
    name = speaker.replay.name
    later = any(_same(said, heard) for said in speaker.said[at:])
    before = any(_same(said, heard) for said in speaker.said[:at])
    if later:
        missing = speaker.said[at]
        what = f"{missing.message} of {name} was not heard before {heard.message} about {heard.place}"
        return _drift("dropped or overtaken", speaker, listener, missing, heard, missing.place, what)
    last = speaker.said[at] if at < len(speaker.said) else None
    following = f"; next it said {last.message} about {last.place}" if last else ""
    rule, how = ("heard twice", "said once") if before else ("invented", "never said")
    what = f"{heard.message} was heard, and {how} by {name}{following}"
    return _drift(rule, speaker, listener, last, heard, heard.place, what)


def _drift(rule: str, speaker: Side, listener: Side, said: Said | None, heard: Said, place: Place, what: str) -> Drift:
    until = speaker.replay.steps if said is None else said.step
    story = (*speaker.replay.told(place, until), *listener.replay.told(place, heard.step))
    return Drift(rule, listener.replay.name, place, what, story)


def match_transfers(replays: Iterable[Replay], complete: bool, tally: Tally) -> None:
    """Compare bytes sent and received. `complete`: there is a whole trace of everybody who may have sent some."""
    replays = list(replays)
    supplied: Counter[Transfer] = Counter()
    for replay in replays:
        supplied.update(replay.supplied)
    for replay in replays:
        for transfer, steps in replay.received.items():
            surplus = len(steps) - supplied[transfer]
            tally.matched += min(len(steps), supplied[transfer])
            if surplus > 0 and not complete:
                tally.beyond += surplus
            elif surplus > 0:
                tally.drifts.append(_surplus(replay, replays, transfer, steps, supplied[transfer]))


def _surplus(replay: Replay, replays: list[Replay], transfer: Transfer, steps: list[int], supplied: int) -> Drift:
    what = f"{transfer.data} was received {len(steps)} times and supplied {supplied} times"
    story = replay.told(transfer.place, steps[-1])
    for other in _suppliers(replays, transfer):
        story = (*other.told(transfer.place, other.steps), *story)
    return Drift("invented bytes", replay.name, transfer.place, what, story)


def _suppliers(replays: list[Replay], transfer: Transfer) -> Iterator[Replay]:
    return (replay for replay in replays if transfer in replay.supplied)
