"""The laws of the protocol, checked over one page: by the explorer in every state, and on a live cluster.

    single writer       where a node may write, no other node may even read      (SWMR, Primer section 2.3)
    latest value        every readable copy has the latest version               (data-value invariant, ibid.)
    one owner           at most one node is answerable for the bytes
    scope               a pinned page is there, and allows what it was pinned for
    agreement           with nothing under way, home knows the owner, its version, and a superset of the readers

A node whose Put is under way does not count as an owner beside its heir: it learns last who has taken over.
"""

from __future__ import annotations

from collections.abc import Mapping

from dsm.core.cache import CachePage
from dsm.core.home import HomePage
from dsm.core.types import NodeId, Pin, State


def always(caches: Mapping[NodeId, CachePage], latest: int) -> list[str]:
    """Return what is violated in any state at all. `latest` is the highest version granted so far."""
    broken = []
    readers = {node: page for node, page in caches.items() if page.state.readable}
    writers = [node for node, page in readers.items() if page.state is State.M]
    owners = [node for node, page in readers.items() if page.state.owner and page.putting is None]
    if writers and len(readers) > 1:
        broken.append(f"single writer: node {writers[0]} may write while {sorted(readers)} may read")
    if len(owners) > 1:
        broken.append(f"one owner: nodes {sorted(owners)} all own the page")
    for node, page in sorted(caches.items()):
        if page.pin is not Pin.NONE and not page.state.allows(page.pin is Pin.WRITE):
            broken.append(f"scope: node {node} lost the page while it was pinned for {page.pin.name}")
    for node, page in sorted(readers.items()):
        if page.version != latest:
            broken.append(f"latest value: node {node} may read version {page.version}, the latest is {latest}")
    return broken


def when_quiet(home: HomePage, caches: Mapping[NodeId, CachePage]) -> list[str]:
    """Return what is violated in a state with no message on its way and nobody waiting."""
    broken = always(caches, home.version)
    if home.transaction is not None or home.queue:
        broken.append(f"agreement: home waits for something that nobody will send: {home}")
    for node, page in sorted(caches.items()):
        if page.state.owner and home.owner != node:
            broken.append(f"agreement: node {node} owns the page, home thinks node {home.owner} does")
        if home.owner == node and not page.state.owner:
            broken.append(f"agreement: home thinks node {node} owns the page, which is {page.state.name} there")
        if page.state is State.S and node not in home.sharers:
            broken.append(f"agreement: home does not know that node {node} reads the page")
        if home.lost and page.state.readable:
            broken.append(f"agreement: home thinks the page is lost, node {node} may read it")
        if page.retained is not None:
            broken.append(f"agreement: node {node} still retains {page.retained}")
    return broken
