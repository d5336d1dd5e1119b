"""Hosts made of network namespaces, on one machine.

    with Hosts(3) as hosts:
        hosts.start(0, "python", "-m", "http.server", "--bind", hosts.address(0))
        hosts.start(1, "curl", hosts.address(0))

Each host is a namespace with an `eth0` of its own; their other ends meet on a bridge in one more namespace, the switch,
so nothing of it is seen in the machine's own network, and no address can be taken there. The hosts share the machine's
files and processes: they are apart on the network only. Names carry the process id of their maker; what a killed
maker has left is removed by the next one.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

ROOT = Path(__file__).parent.parent.parent
STOP_TIMEOUT = 10.0
READY_TIMEOUT = 30.0
PREFIX = "dsm-test"


class Hosts:
    """`count` hosts that reach each other, until the end of the `with` block."""

    def __init__(self, count: int) -> None:
        self.names = [f"{PREFIX}-{os.getpid()}-{index}" for index in range(count)]
        self._switch = f"{PREFIX}-{os.getpid()}-switch"
        self._running: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        _remove_leftovers()
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stop_all()
        finally:
            self._remove()

    def address(self, host: int) -> str:
        """The IPv4 address of a host, on a network that only the hosts know."""
        return f"10.213.0.{host + 1}"

    def start(self, host: int, *command: str, log: Path | None = None) -> subprocess.Popen[str]:
        """Run a command on a host; its output can be read from the pipe `stdout`, its errors go to `log`."""
        errors: IO[str] | None = log.open("a") if log else None
        with errors or contextlib.nullcontext():
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.names[host], *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
            )
        self._running.append(process)
        return process

    def start_daemon(self, host: int, *command: str, log: Path) -> dict[str, object]:
        """Start a daemon that says in one line of JSON that it is ready; give what it says."""
        process = self.start(host, *command, log=log)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], READY_TIMEOUT)
        line = process.stdout.readline() if readable else ""
        assert line, f"{' '.join(command)} is not ready after {READY_TIMEOUT} s:\n{log.read_text()}"
        ready = json.loads(line)
        assert isinstance(ready, dict)
        return ready

    def run_on_all(self, commands: Mapping[int, Sequence[str]], timeout: float, log: Path) -> dict[int, str]:
        """Run one command on each of the hosts at the same time; give their outputs once all have ended well."""
        deadline = time.monotonic() + timeout
        started = {host: self.start(host, *command, log=log) for host, command in commands.items()}
        outputs = {}
        for host, process in started.items():
            try:
                outputs[host], _ = process.communicate(timeout=max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired as error:
                raise AssertionError(f"host {host} is not done after {timeout} s:\n{log.read_text()}") from error
            assert process.returncode == 0, f"host {host} ended with {process.returncode}:\n{log.read_text()}"
        return outputs

    def _make(self) -> None:
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge", "up")
        for host, name in enumerate(self.names):
            port = f"port{host}"
            _ip("netns", "add", name)
            _ip("-n", self._switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
            _ip("-n", self._switch, "link", "set", port, "master", "bridge", "up")
            _ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def _stop_all(self) -> None:
        for process in reversed(self._running):
            _stop(process)

    def _remove(self) -> None:
        for name in [*self.names, self._switch]:
            _remove_host(name)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _remove_host(name: str) -> None:
    if not Path("/run/netns", name).exists():
        return
    for pid in _ip("netns", "pids", name).split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    _ip("netns", "delete", name)


def _remove_leftovers() -> None:
    for path in Path("/run/netns").glob(f"{PREFIX}-*"):
        maker = path.name.split("-")[2]
        if not Path("/proc", maker).exists():
            _remove_host(path.name)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout
