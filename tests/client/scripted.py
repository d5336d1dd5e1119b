"""A daemon that greets like one and then does as a test says."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dsm.wire.local import FrameReader, encode

HELLO = {"protocol": 1, "version": "0.1.0", "node": "scripted"}
INFO = {
    "id": 1,
    "name": "x",
    "size": 4096,
    "page_size": 4096,
    "lifetime": "unlink",
    "hold": 0.0,
    "shape": None,
    "dtype": None,
    "creator": "scripted",
    "created_at": 0.0,
}

Script = Callable[[socket.socket, dict[str, Any]], None]


@contextlib.contextmanager
def scripted(script: Script, path: Path) -> Iterator[str]:
    """A daemon that greets like one and then does as the script says with each request."""
    address = str(path / "s")

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            reader = FrameReader()
            with contextlib.suppress(OSError):
                while data := connection.recv(1 << 16):
                    for message in reader.feed(data):
                        if message["op"] == "hello":
                            connection.sendall(encode({"id": message["id"], "ok": HELLO}))
                        else:
                            script(connection, message)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield address
    thread.join(10)
    os.unlink(address)


def answer(message: dict[str, Any], value: Any) -> bytes:
    return encode({"id": message["id"], "ok": value})
