"""Ctrl-C and other signals in the middle of a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import dsm
from dsm.errors import NodeUnavailable
from tests.client.helpers import eventually


def test_ctrl_c_ends_a_wait_and_withdraws_it(client: dsm.Client, name: str) -> None:
    region, other = client.create(name, 4096), client.open(name)
    with region.write(0, 1):
        interrupt = threading.Thread(target=_interrupt_when, args=(lambda: client.stats()["waiting"] == 1,))
        interrupt.start()
        with pytest.raises(KeyboardInterrupt):
            other.write(0, 1).__enter__()
        interrupt.join(10)
        eventually(lambda: client.stats()["waiting"] == 0)
    with other.read(0, 1, timeout=0.1):
        pass


def test_ctrl_c_at_any_moment_leaves_the_client_usable(address: str, name: str) -> None:
    # In a process of its own: the interrupts are not to hit pytest. One at a time, which is what shield.py promises.
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, address, name], timeout=60, check=False)
    assert done.returncode == 0


INTERRUPTED = """
import dsm, os, random, signal, sys, threading, time

def handler(*_):
    taken.set()
    raise KeyboardInterrupt

def interrupt():
    while True:
        armed.wait()
        if stopping:
            return
        armed.clear()
        time.sleep(random.random() * 0.003)
        os.kill(os.getpid(), signal.SIGINT)

client = dsm.connect(sys.argv[1])
region = client.create(sys.argv[2], 4096)
with region.read(0, 8):
    pass  # an import that is interrupted is nobody's to mend
signal.signal(signal.SIGINT, handler)
armed, taken, stopping, interrupted = threading.Event(), threading.Event(), False, 0
thread = threading.Thread(target=interrupt)
thread.start()
taken.set()
deadline = time.monotonic() + 3
while time.monotonic() < deadline or not taken.is_set():
    try:
        while time.monotonic() < deadline or not taken.is_set():
            if taken.is_set():  # also if it hit a finalizer, of which Python tells and goes on
                taken.clear()
                armed.set()
            with region.write(0, 8, timeout=1) as view:
                view[0] = (view[0] + 1) % 256
            with region.read(0, 8, timeout=1) as view:
                pass
    except KeyboardInterrupt:
        interrupted += 1
stopping = True
armed.set()
thread.join()
with region.write(0, 8, timeout=1) as view:
    pass
assert interrupted > 20, interrupted
assert signal.getsignal(signal.SIGINT) is handler
client.close()
"""


def test_ctrl_c_at_every_step_of_a_scope_leaves_nothing_pinned(client: dsm.Client, name: str) -> None:
    region, other = client.create(name, 4096), client.open(name)
    with region.write(0, 1):
        pass  # what is imported at first use
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        step, ended, interrupted = 0, False, 0
        while not ended:
            step += 1
            try:
                ended = _interrupt_at(step, region)
            except KeyboardInterrupt:
                interrupted += 1
            with other.write(0, 1, timeout=1):
                pass
    finally:
        signal.signal(signal.SIGINT, previous)
    assert interrupted > 50


def _interrupt_at(step: int, region: dsm.Region) -> bool:
    """Interrupt a scope at this line of the library. True if it has not so many."""
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if "/dsm/client/" not in frame.f_code.co_filename or frame.f_code.co_name == "__del__":
            return None  # of an interrupt in a finalizer Python only tells
        if event in ("call", "line", "return"):
            left -= 1
            if left == 0:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with region.write(0, 1, timeout=1):
            pass
    finally:
        sys.settrace(before)
    return left > 0


def test_a_call_from_a_signal_handler_within_a_call_is_an_error_not_a_hang(client: dsm.Client, name: str) -> None:
    region, other = client.create(name, 4096), client.open(name)
    raised: list[BaseException] = []

    def handler(*_: object) -> None:
        try:
            client.status()
        except NodeUnavailable as error:
            raised.append(error)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        with region.write(0, 1):
            sender = threading.Thread(
                target=_interrupt_when, args=(lambda: client.stats()["waiting"] == 1, signal.SIGUSR1)
            )
            sender.start()
            with pytest.raises(TimeoutError):
                other.write(0, 1, timeout=0.5).__enter__()
            sender.join(10)
    finally:
        signal.signal(signal.SIGUSR1, previous)
    # Whether the main thread led is up to the scheduler: either an answer or the error, and never a wait without end.
    assert all("signal handler" in str(error) for error in raised)


def _interrupt_when(ready: Callable[[], bool], number: int = signal.SIGINT) -> None:
    eventually(ready)
    time.sleep(0.02)  # into the wait, most likely; the outcome does not depend on it
    os.kill(os.getpid(), number)
