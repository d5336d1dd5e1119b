"""A node daemon whose session another one took, while it sends pages: what it holds is void from then on."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

import pytest

import dsm
from dsm.wire import rpc
from dsm.wire.session import Hello, encode_hello
from tests.processes import eventually

PAGE = 64 << 10
PAGES = 512


async def take_session(directory: str, name: str) -> None:
    """Join under the name of a node that has joined already; its session is over then."""
    async with rpc.channel(directory) as channel:
        session = rpc.open_session(channel)
        await session.write(encode_hello(Hello(name, "127.0.0.1:1", "127.0.0.1:1")))
        assert await session.read() is not rpc.EOF
        session.cancel()


def stopped(pid: int) -> bool:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "T"


@pytest.mark.needs("userfaultfd")
async def test_a_supplier_that_lost_its_session_sends_neither_zeros_nor_torn_pages() -> None:
    """The receiver is stopped with bytes under way to it; meanwhile the supplier's session ends and its pages go."""
    with dsm.LocalCluster(nodes=2) as cluster, cluster.connect(0) as one, cluster.connect(1) as two:
        source = one.create("r", size=PAGES * PAGE, page_size=PAGE)
        source.ndarray()[:] = 0xAB
        target = two.open("r")
        asking = threading.Thread(target=_prefetch, args=(target,))
        asking.start()
        eventually(lambda: target.stats()["pages_in"] > 0, "the first pages are there")
        receiver = cluster.nodes[1].pid
        assert receiver is not None
        os.kill(receiver, signal.SIGSTOP)
        try:
            eventually(lambda: stopped(receiver), "the receiver is stopped")
            before = one.status()["epoch"]
            await take_session(cluster.directory_address, "node-0")
            eventually(lambda: one.status()["joined"] and one.status()["epoch"] > before, "the supplier joined again")
        finally:
            os.kill(receiver, signal.SIGCONT)
        asking.join()
        for page in range(PAGES):
            try:
                with target.read(page * PAGE, PAGE, timeout=10) as view:
                    assert bytes(view) == b"\xab" * PAGE, f"page {page}"
            except dsm.PageLost:
                continue


def _prefetch(region: dsm.Region) -> None:
    with suppress(dsm.PageLost, dsm.DeadlineExceeded):  # it is a race whether all of them had come
        region.prefetch(timeout=20)
