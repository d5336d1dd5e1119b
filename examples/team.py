"""What the examples have in common: a process on each node of a cluster, and a barrier between them.

    def work(member):                      # runs in each process
        grid = member.array("grid", (1000, 1000), "f8")
        ...
        member.barrier()

    results = run(work, nodes=3)           # what each returned

The barrier is itself a program on shared memory: every member has a word of its own, on a page of its own, in which it
counts its barriers, and waits until no other word is smaller. Memory is sequentially consistent, so whoever leaves the
barrier sees all that was stored before it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import secrets
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

import dsm

_PAGE = 4096
_POLL_SECONDS = 0.0005


class Member:
    """One process of the team. Members count from 0."""

    def __init__(self, client: dsm.Client, team: str, number: int, count: int) -> None:
        self.client = client
        self._team = team
        self.number = number
        self.count = count
        self._barriers = self.array("barriers", (count, _PAGE // 8), "i8", page_size=_PAGE)

    def array(self, name: str, shape: Any, dtype: Any, **options: Any) -> NDArray[Any]:
        """The shared array of this name. Whoever comes first makes it, of zeros; it goes with the team."""
        array: NDArray[Any] = self.client.array(f"{self._team}-{name}", shape, dtype, lifetime="creator", **options)
        return array

    def region(self, name: str, size: int) -> dsm.Region:
        """The shared region of this name, for scopes."""
        return self.client.open_or_create(f"{self._team}-{name}", size, page_size=_PAGE, lifetime="creator")

    def share(self, length: int) -> slice:
        """This member's part of so many rows."""
        return slice(length * self.number // self.count, length * (self.number + 1) // self.count)

    def barrier(self) -> None:
        """Wait until all members are here."""
        mine = self._barriers[self.number, 0] + 1
        self._barriers[self.number, 0] = mine
        while np.any(self._barriers[:, 0] < mine):
            time.sleep(_POLL_SECONDS)


def run(work: Callable[..., Any], *arguments: Any, nodes: int = 3) -> list[Any]:
    """Call `work(member, *arguments)` in a process on each node; return what each came to."""
    with ExitStack() as stack:
        sockets = os.environ.get("DSM_NODE", "").split(",")
        if sockets == [""]:
            cluster = stack.enter_context(dsm.LocalCluster(nodes))
            sockets = [cluster.socket(node) for node in range(nodes)]
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(len(sockets), context))
        team = secrets.token_hex(4)
        tasks = [(work, socket, team, number, len(sockets), arguments) for number, socket in enumerate(sockets)]
        return list(pool.map(_run_member, tasks))


def main(what: str | None, check: Callable[[int, int], bool], size: int) -> NoReturn:
    """Be the program: check it for the size and the nodes of the command line, and tell."""
    parser = argparse.ArgumentParser(description=what, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=size)
    parser.add_argument("--nodes", type=int, default=3)
    options = parser.parse_args()
    equal = check(options.size, options.nodes)
    print("equal to the result of one process" if equal else "DIFFERENT from the result of one process")
    sys.exit(not equal)


def _run_member(task: tuple[Callable[..., Any], str, str, int, int, tuple[Any, ...]]) -> Any:
    work, socket, team, number, count, arguments = task
    with dsm.connect(socket) as client:
        member = Member(client, team, number, count)
        member.barrier()  # so that nobody makes anew what a faster one has made, used and left
        result = work(member, *arguments)
        member.barrier()
        return result
