"""Where the shipped daemons touch what is not simulated, and what they find there during a run.

Everything else runs as it is: regions, scopes, budget, attachments, the node's session with its reconnecting, page
streams down to their frames, the directory's sessions and tables, the gRPC services of both, and all that is encoded in
between. Left out are the Unix socket, gRPC itself, the kernel, and the processes of the daemons.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import dsm.directory.state
import dsm.node.fallback
import dsm.node.link
import dsm.node.node
import dsm.node.region
import dsm.node.requests
import dsm.node.session
import dsm.node.stream
import dsm.wire.calls
import dsm.wire.rpc
from tests.sim import pipes
from tests.sim.clock import loop
from tests.sim.machine import Segment


def userfault(descriptor: int, base: int, length: int) -> Any:
    """In the place of dsm.memory.faults.FaultSource."""
    return loop().file(descriptor)


@contextmanager
def placed(network: Any, region: type) -> Iterator[None]:
    """Put the simulation in the place of the outer world. `network` makes calls and connections."""
    places: list[tuple[ModuleType, str, object]] = [
        (dsm.wire.rpc, "channel", network.channel),
        (dsm.wire.rpc, "open_session", network.open_session),
        (dsm.wire.calls, "directory_stub", network.directory_stub),
        (dsm.wire.calls, "node_stub", network.node_stub),
        (dsm.node.stream, "_connect", network.connect),
        (dsm.node.stream, "os", SimpleNamespace(pread=pipes.pread)),
        (dsm.node.link, "os", SimpleNamespace(sendfile=pipes.sendfile)),
        (dsm.node.region, "Segment", Segment),
        (dsm.node.node, "Region", region),
        (dsm.node.requests, "FaultSource", userfault),
        (dsm.node.session, "random", network.random),
        (dsm.node.node, "time", SimpleNamespace(monotonic=loop_time)),
        (dsm.directory.state, "time", SimpleNamespace(monotonic=loop_time, time=loop_time)),
    ]
    with ExitStack() as stack:
        for module, name, stand_in in places:
            stack.enter_context(mock.patch.object(module, name, stand_in))
        yield


def loop_time() -> float:
    return loop().time()
