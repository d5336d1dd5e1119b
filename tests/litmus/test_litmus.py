"""`dsm litmus` on a real cluster, for a few rounds of a few cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TIMEOUT = 120.0


def litmus(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dsm", "litmus", *arguments]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )


@pytest.mark.needs("userfaultfd")
def test_a_few_cells_of_each_kind_are_good() -> None:
    wanted = ("MP/apart/page/plain", "SB/apart/pages/plain", "WRC/mixed/owned/plain", "CoRR/together/page/scoped")
    done = litmus("--rounds", "200", "-o", "json", *(word for name in wanted for word in ("--cell", name)))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["ok"], report["forbidden"], report["missing"]) == (True, 0, 0)
    assert {cell["cell"] for cell in report["cells"]} == set(wanted)
    for cell in report["cells"]:
        assert cell["rounds"] >= 200
        assert sum(row["count"] for row in cell["outcomes"]) == cell["rounds"]


@pytest.mark.needs("userfaultfd")
def test_people_see_a_histogram() -> None:
    done = litmus("--rounds", "50", "--cell", "CoWR/together/page/plain")
    assert "CoWR/together/page/plain: ok, " in done.stdout, done.stderr
    assert "0:x=1 [x]=2" in done.stdout
    assert "0 with a forbidden outcome" in done.stdout


def test_the_cells_can_be_listed_without_being_run() -> None:
    done = litmus("--list", "--cell", "MP/apart/*")
    assert done.returncode == 0
    assert "MP/apart/owned/scoped  x=1; y=1 | read y; read x" in done.stdout.splitlines()


def test_a_pattern_like_no_cell_is_wrong_use() -> None:
    assert litmus("--cell", "nothing").returncode == 2


def test_a_cell_without_userfaultfd_ends_with_an_error() -> None:
    done = litmus("--rounds", "10", "--cell", "MP/apart/page/plain", DSM_SCOPED_ONLY="1")
    assert done.returncode == 1
    assert "a thread has ended" in done.stderr
