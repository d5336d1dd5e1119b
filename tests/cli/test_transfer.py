"""`dsm put` and `dsm get`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsm import limits
from dsm.cluster import LocalCluster
from tests.cli.conftest import Command

SIZES = [1, 65535, 65536, limits.TRANSFER_CHUNK_BYTES, limits.TRANSFER_CHUNK_BYTES + 1]


@pytest.mark.parametrize("size", SIZES)
def test_a_file_comes_back_from_another_node(
    command: Command, cluster: LocalCluster, tmp_path: Path, size: int
) -> None:
    (tmp_path / "in").write_bytes(os.urandom(size))
    ran = command("put", tmp_path / "in", "file", "-o", "json")
    assert set(ran.json) == {"region", "size", "created", "seconds"}
    assert (ran.json["region"], ran.json["size"], ran.json["created"]) == ("file", size, True)
    ran = command("get", "file", tmp_path / "out", "--socket", cluster.socket(1), "-o", "json")
    assert set(ran.json) == {"region", "size", "file", "seconds"}
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()


def test_standard_input_and_output(cluster: LocalCluster) -> None:
    sent = os.urandom(100_000)
    put = dsm("put", "-", "piped", "--page-size", "4KiB", stdin=sent)
    assert put.stdout.decode().startswith("piped: 97.7 KiB in ")
    got = dsm("get", "piped", "-")
    assert (got.stdout, got.stderr) == (sent, b"")


def test_a_file_as_standard_input_is_read_from_where_it_stands(cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"head:body")
    with (tmp_path / "in").open("rb") as file:
        file.seek(5)
        subprocess.run([sys.executable, "-m", "dsm", "put", "-", "rest"], stdin=file, capture_output=True, check=True)
    assert dsm("get", "rest", "-").stdout == b"body"


def test_put_does_not_overwrite_unless_told(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"old")
    assert command("put", file, "file").status == 0
    file.write_bytes(b"new")
    ran = command("put", file, "file")
    assert ran.status == 1
    assert "--overwrite" in ran.err
    assert command("put", file, "file", "--overwrite", "-o", "json").json["created"] is False
    assert dsm("get", "file", "-").stdout == b"new"


def test_put_overwrites_only_what_has_the_same_size(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    file = tmp_path / "in"
    file.write_bytes(b"old")
    command("put", file, "file")
    file.write_bytes(b"longer")
    ran = command("put", file, "file", "--overwrite")
    assert ran.status == 2  # an argument that does not fit, and would not the next time
    assert dsm("get", "file", "-").stdout == b"old"


def test_an_empty_file_is_refused(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    ran = command("put", tmp_path / "in", "file")
    assert ran.status == 2
    assert ran.err.startswith("dsm: a region has 1 byte to ") and "empty file" in ran.err


def test_a_part_of_a_file_does_not_stay(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 10)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsm.cli.transfer._size_left", lambda source: 20)  # as if it shrank after it was looked at
        ran = command("put", tmp_path / "in", "file")
    assert ran.status == 2
    assert "ended at 10 bytes" in ran.err
    assert command("ls", "-o", "json").json == {"regions": []}


def test_json_and_bytes_do_not_share_standard_output(command: Command, cluster: LocalCluster) -> None:
    assert command("get", "file", "-", "-o", "json").status == 2


def test_a_file_that_is_missing_is_wrong_use(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    assert command("put", tmp_path / "none", "file").status == 2


def test_a_full_disk_is_an_error_without_a_traceback(command: Command, cluster: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    command("put", tmp_path / "in", "file")
    ran = command("get", "file", "/dev/full")
    assert ran.status == 1
    assert ran.err == "Error: /dev/full: No space left on device\n"


def dsm(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "dsm", *arguments], input=stdin, capture_output=True, check=True)
