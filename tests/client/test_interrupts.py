"""Ctrl-C and other signals in the middle of a call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

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
    # In a process of its own: the interrupts are not to hit pytest.
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, address, name], timeout=60, check=False)
    assert done.returncode == 0


INTERRUPTED = """
import dsm, os, random, signal, sys, threading, time

def interrupt():
    while not stop.is_set():
        time.sleep(0.0005 + random.random() * 0.002)
        hits.append(1)
        os.kill(os.getpid(), signal.SIGINT)

client = dsm.connect(sys.argv[1])
region = client.create(sys.argv[2], 4096)
with region.read(0, 8):
    pass  # an import that is interrupted is nobody's to mend
stop, hits, interrupted = threading.Event(), [], 0
thread = threading.Thread(target=interrupt)
deadline = time.monotonic() + 3
while time.monotonic() < deadline:
    try:
        if not thread.is_alive():
            thread.start()
        while time.monotonic() < deadline:
            with region.write(0, 8, timeout=1) as view:
                view[0] = (view[0] + 1) % 256
            with region.read(0, 8, timeout=1) as view:
                pass
    except KeyboardInterrupt:
        interrupted += 1
while True:
    try:
        stop.set()
        thread.join()
        with region.write(0, 8, timeout=1) as view:
            pass
        break
    except KeyboardInterrupt:
        pass
assert interrupted > 20, interrupted
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
client.close()
"""


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
