"""`dsm ls`, `dsm stat`, `dsm rm`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dsm.cluster import LocalCluster
from tests.cli.conftest import Command

INFO = {"id", "name", "size", "page_size", "lifetime", "hold", "shape", "dtype", "creator", "created_at"}
PAGES = {"all", "touched", "owned", "shared", "lost", "busy"}
PAGE = 1 << 16


@pytest.fixture
def grid(cluster: LocalCluster) -> str:
    """A region of four pages: the first is node-0's and read by node-1, the second is node-1's."""
    with cluster.connect(0, scoped_only=True) as client:
        region = client.create("grid", size=4 * PAGE)
        with region.write(0, PAGE) as view:
            view[0] = 7
    with cluster.connect(1, scoped_only=True) as client, client.open("grid") as region:
        with region.read(0, PAGE) as view:
            assert view[0] == 7
        with region.write(PAGE, PAGE) as view:
            view[0] = 8
    return "grid"


def test_there_are_no_regions_at_first(command: Command, cluster: LocalCluster) -> None:
    assert command("ls", "-o", "json").json == {"regions": []}
    assert command("ls").out.split() == ["NAME", "SIZE", "PAGE", "ARRAY", "LIFETIME", "CREATOR", "CREATED"]


def test_ls_tells_of_every_region(command: Command, grid: str) -> None:
    (region,) = command("ls", "-o", "json").json["regions"]
    assert set(region) == INFO
    assert (region["name"], region["size"], region["creator"]) == (grid, 4 * PAGE, "node-0")
    assert region["created_at"] == pytest.approx(time.time(), abs=300)


def test_ls_takes_a_prefix(command: Command, grid: str) -> None:
    assert len(command("ls", "gr", "-o", "json").json["regions"]) == 1
    assert command("ls", "other", "-o", "json").json == {"regions": []}


def test_ls_shows_columns(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        client.create("long-name-of-a-region", size="10MiB", page_size="4KiB").close()
        client.create("b", size=1).close()
    lines = command("ls").out.splitlines()
    assert len({line.index("unlink") for line in lines[1:]}) == 1
    assert "  10 MiB   4 KiB " in lines[2]


def test_stat_tells_who_has_how_many_pages(command: Command, grid: str) -> None:
    shown = command("stat", grid, "-o", "json").json
    assert set(shown) == INFO | {"attached", "pages", "nodes"}
    assert set(shown["pages"]) == PAGES
    assert (shown["pages"]["all"], shown["pages"]["touched"], shown["pages"]["shared"]) == (4, 2, 1)
    assert shown["nodes"] == [
        {"node": "node-0", "owned": 1, "shared": 0},
        {"node": "node-1", "owned": 1, "shared": 1},
    ]


def test_stat_shows_the_same_to_people(command: Command, grid: str) -> None:
    shown = command("stat", grid).out
    assert "size      256 KiB (262,144 bytes)" in shown
    assert "owned     2" in shown
    assert shown.splitlines()[-2:] == ["node-0     1      0", "node-1     1      1"]


def test_stat_of_a_region_that_nobody_touched(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        client.create("huge", size="1TiB").close()
    shown = command("stat", "huge", "-o", "json").json
    assert shown["nodes"] == []
    assert shown["pages"]["all"] == (1 << 40) // PAGE


def test_stat_of_pages_that_do_not_fit_one_answer(command: Command, grid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dsm.client.sync import Region
    from dsm.errors import LimitExceeded

    whole = Region.who_has

    def at_most_one_page(region: Region, offset: int, length: int) -> object:
        if length > PAGE:
            raise LimitExceeded("the pages are too scattered for one answer")
        return whole(region, offset, length)

    monkeypatch.setattr(Region, "who_has", at_most_one_page)
    assert [node["owned"] for node in command("stat", grid, "-o", "json").json["nodes"]] == [1, 1]


def test_a_region_that_is_missing_is_an_error_with_a_remedy(command: Command, cluster: LocalCluster) -> None:
    ran = command("stat", "nowhere")
    assert ran.status == 1
    assert ran.err.startswith("dsm: ") and "'nowhere'" in ran.err and "dsm ls" in ran.err
    assert "Traceback" not in ran.err and not ran.out


def test_rm_goes_on_after_a_failure(command: Command, grid: str) -> None:
    ran = command("rm", "nowhere", grid, "-o", "json")
    assert ran.status == 1
    assert ran.json["removed"] == [grid]
    assert [(failed["name"], failed["error"]) for failed in ran.json["failed"]] == [("nowhere", "RegionNotFound")]
    assert "nowhere" in ran.err
    assert command("ls", "-o", "json").json == {"regions": []}


def test_rm_says_nothing_when_all_is_well(command: Command, grid: str) -> None:
    ran = command("rm", grid)
    assert (ran.status, ran.out, ran.err) == (0, "", "")


def test_a_name_cannot_paint_the_terminal(command: Command, cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        client.create("\x1b[31mred\n", size=1).close()
    assert "\\x1b[31mred\\n" in command("ls").out


def test_the_shell_completes_names_of_regions(cluster: LocalCluster) -> None:
    with cluster.connect() as client:
        for name in ("alpha", "alps", "beta"):
            client.create(name, size=1).close()
    assert completions("dsm stat al") == ["plain,alpha", "plain,alps"]
    assert completions("dsm sta") == ["plain,status", "plain,stat"]


def test_completion_without_a_node_is_empty(tmp_path: Path) -> None:
    assert completions(f"dsm stat --socket {tmp_path}/none al") == []


def completions(line: str) -> list[str]:
    words = {"_DSM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "dsm"], env=os.environ | words, capture_output=True, text=True, check=True
    )
    assert not done.stderr
    return done.stdout.split()
