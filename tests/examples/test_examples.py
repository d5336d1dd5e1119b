"""Each example comes to what one process comes to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsm

ROOT = Path(__file__).parent.parent.parent
SIZES = {"jacobi": 60, "integer_sort": 20_000, "matmul": 80, "tsp": 8, "quicksort": 30_000}
TIMEOUT = 60.0


@pytest.fixture(scope="module")
def sockets() -> Iterator[str]:
    with dsm.LocalCluster(nodes=3) as cluster:
        yield ",".join(cluster.socket(node) for node in range(3))


def run(name: str, **environment: str) -> str:
    command = [sys.executable, "-m", f"examples.{name}", "--size", str(SIZES[name]), "--nodes", "2"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize("name", SIZES)
def test_an_example_equals_its_sequential_result(name: str, sockets: str) -> None:
    assert run(name, DSM_NODE=sockets) == "equal to the result of one process\n"


@pytest.mark.needs("userfaultfd")
def test_an_example_starts_a_cluster_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSM_NODE", raising=False)
    assert run("matmul") == "equal to the result of one process\n"


def test_every_example_is_tested_and_listed() -> None:
    files = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"team"}
    listed = set(re.findall(r"^\| `(\w+)\.py`", (ROOT / "examples/README.md").read_text(), re.MULTILINE))
    assert files == set(SIZES) == listed
