"""Plain loads and stores, and scopes, by processes on three nodes."""

from __future__ import annotations

import pytest

import dsm
from tests.integration.actor import Actor
from tests.integration.conftest import Start, Until

pytestmark = pytest.mark.needs("userfaultfd")

PAGE_SIZES = ["4KiB", "64KiB", "2MiB"]


def open_everywhere(actors: list[Actor], name: str, size: str = "256KiB", **options: object) -> None:
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    actors[0].run(f"r = client.create({name!r}, {size!r}{given})")
    for actor in actors[1:]:
        actor.run(f"r = client.open({name!r})")
    for actor in actors:
        actor.run("a = r.ndarray(dtype='u8')")


def forget(actors: list[Actor]) -> None:
    for actor in actors:
        actor.run("a = None; r.close()")
    actors[0].run("r.unlink()")


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_what_one_node_stores_the_others_load_bit_by_bit(actors: list[Actor], name: str, page_size: str) -> None:
    open_everywhere(actors, name, "6MiB", page_size=page_size)
    for writer in actors:
        seed = writer.pid
        writer.run("rng = np.random.default_rng(seed); a[:] = rng.integers(0, 1 << 63, len(a), 'u8')", seed=seed)
        for reader in actors:
            same = "rng = np.random.default_rng(seed); out = bool((a == rng.integers(0, 1 << 63, len(a), 'u8')).all())"
            assert reader.run(same, seed=seed)
    forget(actors)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_what_one_node_writes_in_a_scope_the_others_read_in_one(actors: list[Actor], name: str, page_size: str) -> None:
    open_everywhere(actors, name, "4MiB", page_size=page_size)
    for turn, writer in enumerate(actors):
        writer.run(f"with r.write(4090, 100_000) as v: v[:] = bytes([{turn + 1}]) * len(v)")
        for reader in actors:
            out = reader.run("with r.read(4089, 100_002) as v: out = [v[0], v[-1], sorted(set(v[1:-1]))]")
            assert out == [0, 0, [turn + 1]]
    forget(actors)


def test_who_sees_the_flag_sees_the_data(actors: list[Actor], name: str) -> None:
    """The message-passing litmus test: data and flag on two pages, 500 rounds, plain accesses."""
    open_everywhere(actors, name, hold=0.0)
    actors[0].tell(
        """
for round in range(1, 501):
    a[0] = round            # data
    a[8192] = round         # flag, on the next page
    while a[16384] < round: time.sleep(0.0003)
"""
    )
    actors[1].tell(
        """
out = 0
for round in range(1, 501):
    while (flag := int(a[8192])) < round: time.sleep(0.0003)
    out += int(a[0]) < flag
    a[16384] = round
"""
    )
    assert actors[1].answer(60) == 0
    actors[0].answer()
    forget(actors)


def test_no_increment_in_a_write_scope_is_lost(actors: list[Actor], name: str) -> None:
    open_everywhere(actors, name)
    for actor in actors:
        actor.tell(
            """
for _ in range(100):
    with r.write(8, 8) as v:
        word = np.frombuffer(v, 'u8'); word += 1; del word
"""
        )
    for actor in actors:
        actor.answer()
    assert actors[2].run("out = int(a[1])") == 300
    forget(actors)


def test_both_kinds_of_access_meet_on_one_region(actors: list[Actor], start: Start, name: str) -> None:
    """Plain stores on one node, scopes on another, and a process that has scopes only on a third."""
    open_everywhere(actors, name)
    scoped = start(2, "scoped")
    scoped.run(f"r = client.open({name!r})")
    assert scoped.run("out = r.access") == "scoped"
    for turn in range(1, 30):
        actors[0].run(f"a[5] = {turn}; a[8200] = {turn}")
        assert scoped.run("with r.read(40, 8) as v: out = int.from_bytes(v, 'little')") == turn
        scoped.run(f"with r.write(40, 8) as v: v[:] = ({turn} * 7).to_bytes(8, 'little')")
        actors[1].run("with r.write(40, 8) as v: w = np.frombuffer(v, 'u8'); w += 1; del w")
        assert actors[0].run("out = [int(a[5]), int(a[8200])]") == [turn * 7 + 1, turn]
        assert actors[2].run("out = int(a[5])") == turn * 7 + 1
    forget(actors)


def test_a_plain_store_elsewhere_waits_for_the_end_of_a_scope(actors: list[Actor], name: str) -> None:
    open_everywhere(actors, name)
    actors[0].run("scope = r.write(0, 8); view = scope.__enter__(); view[:] = bytes(8)")
    actors[1].tell("a[0] = 7; out = int(a[0])")
    assert not actors[1].answered(0.3)
    assert actors[0].run("out = bytes(view).hex(); scope.__exit__(None, None, None); view = None") == "00" * 8
    assert actors[1].answer() == 7
    assert actors[0].run("out = int(a[0])") == 7
    forget(actors)


def test_a_view_cannot_be_used_after_its_block(actors: list[Actor], name: str) -> None:
    open_everywhere(actors, name)
    out = "with r.write(0, 8) as v: pass\ntry: v[0] = 1\nexcept ValueError: out = 'refused'"
    assert actors[0].run(out) == "refused"
    forget(actors)


def test_a_process_without_userfaultfd_is_told_what_to_use_instead(start: Start, name: str) -> None:
    scoped = start(0, "scoped")
    out = """
r = client.create(name, '64KiB')
try: r.buf
except dsm.TransparentAccessUnavailable as error: out = str(error)
"""
    assert "region.read()" in scoped.run(out, name=name)


def test_both_ends_of_a_sparse_tebibyte(actors: list[Actor], name: str) -> None:
    actors[0].run("r = client.create(name, '1TiB'); b = r.buf; b[0] = 1; b[len(b) - 1] = 2", name=name)
    other = "r = client.open(name); b = r.buf; out = [b[0], b[len(b) - 1], b[len(b) // 2]]"
    assert actors[1].run(other, name=name) == [1, 2, 0]
    actors[1].run("with r.write((1 << 40) - 8, 8) as v: v[7] = 3")
    assert actors[0].run("out = b[len(b) - 1]") == 3
    assert actors[0].run("out = [[h.first, h.owner] for h in r.who_has()][-1]") == [(1 << 24) - 1, "node-1"]
    for actor in actors[:2]:
        actor.run("b = None; r.close()")
    actors[0].run("r.unlink()")


def test_an_array_travels_with_its_shape_and_type(actors: list[Actor], name: str) -> None:
    actors[0].run("x = client.array(name, (100, 7), 'f4'); x[:] = 1.5", name=name)
    out = "x = client.array(name); out = [list(x.shape), str(x.dtype), float(x.sum())]"
    assert actors[1].run(out, name=name) == [[100, 7], "float32", 1050.0]
    for actor in actors[:2]:
        actor.run("x = None")
    actors[0].run("client.unlink(name)")


def test_a_forked_child_and_its_parent_share_pages_and_the_child_is_its_own_client(
    actors: list[Actor], start: Start, name: str
) -> None:
    parent = start(0)
    parent.run("r = client.create(name, '256KiB'); a = r.ndarray(dtype='u8'); a[0] = 1", name=name)
    parent.run(
        """
from_child, to_parent = os.pipe(); from_parent, to_child = os.pipe()
child = os.fork()
if child == 0:
    code = 1
    try:
        assert a[0] == 1
        a[1] = 2; a[20000] = 3          # a page of its own, and one that nobody had
        with r.write(16, 8) as v: v[0] = 9
        os.write(to_parent, b'x')
        os.read(from_parent, 1)
        code = 0 if a[3] == 4 else 2
    finally:
        os._exit(code)
os.read(from_child, 1)
out = None
"""
    )
    other = "r = client.open(name); a = r.ndarray(dtype='u8'); out = [int(a[i]) for i in (0, 1, 2, 20000)]; a[3] = 4"
    assert actors[1].run(other, name=name) == [1, 2, 9, 3]
    assert parent.run("os.write(to_child, b'x'); out = [os.waitpid(child, 0)[1], int(a[1])]") == [0, 2]
    actors[1].run("a = None; r.close()")


def test_a_pickled_region_works_in_a_spawned_process(start: Start, name: str) -> None:
    parent = start(1)
    out = """
import multiprocessing
from tests.integration.remote import add_one
r = client.create(name, '128KiB'); a = r.ndarray(dtype='u1'); a[70000] = 42
with multiprocessing.get_context('spawn').Pool(1) as pool:
    out = [pool.apply(add_one, (r, 70000)), int(a[70000])]
"""
    assert parent.run(out, name=name) == [43, 43]


def test_prefetched_pages_are_there_and_flush_succeeds(actors: list[Actor], name: str) -> None:
    open_everywhere(actors, name, "1MiB")
    actors[0].run("a[:] = 1; r.flush()")
    actors[1].run("r.prefetch(0, '1MiB')")
    before = actors[1].run("out = r.stats()['faults']")
    assert actors[1].run("out = int(a.sum())") == (1 << 20) // 8
    assert actors[1].run("out = r.stats()['faults']")["read"] == before["read"]
    forget(actors)


def test_who_has_tells_owner_and_sharers(actors: list[Actor], name: str, until: Until) -> None:
    open_everywhere(actors, name)
    actors[0].run("a[0] = 1")
    actors[1].run("out = int(a[0])")
    who = "out = [[h.first, h.count, h.owner, list(h.sharers)] for h in r.who_has(0, 8)]"
    until(lambda: actors[2].run(who) == [[0, 1, "node-0", ["node-1"]]])
    forget(actors)


def test_two_clients_of_one_process_see_one_memory(cluster: dsm.LocalCluster, name: str) -> None:
    with cluster.connect(0, scoped_only=True) as one, cluster.connect(1, scoped_only=True) as two:
        here, there = one.create(name, "64KiB"), two.open(name)
        with here.write(0, 3) as view:
            view[:] = b"dsm"
        with there.read(0, 3) as view:
            assert bytes(view) == b"dsm"
        here.unlink()
