"""What the README says works: its Python blocks run as they stand, and its tables and commands name what there is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dsm
from dsm.cli.lazy import COMMANDS

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SHELL = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
BLOCK_SECONDS = 60.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[dsm.LocalCluster]:
    with dsm.LocalCluster(nodes=1) as cluster:
        yield cluster


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.splitlines()[-1].strip()[:40])
def test_a_block_of_python_runs(block: str, cluster: dsm.LocalCluster, tmp_path: Path) -> None:
    paths = {"DSM_NODE": cluster.socket(0), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        timeout=BLOCK_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_there_are_blocks_of_both_kinds() -> None:
    assert len(PYTHON) >= 4
    assert SHELL


def test_the_commands_in_shell_blocks_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    words = [line.split() for block in SHELL for line in block.splitlines() if line]
    assert {line[1] for line in words if line[0] == "make"} <= targets
    assert {line[1] for line in words if line[0] == "dsm"} <= set(COMMANDS)
    assert {line[0] for line in words} == {"make", "pip", "dsm", "docker-compose"}


def test_the_table_of_commands_is_complete() -> None:
    section = TEXT.split("## Command line")[1].split("## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    assert set(re.findall(r"`dsm (\w+)`", " ".join(rows))) == set(COMMANDS)


@pytest.mark.parametrize(("heading", "kind"), [("| client |", dsm.Client), ("| region |", dsm.Region)])
def test_the_tables_of_the_library_name_what_there_is(heading: str, kind: type) -> None:
    rows = TEXT.split(heading)[1].split("\n\n")[0].splitlines()
    cells = " ".join(line.split("|")[1] for line in rows if line.startswith("|"))
    named = set(re.findall(r"`([a-z_]+)[(`]", cells))
    public = {name for name in dir(kind) if not name.startswith("_")}
    assert named <= public
    assert public - named <= {"id", "address", "closed"}


def test_every_link_leads_somewhere() -> None:
    documents = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
