"""Three hosts, a node daemon on each, the directory on a fourth; clients on all three share memory, bit for bit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.hosts.harness import Hosts

NODES = (0, 1, 2)
DIRECTORY = 3
DIRECTORY_PORT = 4711
PROGRAM_TIMEOUT = 60.0

pytestmark = pytest.mark.needs("root", "namespaces", "userfaultfd")

Run = Callable[..., None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run one of the programs on some of the hosts at the same time."""
    path = tmp_path_factory.mktemp("hosts")
    with Hosts(len(NODES) + 1) as hosts:
        _start_daemons(hosts, path)

        def run(program: str, on: Sequence[int] = NODES) -> None:
            command = (sys.executable, "-m", "tests.hosts.programs", program)
            commands = {host: (*command, str(_socket(path, host)), str(host)) for host in on}
            try:
                hosts.run_on_all(commands, PROGRAM_TIMEOUT, path / "programs.log")
            except AssertionError as error:
                pytest.fail("\n".join([str(error), *(f"{log}:\n{log.read_text()}" for log in path.glob("node-*.log"))]))

        run("make", on=[0])
        yield run


def test_what_each_host_writes_all_hosts_read(run: Run) -> None:
    run("fill")
    run("check")


def test_no_increment_in_a_scope_is_lost_between_hosts(run: Run) -> None:
    run("count")
    run("total")


def test_a_page_written_by_plain_stores_passes_from_host_to_host(run: Run) -> None:
    run("take_turns")


def _start_daemons(hosts: Hosts, path: Path) -> None:
    dsm = (sys.executable, "-m", "dsm")
    directory = f"{hosts.address(DIRECTORY)}:{DIRECTORY_PORT}"
    store = str(path / "directory.sqlite")
    hosts.start_daemon(
        DIRECTORY, *dsm, "directory", "--listen", directory, "--store", store, log=path / "directory.log"
    )
    for host in NODES:
        options = ("--name", f"host-{host}", "--directory", directory)
        here = ("--listen", f"{hosts.address(host)}:0", "--socket", str(_socket(path, host)))
        ready = hosts.start_daemon(host, *dsm, "node", *options, *here, log=path / f"node-{host}.log")
        assert ready["ready"] == "node"


def _socket(path: Path, host: int) -> Path:
    return path / f"node-{host}.sock"
