"""The hazards of userfaultfd that concern a client and the daemon together, each by its number in the list of them."""

from __future__ import annotations

import os
import signal

import pytest

import dsm
from tests.integration.actor import Actor, Ended
from tests.integration.conftest import Start

pytestmark = pytest.mark.needs("userfaultfd")


def test_u6_a_process_that_is_blocked_in_a_fault_can_be_killed(start: Start, name: str) -> None:
    holder, blocked = start(0), start(1)
    holder.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__()", name=name)
    blocked.run("r = client.open(name); a = r.ndarray()", name=name)
    blocked.tell("a[0] = 1")
    assert not blocked.answered(0.1)
    os.kill(blocked.pid, signal.SIGTERM)
    with pytest.raises(Ended) as ended:
        blocked.answer(5)
    assert ended.value.status == -signal.SIGTERM


def test_u7_a_prefetch_awaits_without_stopping_the_loop_and_then_a_load_needs_no_fetch(start: Start, name: str) -> None:
    holder, process = start(0), start(1)
    holder.run("r = client.create(name, '64KiB'); s = r.write(0, 8); v = s.__enter__(); v[0] = 3", name=name)
    process.run(
        """
import asyncio
async def main():
    async with dsm.aio.connect(client.address) as c:
        r = await c.open(name)
        ticks = 0
        async def prefetch(): await r.prefetch(0, 8)
        task = asyncio.ensure_future(prefetch())
        while not task.done():
            ticks += 1
            if ticks == 10: print('["done", "ticking"]', flush=True)
            await asyncio.sleep(0.01)
        await task
        a = r.ndarray()
        before = (await r.stats())['faults']
        value = int(a[0])
        after = (await r.stats())['faults']
        del a
        return [value, after['read'] - before['read']]
""",
        name=name,
    )
    process.tell("out = asyncio.run(main())")
    assert process.answer() == "ticking", "the loop goes on while the prefetch waits"
    holder.run("v = None; s.__exit__(None, None, None)")
    assert process.answer() == [3, 0]


def test_u13_a_client_has_no_descriptor_of_the_memfd(start: Start, name: str) -> None:
    process = start(0)
    out = """
r = client.create(name, '64KiB'); a = r.ndarray(); a[0] = 1
links = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]
out = [link for link in links if os.path.lexists(link) and 'memfd' in os.readlink(link)]
"""
    assert process.run(out, name=name) == []


def test_u16_a_client_that_unmaps_behind_the_daemons_back_harms_nobody_else(
    cluster: dsm.LocalCluster, start: Start, name: str
) -> None:
    rude, other = start(0), start(1)
    rude.run("r = client.create(name, '256KiB'); a = r.ndarray(); a[:] = 1", name=name)
    rude.run(
        "munmap = ctypes.CDLL(None).munmap; munmap(ctypes.c_void_p(a.ctypes.data), ctypes.c_size_t(262144)); a = None"
    )
    for turn in range(3):  # invalidations reach a mapping that is not there
        assert other.run("r = client.open(name); a = r.ndarray(); a[:] += 1; out = int(a[0])", name=name) == turn + 2
        other.run("a = None; r.close()")
    rude.kill()
    after = start(0)  # gets the descriptors that the daemon had for the rude one
    assert after.run("r = client.open(name); a = r.ndarray(); out = int(a.sum())", name=name) == 4 * 262144


def test_u16_a_userfaultfd_over_other_memory_than_the_regions_harms_nobody_else(start: Start, name: str) -> None:
    rude, other = start(0), start(0)
    other.run("r = client.create(name, '64KiB'); a = r.ndarray(); a[0] = 1", name=name)
    rude.run(
        """
import mmap, threading
from dsm.memory.faults import Uffd
from dsm.memory.mapping import Mapping
own = os.memfd_create('own'); os.ftruncate(own, 65536)
wrong = Mapping.map(own, 65536, mmap.PROT_READ | mmap.PROT_WRITE)
uffd = Uffd.open(); uffd.register(wrong.address, 65536)
from dsm.client.transport import run
reply, fds = run(client._core.call('open', name=name))
run(client._core.call('attach', (uffd.fileno(),), region=reply['id'], base=wrong.address, mode='full'))
threading.Thread(target=wrong.populate_read, args=(0, 4096), daemon=True).start()
""",
        name=name,
    )
    for value in range(2, 5):
        assert other.run(f"a[0] = {value}; out = int(a[0])") == value
    rude.kill()
    assert other.run("out = int(a[0])") == 4


def test_u23_poison_is_seen_without_a_signal_by_populate_read(name: str) -> None:
    with (
        dsm.LocalCluster(nodes=2) as mortal,
        Actor(mortal.socket(0)) as writer,
        Actor(mortal.socket(1)) as reader,
    ):
        writer.run("r = client.create(name, '64KiB'); a = r.ndarray(); a[0] = 1", name=name)
        reader.run("r = client.open(name); m = r._core._mapping", name=name)
        mortal.kill_node(0)
        assert reader.run("out = m.populate_read(0, 4096)") == 133, "EHWPOISON"


def test_u29_one_blocked_in_a_fault_is_served_when_the_scope_it_waits_for_ends(start: Start, name: str) -> None:
    """A process in a fault may hold a lock of its own; what it waits for must not need that lock. It gets its page."""
    holder, blocked = start(0), start(1)
    holder.run("r = client.create(name, '128KiB'); s = r.write(0, 8); v = s.__enter__()", name=name)
    blocked.run("r = client.open(name); a = r.ndarray(); own = r.write(65536, 8); w = own.__enter__()", name=name)
    blocked.tell("a[0] = 1; own.__exit__(None, None, None); out = True")
    assert not blocked.answered(0.1)
    holder.run("v = None; s.__exit__(None, None, None)")
    assert blocked.answer() is True
    assert holder.run("with r.read(65536, 8) as v: out = v[0]") == 0


def test_u30_a_fault_storm_of_one_client_does_not_starve_another(start: Start, name: str) -> None:
    storm, other = start(0), start(0)
    storm.run("r = client.create(name, '64MiB', page_size='4KiB'); a = r.ndarray()", name=name)
    other.run("r = client.create(name + '-other', '1MiB', page_size='4KiB'); a = r.ndarray()", name=name)
    storm.run(
        """
import threading
stop = False
def faults(seed):
    rng = np.random.default_rng(seed)
    while not stop: a[int(rng.integers(len(a)))] += 1
threads = [threading.Thread(target=faults, args=(seed,)) for seed in range(4)]
for thread in threads: thread.start()
"""
    )
    worst = other.run(
        """
out = 0.0
for page in range(0, 256, 3):
    began = time.monotonic(); a[page * 4096] = 1; out = max(out, time.monotonic() - began)
"""
    )
    storm.run("stop = True\nfor thread in threads: thread.join()")
    assert worst < 2.0


def test_system_calls_on_pages_that_are_elsewhere_work_in_full_mode(start: Start, name: str) -> None:
    one, two = start(0), start(1)
    if one.run("out = client.access") != "transparent-full":
        pytest.skip("this process gets userfaultfd in user mode only")
    one.run("r = client.create(name, '256KiB'); b = r.buf; b[:] = b'k' * len(b)", name=name)
    two.run("r = client.open(name); b = r.buf", name=name)
    out = "fd = os.memfd_create('x'); out = [os.write(fd, b), os.pread(fd, 3, 200_000).decode()]"
    assert two.run(out) == [262144, "kkk"]


def test_a_late_fault_of_a_stopped_thread_is_answered_once_it_goes_on(start: Start, name: str) -> None:
    holder, blocked = start(0), start(1)
    holder.run(
        "r = client.create(name, '64KiB'); a = r.ndarray(); s = r.write(0, 8); v = s.__enter__(); v[0] = 8", name=name
    )
    blocked.run("r = client.open(name); a = r.ndarray()", name=name)
    blocked.tell("out = int(a[0])")
    os.kill(blocked.pid, signal.SIGSTOP)
    holder.run("v = None; s.__exit__(None, None, None); a[0] = 9")
    os.kill(blocked.pid, signal.SIGCONT)
    assert blocked.answer() in (8, 9)
