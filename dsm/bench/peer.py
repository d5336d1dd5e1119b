"""Redis, for comparison: a server of our own on the loopback interface, that keeps nothing on disk.

It ends with this process, however that ends: a shell starts it, waits for the end of its own standard input, and then
ends the server.

Without hiredis, redis-py parses replies in Python and is slower with large values; `Peer.description` says which it is.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dsm.errors import Unavailable
from dsm.limits import CONNECT_SECONDS

_SERVER_UNTIL_STDIN_ENDS = 'redis-server "$@" & read -r _; kill $!; wait $!'


def missing() -> str:
    """Why there is nothing to compare with, or "" if there is."""
    if shutil.which("redis-server") is None:
        return "redis-server was not found"
    if importlib.util.find_spec("redis") is None:
        return "the Python package redis is not installed"
    return ""


class Peer:
    """Two connections to one server, as two hosts would have."""

    def __init__(self, port: int) -> None:
        import redis
        from redis.utils import HIREDIS_AVAILABLE

        self._one: Any = redis.Redis(port=port)
        self._other: Any = redis.Redis(port=port)
        _await_answer(self._one)
        version = self._one.info("server")["redis_version"]
        parser = "hiredis" if HIREDIS_AVAILABLE else "its own parser"
        self.description = f"Redis {version}, redis-py {redis.__version__} with {parser}"

    def prepare(self, size: int) -> None:
        """Store a value of so many bytes."""
        self._values = {size: bytes(size)}
        self._one.set(f"value-{size}", bytes(size))

    def get(self, size: int) -> None:
        """Get the value of so many bytes."""
        value = self._other.get(f"value-{size}")
        assert len(value) == size, "prepare() comes first"

    def hand_over(self, size: int) -> None:
        """Set a value on one connection and get it on the other."""
        self._one.set(f"value-{size}", self._values[size])
        self.get(size)

    def close(self) -> None:
        self._one.close()
        self._other.close()


@contextmanager
def peer() -> Iterator[Peer | None]:
    """Run a server; None where there is none."""
    if missing():
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="dsm-bench-") as directory, _server(directory) as port:
        peer = Peer(port)
        try:
            yield peer
        finally:
            peer.close()


@contextmanager
def _server(directory: str) -> Iterator[int]:
    port = _free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    command = ["sh", "-c", _SERVER_UNTIL_STDIN_ENDS, "sh", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL):
        yield port


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _await_answer(client: Any) -> None:
    import redis

    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            client.ping()
        except redis.ConnectionError as error:
            if time.monotonic() > deadline:
                raise Unavailable(f"redis-server does not answer: {error}") from error
            time.sleep(0.02)
        else:
            return
