"""How long regions live: until unlinked, until the last detach, while their creator lives."""

from __future__ import annotations

import pytest

import dsm
from tests.integration.actor import Actor
from tests.integration.conftest import Start, Until


def names(cluster: dsm.LocalCluster) -> list[str]:
    with cluster.connect(2, scoped_only=True) as client:
        return [info.name for info in client.list()]


def regions_on(cluster: dsm.LocalCluster, node: int) -> int:
    with cluster.connect(node, scoped_only=True) as client:
        return int(client.status()["regions"])


@pytest.mark.needs("userfaultfd")
def test_an_unlinked_region_lives_on_for_those_who_have_it_and_its_name_is_free(
    cluster: dsm.LocalCluster, actors: list[Actor], name: str, until: Until
) -> None:
    actors[0].run("r = client.create(name, '64KiB'); a = r.ndarray(); a[0] = 1", name=name)
    actors[1].run("r = client.open(name); a = r.ndarray()", name=name)
    actors[2].run("client.unlink(name)", name=name)
    assert name not in names(cluster)
    actors[2].run("n = client.create(name, '4KiB'); b = n.ndarray(); b[0] = 9", name=name)
    assert actors[1].run("a[1] = 2; out = int(a[0])") == 1
    assert actors[0].run("out = int(a[1])") == 2
    for actor in actors[:2]:
        actor.run("a = None; r.close()")
    assert actors[2].run("out = int(b[0])") == 9
    actors[2].run("b = None; n.unlink(); n.close()")
    until(lambda: all(regions_on(cluster, node) == 0 for node in range(3)))


def test_an_unlink_region_outlives_all_its_clients(cluster: dsm.LocalCluster, name: str) -> None:
    with (
        cluster.connect(0, scoped_only=True) as client,
        client.create(name, "64KiB") as region,
        region.write(0, 1) as v,
    ):
        v[0] = 5
    with cluster.connect(1, scoped_only=True) as client, client.open(name) as region:
        with region.read(0, 1) as view:
            assert view[0] == 5
        region.unlink()


def test_a_last_detach_region_goes_with_its_last_client(
    cluster: dsm.LocalCluster, start: Start, name: str, until: Until
) -> None:
    one, two = start(0, "scoped"), start(1, "scoped")
    one.run("r = client.create(name, '64KiB', lifetime='last-detach')", name=name)
    two.run("r = client.open(name)", name=name)
    one.run("r.close()")
    assert name in names(cluster)
    two.kill()
    until(lambda: name not in names(cluster))
    until(lambda: regions_on(cluster, 0) == regions_on(cluster, 1) == 0)


@pytest.mark.parametrize("end", ["kill", "close"])
def test_a_creator_region_goes_with_its_creator(
    cluster: dsm.LocalCluster, start: Start, name: str, until: Until, end: str
) -> None:
    creator, other = start(0, "scoped"), start(1, "scoped")
    creator.run("r = client.create(name, '64KiB', lifetime='creator')", name=name)
    other.run("r = client.open(name)\nwith r.write(0, 1) as v: v[0] = 1", name=name)
    creator.kill() if end == "kill" else creator.run("client.close()")
    until(lambda: name not in names(cluster))
    assert other.run("with r.read(0, 1) as v: out = v[0]") == 1, "it lives on for those who have it"
    other.kill()
    until(lambda: regions_on(cluster, 1) == 0)


def test_the_exit_of_one_who_attached_destroys_nothing(cluster: dsm.LocalCluster, start: Start, name: str) -> None:
    """The fault of multiprocessing's resource tracker (gh-82300)."""
    creator, visitor = start(0, "scoped"), start(0, "scoped")
    creator.run("r = client.create(name, '64KiB')\nwith r.write(0, 1) as v: v[0] = 1", name=name)
    visitor.run("r = client.open(name)", name=name)
    visitor.kill()
    assert creator.run("with r.read(0, 1) as v: out = v[0]") == 1
    creator.run("r.unlink()")


def test_closing_a_region_with_an_array_alive_is_refused_and_lists_it(start: Start, name: str) -> None:
    process = start(0)
    out = """
r = client.create(name, '64KiB'); a = r.ndarray((10,), 'f8')
try: r.close()
except BufferError as error: out = str(error)
del a; r.close(); client.unlink(name)
"""
    if process.run("out = client.access") != "scoped":
        assert "(10,)" in process.run(out, name=name)
