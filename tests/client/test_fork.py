"""A forked child has its parent's regions at the same addresses, by attachments of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading

import pytest

import dsm
from dsm.errors import NodeUnavailable
from tests.client.conftest import Nodes
from tests.client.helpers import eventually, in_child

transparent = pytest.mark.needs("userfaultfd")


@transparent
def test_parent_and_child_see_each_others_stores(client: dsm.Client, name: str) -> None:
    array = client.create(name, "1MiB").ndarray(dtype="i8")
    array[0] = 1

    def child() -> None:
        assert array[0] == 1
        array[100_000] = 3  # on a page that nobody has touched before
        array[1] = 2
        eventually(lambda: array[2] == 4)

    def parent() -> None:
        eventually(lambda: array[1] == 2)
        assert array[100_000] == 3
        array[2] = 4

    thread = threading.Thread(target=parent)
    thread.start()
    assert in_child(child) == 0
    thread.join(10)


@transparent
def test_the_child_has_attachments_of_its_own(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    with dsm.connect(address) as client:
        region = client.create(name, 4096)
        array = region.ndarray()
        place = array.ctypes.data

        def child() -> None:
            assert array.ctypes.data == place
            assert (client.status()["clients"], client.status()["attachments"]) == (2, 2)
            assert region.stats()["calls"]["hello"] == 2
            with region.write(0, 1) as view:
                view[0] = 9

        assert in_child(child) == 0
        eventually(lambda: (client.status()["clients"], client.status()["attachments"]) == (1, 1))
        assert array[0] == 9


@transparent
def test_an_array_whose_region_and_client_are_gone_works_in_the_child(address: str, name: str) -> None:
    with dsm.connect(address) as client:
        array = client.create(name, "1MiB").ndarray(dtype="i8")

    def child() -> bool:
        array[:] = 5
        return int(array.sum()) == 5 * len(array)

    assert in_child(child) == 0
    assert array[77] == 5


@transparent
def test_a_region_without_a_name_is_there_in_the_child(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    region.unlink()
    array = region.ndarray()
    array[0] = 8
    assert in_child(lambda: array[0] == 8) == 0


@transparent
def test_a_region_to_read_stays_one_in_the_child(client: dsm.Client, name: str) -> None:
    client.create(name, 4096).buf[0] = 3
    array = client.open(name, mode="r").ndarray()

    def child() -> None:
        assert array[0] == 3
        ctypes.c_char.from_address(array.ctypes.data).value = b"x"

    assert in_child(child) == -signal.SIGSEGV


def test_a_scope_that_is_open_at_the_fork_stays_the_parents(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    block = region.write(0, 1)
    block.__enter__()

    def child() -> None:
        block.__exit__(None, None, None)
        with pytest.raises(TimeoutError):
            region.read(0, 1, timeout=0.05).__enter__()

    assert in_child(child) == 0
    with pytest.raises(TimeoutError):
        client.open(name).read(0, 1, timeout=0.05).__enter__()
    block.__exit__(None, None, None)
    with client.open(name).read(0, 1, timeout=1):
        pass


def test_scopes_work_in_the_child_without_userfaultfd(scoped: dsm.Client, name: str) -> None:
    region = scoped.create(name, 4096)
    with region.write(0, 2) as view:
        view[:] = b"ab"

        def child() -> None:
            with pytest.raises(TimeoutError):
                region.read(0, 1, timeout=0.05).__enter__()
            memoryview(region._core._mapping)[0]

        assert in_child(child) == -signal.SIGSEGV

    def writer() -> None:
        with region.write(1, 1) as view:
            view[:] = b"c"

    assert in_child(writer) == 0
    with region.read(0, 2) as view:
        assert bytes(view) == b"ac"


def test_the_parent_goes_on_while_its_other_thread_waits(client: dsm.Client, name: str) -> None:
    region = client.create(name, 4096)
    got: list[bytes] = []

    def wait() -> None:
        with region.read(0, 1) as view:
            got.append(bytes(view))

    with region.write(0, 1) as view:
        thread = threading.Thread(target=wait)
        thread.start()
        eventually(lambda: client.stats()["waiting"] == 1)
        assert in_child(lambda: client.status()["clients"] >= 2) == 0
        view[0] = 65
    thread.join(10)
    assert got == [b"A"]


@transparent
def test_children_of_children_attach_too(client: dsm.Client, name: str) -> None:
    array = client.create(name, 4096).ndarray()

    def grandchild() -> None:
        array[1] = 1

    def child() -> bool:
        array[0] = 1
        return in_child(grandchild) == 0

    assert in_child(child) == 0
    assert array[:2].tolist() == [1, 1]


@transparent
def test_without_a_daemon_the_child_gets_errors_and_no_zeros(nodes: Nodes, name: str) -> None:
    address = nodes.start()
    client = dsm.connect(address)
    region = client.create(name, 4096)
    array = region.ndarray()
    array[0] = 1
    nodes.kill(address)

    def ask() -> None:
        with pytest.raises(NodeUnavailable, match="could not be attached in a forked process"):
            region.read(0, 1).__enter__()
        with pytest.raises(NodeUnavailable):
            client.list()

    def touch() -> None:
        array[0]

    assert in_child(ask) == 0
    assert in_child(touch) == -signal.SIGSEGV
    assert array[0] == 1


@transparent
def test_a_child_whose_addresses_are_taken_ends_with_a_reason(address: str, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TAKEN, address, name], capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout == f"{os.EX_OSERR}\n"
    assert "a forked child cannot have region" in done.stderr


TAKEN = """
import ctypes, mmap, os, sys
sys.path.insert(0, "")
import dsm
from dsm.memory import syscalls

def take():
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | syscalls.MAP_FIXED
    syscalls.mmap_fixed(region._core._mapping.address, 4096, 0, flags, -1)

os.register_at_fork(after_in_child=take)
client = dsm.connect(sys.argv[1])
region = client.create(sys.argv[2], 4096)
child = os.fork()
if child == 0:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
