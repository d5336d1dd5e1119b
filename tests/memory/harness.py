"""The test's end of a client process: gives orders, and answers its page faults as the node daemon would."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from dsm.memory.faults import Fault, FaultSource
from dsm.memory.segment import Segment

DEADLINE_SECONDS = 20.0
PAGE = 64 * 1024
NOBODY = 65534

_PROGRAM = Path(__file__).with_name("client_process.py")
_ROOT = _PROGRAM.parents[2]


class ClientProcess:
    def __init__(self, segment: Segment, user: int | None = None) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(DEADLINE_SECONDS)
        self.process = subprocess.Popen(
            [sys.executable, str(_PROGRAM), str(theirs.fileno()), *([] if user is None else [str(user)])],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )
        theirs.close()
        socket.send_fds(self._channel, [json.dumps(segment.size).encode()], [segment.fd])
        message, fds, _, _ = socket.recv_fds(self._channel, 4096, 1)
        hello = json.loads(message)
        self.mode = hello["mode"]
        self.source = FaultSource(fds[0], hello["base"], segment.size)

    def tell(self, name: str, *arguments: Any) -> None:
        """Give an order and do not wait: it may stop at a page fault."""
        self._channel.send(json.dumps([name, *arguments]).encode())

    def answer(self) -> Any:
        return json.loads(self._channel.recv(1 << 16))

    def call(self, name: str, *arguments: Any) -> Any:
        """Give an order that meets no page fault, or one that somebody else answers."""
        self.tell(name, *arguments)
        return self.answer()

    def fault(self) -> Fault:
        """The next page fault; there has to be exactly one."""
        (fault,) = wait_for_faults(self.source)
        return fault

    def is_stopped(self) -> bool:
        """True if an order is under way that has not been answered."""
        return not select.select([self._channel], [], [], 0)[0]

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._channel.close()
        self.source.close()


def put(segment: Segment, offset: int, data: bytes) -> None:
    """Make a whole page present that starts with these bytes: only what is in the memfd can be mapped."""
    segment.zero(offset, PAGE)
    segment.write(offset, data)


def wait_for_faults(source: FaultSource) -> list[Fault]:
    assert select.select([source.fileno()], [], [], DEADLINE_SECONDS)[0], "a page fault is reported"
    return source.read()


def descriptors() -> set[tuple[str, str]]:
    """The open descriptors of this process, each with what it refers to."""
    numbers = os.listdir("/proc/self/fd")
    # The descriptor by which the directory itself was listed is closed by now.
    return {(number, os.readlink(path)) for number in numbers if os.path.islink(path := f"/proc/self/fd/{number}")}
