"""A client process that does what a test tells it: `python -m tests.integration.actor SOCKET [scoped]`.

A test process must not touch shared memory by plain loads itself: a load that is never answered would stop it for good.
Orders and answers are lines of JSON. An order is Python, run in one namespace for the process's life; what it leaves in
`out` is the answer.
"""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import select
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Self

import numpy as np

import dsm

ANSWER_SECONDS = 20.0


class Failed(Exception):
    """What was ordered raised an exception there; its class by name, and its text."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class Ended(Exception):
    """The process ended instead of answering."""

    def __init__(self, status: int, errors: str) -> None:
        super().__init__(f"status {status}: {errors}")
        self.status = status
        self.errors = errors


class Actor:
    """The test's end of such a process. `client` is its client, `np` NumPy, `dsm` the package."""

    def __init__(self, socket: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.actor", socket, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._answers = b""

    @property
    def pid(self) -> int:
        return self.process.pid

    def run(self, order: str, **values: Any) -> Any:
        """Give an order and return its answer. `values` are names it may use."""
        self.tell(order, **values)
        return self.answer()

    def tell(self, order: str, **values: Any) -> None:
        """Give an order whose answer may be long in coming."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([order, values]).encode() + b"\n")
        self.process.stdin.flush()

    def answered(self, seconds: float = 0.0) -> bool:
        assert self.process.stdout is not None
        return bool(select.select([self.process.stdout], [], [], seconds)[0])

    def answer(self, seconds: float = ANSWER_SECONDS) -> Any:
        assert self.process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._answers:
            if not self.answered(deadline - time.monotonic()):
                raise TimeoutError(f"process {self.pid} does not answer")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                raise self._ended()
            self._answers += more
        line, _, self._answers = self._answers.partition(b"\n")
        kind, value = json.loads(line)
        if kind != "done":
            raise Failed(kind, value)
        return value

    def _ended(self) -> Ended:
        assert self.process.stderr is not None
        status = self.process.wait(ANSWER_SECONDS)
        return Ended(status, self.process.stderr.read().decode())

    def close(self) -> None:
        """Let it end by itself, and kill it if it does not."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self.process.wait(ANSWER_SECONDS)
        finally:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()


def serve(client: dsm.Client) -> None:
    """Carry out orders until there are no more."""
    names: dict[str, Any] = {"client": client, "np": np, "dsm": dsm, "os": os, "time": time, "ctypes": ctypes}
    for line in sys.stdin.buffer:
        order, values = json.loads(line)
        names |= values
        names.pop("out", None)
        try:
            exec(order, names)
            answer = ["done", names.get("out")]
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            answer = [type(error).__name__, str(error)]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    serve(dsm.connect(sys.argv[1], scoped_only="scoped" in sys.argv[2:]))
