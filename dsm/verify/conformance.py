"""Did running daemons do what `dsm.core` says? Their traces (`dsm.trace`), replayed and compared.

1. Within a process: the recorded inputs of each page, taken through the core again from its first record, give exactly
   the recorded effects (`replay`); and every page is told when a session ends.
2. Between processes: what one said, another heard, in order and once; bytes that came had been sent (`channels`).
3. Over all of them: a version of a page is written in one session only, at the nodes and for home. More of the single
   writer law there is not to be seen without clocks; given 1 and 2 it is the core's, which is explored exhaustively.

    report = check_conformance(traces("/tmp/traces"))
    print(report)

The trace of a process that was killed may lack the last that it did. What others have heard of it beyond that is
counted, not judged; where that is more than what could be compared, or a process of some session has left no trace at
all, the verdict is "incomplete", which is not good.

Caveat: a trace has the effects that the core gave, not what the kernel was asked to do for them. Whether a process's
mapping, or the bytes of a page, are as an effect wants them, histories show (`dsm stress`, `dsm litmus`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from dsm.limits import CHECK_FINDINGS_MAX
from dsm.trace.records import Record
from dsm.verify.channels import Tally, match_messages, match_transfers
from dsm.verify.replay import Drift, HomeReplay, NodeReplay, Replay, SessionKey, Side, Written, replayed


@dataclass
class Conformance:
    """What came of it."""

    processes: int = 0
    pages: int = 0
    steps: int = 0
    sessions: int = 0
    one_sided: int = 0
    """Sessions of which only one process has a trace, and in which it said or heard anything."""
    matched: int = 0
    under_way: int = 0
    beyond: int = 0
    cut_short: list[str] = field(default_factory=list)
    """Traces without an end: their processes were killed, or still run."""
    drifts: list[Drift] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.drifts:
            return "drift"
        if not self.steps:
            return "nothing was recorded"
        if not self.matched:
            return "nothing was compared"
        return "incomplete" if self.one_sided or self.beyond > self.matched else "ok"

    @property
    def ok(self) -> bool:
        return self.verdict == "ok"

    def as_map(self) -> dict[str, object]:
        """For JSON. The later parts of a long list of drifts are left out, their number is not."""
        return {
            "verdict": self.verdict,
            "processes": self.processes,
            "pages": self.pages,
            "steps": self.steps,
            "sessions": self.sessions,
            "one_sided": self.one_sided,
            "matched": self.matched,
            "under_way": self.under_way,
            "beyond": self.beyond,
            "cut_short": self.cut_short,
            "drifts": len(self.drifts),
            "found": [str(drift) for drift in self.drifts[:CHECK_FINDINGS_MAX]],
        }


def check_conformance(traces: Iterable[tuple[str, Iterator[Record]]]) -> Conformance:
    """Judge the traces of all processes of a cluster, each under its name."""
    found = [(name, replayed(name, records)) for name, records in traces]
    replays = [replay for _, replay in found if replay is not None]
    sessions = _sessions(replays)
    report = Conformance(
        processes=len(found),
        pages=len({place for replay in replays for place in replay.story}),
        steps=sum(replay.steps for replay in replays),
        sessions=len(sessions),
        one_sided=sum(len(sides) == 1 and sides[0].busy for sides in sessions.values()),
        cut_short=[name for name, replay in found if replay is None or not replay.ended],
        drifts=[drift for replay in replays for drift in replay.drifts],
    )
    tally = _compared(replays, sessions, report)
    report.matched, report.under_way, report.beyond = tally.matched, tally.under_way, tally.beyond
    report.drifts += [*tally.drifts, *_second_writers(replays)]
    return report


def _sessions(replays: list[Replay]) -> dict[SessionKey, list[Side]]:
    """The sides of each session, home's first."""
    sessions: dict[SessionKey, list[Side]] = {}
    for replay in sorted(replays, key=lambda replay: not isinstance(replay, HomeReplay)):
        for key, side in replay.sides.items():
            sessions.setdefault(key, []).append(side)
    return sessions


def _compared(replays: list[Replay], sessions: dict[SessionKey, list[Side]], report: Conformance) -> Tally:
    tally = Tally()
    for sides in sessions.values():
        if len(sides) == 2:
            home, node = sides
            match_messages(node, home, tally)
            match_messages(home, node, tally)
    nodes = [replay for replay in replays if isinstance(replay, NodeReplay)]
    complete = not report.one_sided and all(node.ended for node in nodes)
    match_transfers(nodes, complete, tally)
    return tally


def _second_writers(replays: list[Replay]) -> Iterator[Drift]:
    """Yield who came to write a version that another session has written."""
    first: dict[Written, tuple[int, Replay]] = {}
    for replay in replays:
        for written, epoch in replay.written.items():
            other_epoch, other = first.setdefault(written, (epoch, replay))
            if other_epoch != epoch:
                what = f"version {written.version} is written in epoch {epoch}, and in {other_epoch} says {other.name}"
                story = (*other.told(written.place, other.steps), *replay.told(written.place, replay.steps))
                yield Drift("single writer", replay.name, written.place, what, story)
