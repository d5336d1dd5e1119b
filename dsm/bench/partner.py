"""A process that works on pages when it is told to: the other side of what is measured.

It is a client of a node of its own choice. It asks the directory for its counters too, since the process that measures
shall have no threads of gRPC. What it is to do comes as lines of JSON on standard input, and each is answered by one on
standard output. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from dsm.errors import DeadlineExceeded, DsmError, Unavailable
from dsm.limits import BENCH_STEP_SECONDS
from dsm.wire.local import error_from_map, error_to_map

if TYPE_CHECKING:
    from dsm.client.sync import Client, Region


class Partner:
    """The process, seen from outside. A context manager."""

    def __init__(self, socket: str, directory: str) -> None:
        self._command = [sys.executable, "-m", "dsm.bench.partner", socket, directory]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_: object) -> None:
        # Leaving the process closes its pipes, of which one may still have what it did not read, and waits for it.
        with contextlib.suppress(BrokenPipeError), self._process:
            self._process.kill()

    def fill(self, region: str) -> None:
        """Write every byte, so that its node owns every page."""
        self._call("fill", region)

    def write(self, region: str, page: int) -> None:
        """Write one word of a page."""
        self._call("write", region, page)

    def close(self, region: str) -> None:
        self._call("close", region)

    def counters(self) -> dict[str, int]:
        """What the directory has counted so far: page messages, by direction and name."""
        counters = self._call("counters")
        assert isinstance(counters, dict), "so does Hands.counters"
        return counters

    def _call(self, action: str, *arguments: object) -> object:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None, "both are pipes"
        with contextlib.suppress(BrokenPipeError):  # if it has ended, it answers nothing
            stdin.write(json.dumps([action, *arguments]).encode() + b"\n")
            stdin.flush()
        if not select.select([stdout], [], [], BENCH_STEP_SECONDS)[0]:
            raise DeadlineExceeded(f"{action} took the partner process more than {BENCH_STEP_SECONDS:.0f} s")
        line = stdout.readline()
        if not line:
            raise Unavailable(f"the partner process ended at {action}")
        answer = json.loads(line)
        if "error" in answer:
            raise error_from_map(answer["error"])
        return answer["ok"]


class Hands:
    """What the process can do."""

    def __init__(self, client: Client, directory: str) -> None:
        self._client = client
        self._directory = directory
        self._regions: dict[str, Region] = {}

    def fill(self, name: str) -> None:
        region = self._region(name)
        region.prefetch(write=True)
        region.ndarray(dtype="u1")[:] = 1

    def write(self, name: str, page: int) -> None:
        region = self._region(name)
        region.ndarray(1, "u1", page * region.page_size)[0] = 1

    def close(self, name: str) -> None:
        self._regions.pop(name).close()

    def counters(self) -> dict[str, int]:
        from dsm.wire.calls import DirectoryCalls
        from dsm.wire.rpc import channel

        async def ask() -> dict[str, int]:
            async with channel(self._directory) as to:
                return (await DirectoryCalls(to).status()).counters

        return asyncio.run(ask())

    def _region(self, name: str) -> Region:
        if name not in self._regions:
            self._regions[name] = self._client.open(name)
        return self._regions[name]


def serve(socket: str, directory: str) -> None:
    """Do what comes in, line by line, until nothing does."""
    from dsm.client import connect

    hands = Hands(connect(socket), directory)
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        try:
            answer = {"ok": getattr(hands, action)(*arguments)}
        except DsmError as error:
            answer = {"error": error_to_map(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
