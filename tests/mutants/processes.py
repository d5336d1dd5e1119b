"""Faults in daemons that really run, each to be caught by what is meant to catch it on a real cluster.

The other mutants run within the process of their check. Here the daemons of a cluster have the fault, and clients and
judges are as they were shipped (see launcher.py): `dsm litmus`, `dsm stress`, and `dsm check` of a live cluster.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass

from dsm.cluster import LocalCluster
from dsm.litmus.cells import NODES, everything
from dsm.litmus.crew import Crew
from dsm.litmus.verdict import Verdict
from dsm.live import examine
from dsm.stress.plan import Run
from dsm.stress.run import run_all
from tests.mutants.checks import Mutant

ROUNDS = 1000
SECONDS = 3.0
TIMEOUT_SECONDS = 40.0
PAGE_BYTES = 4096


class OnDaemons:
    """A check that starts daemons, which have the fault that is planted; it needs userfaultfd."""


@dataclass(frozen=True)
class Litmus(OnDaemons):
    """Some cells of `dsm litmus`."""

    cells: tuple[str, ...]

    def finds(self) -> str | None:
        wanted = [cell for cell in everything() if cell.name in self.cells]
        with LocalCluster(NODES) as cluster, cluster.connect(0, scoped_only=True) as client:
            sockets = [cluster.socket(node) for node in range(NODES)]
            with Crew(client, sockets, seed=1) as crew:
                for verdict in (crew.run(cell, ROUNDS) for cell in wanted):
                    if not verdict.ok:
                        return _told(verdict)
        return None


def _told(verdict: Verdict) -> str:
    alike = ", nearly all of a batch alike" if verdict.monotonous else ""
    worst = f"{verdict.forbidden} of {verdict.rounds} rounds forbidden"
    return f"{verdict.cell.name}: {worst}{alike}, {len(verdict.rare)} outcomes too rare"


@dataclass(frozen=True)
class Stress(OnDaemons):
    """Some seconds of `dsm stress`."""

    torn: bool = False

    def finds(self) -> str | None:
        with LocalCluster(2) as cluster:
            sockets = [cluster.socket(node) for node in (0, 1)]
            run = Run(f"mutant-{secrets.token_hex(4)}", 1, 4, 1, SECONDS, self.torn, TIMEOUT_SECONDS)
            report = run_all(run, sockets * 2)
        return None if report["verdict"] == "ok" else f"{report['verdict']}: {' '.join(report['found'][:1])}"


@dataclass(frozen=True)
class LiveCheck(OnDaemons):
    """`dsm check`, after one node has written pages and another has read them."""

    def finds(self) -> str | None:
        with (
            LocalCluster(2) as cluster,
            cluster.connect(0, scoped_only=True) as one,
            cluster.connect(1, scoped_only=True) as other,
            one.create("grid", size=4 * PAGE_BYTES, page_size=PAGE_BYTES) as region,
            other.open("grid") as same,
        ):
            with region.write() as view:
                view[0] = 1
            with same.read():
                pass
            findings = asyncio.run(examine(cluster.directory_address, [], SECONDS))
        if findings.verdict == "ok":
            return None
        return f"{findings.verdict}: {' '.join(what for _, _, what in findings.violations[:1])}"


BOTH = ("SB/apart/page/plain", "MP/apart/pages/plain")
PROTECT = "                    attachment.protect(index)\n            case Retain"
CAME = "            self.stats.pages_in += 1\n"

MUTANTS = [
    Mutant(
        "processes of a node go on writing to a page that others read",
        "dsm.node.region",
        PROTECT,
        PROTECT.replace("attachment.protect(index)", "pass"),
        Litmus(BOTH),
        "rounds forbidden",
    ),
    Mutant(
        "processes of a node go on writing to a page that others read, under stress",
        "dsm.node.region",
        PROTECT,
        PROTECT.replace("attachment.protect(index)", "pass"),
        Stress(),
        "violation: (linearizable|sequential)",
    ),
    Mutant(
        "a page that a process may only read is mapped for writing",
        "dsm.memory.faults",
        "0 if writable else syscalls.CONTINUE_MODE_WP",
        "0",
        Litmus(BOTH),
        "rounds forbidden",
    ),
    Mutant(
        "a page comes without its last word",
        "dsm.node.region",
        CAME,
        "            self.segment.write(index * size + size - 8, bytes(8))\n" + CAME,
        Stress(torn=True),
        "violation: page",
    ),
    Mutant(
        "home forgets a reader, and a live cluster is asked",
        "dsm.core.home",
        "replace(page, sharers=page.sharers | {_node(transaction.opened_by)}, lost=False)",
        "replace(page, lost=False)",
        LiveCheck(),
        "broken: .*",
    ),
]
