"""What several tests of the client use."""

from __future__ import annotations

import faulthandler
import os
import time
from collections.abc import Callable

DEADLINE = 10.0


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, and fail if it never does."""
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)


def in_child(action: Callable[[], object]) -> int:
    """Fork, run this in the child, and return how it ended: 0, the status, or minus the signal that killed it."""
    child = os.fork()
    if child == 0:
        status = 1
        faulthandler.disable()  # of a death that is expected
        try:
            status = 0 if action() in (None, True) else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + DEADLINE
    while True:
        done, how = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(how)
        if time.monotonic() > deadline:
            os.kill(child, 9)
            os.waitpid(child, 0)
            raise AssertionError("the child hangs")
        time.sleep(0.005)
