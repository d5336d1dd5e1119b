"""The way to the daemon: its socket is found, it answers, and it is who it should be."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dsm
from dsm.errors import AccessDenied, InvalidArgument, NodeUnavailable, ProtocolError
from tests.client.conftest import Nodes


def test_a_missing_socket_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(NodeUnavailable, match=r"no node daemon's socket at .*dsm node.*DSM_NODE") as raised:
        dsm.connect(tmp_path / "s")
    assert raised.value.definite and isinstance(raised.value, ConnectionError)


def test_the_default_address_comes_from_the_environment(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_NODE", address)
    with dsm.connect() as client:
        assert client.address == address


def test_a_socket_that_nobody_listens_on_is_an_error(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(NodeUnavailable, match="no node daemon listens on"):
        dsm.connect(tmp_path / "s")
    (tmp_path / "s").unlink()


def test_a_file_that_is_no_socket_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("hello")
    for path in (tmp_path / "s", tmp_path):
        with pytest.raises(NodeUnavailable, match=f"there is no socket at {path}, but something else.*dsm node"):
            dsm.connect(path)
    with pytest.raises(NodeUnavailable, match="no node daemon's socket at"):
        dsm.connect(tmp_path / "s" / "below-a-file")


def test_an_empty_path_is_not_taken_for_the_working_directory() -> None:
    with pytest.raises(InvalidArgument, match=r"there is no socket at '': the path is empty.*default"):
        dsm.connect("")


@pytest.mark.parametrize("address", ["a" * 200, "a\0b", 7])
def test_an_address_that_is_no_path_is_refused(address: Any) -> None:
    with pytest.raises(InvalidArgument):
        dsm.connect(address)


def test_a_silent_daemon_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.client.transport.LOCAL_REPLY_GRACE_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        with pytest.raises(NodeUnavailable, match="did not answer 'hello'"):
            dsm.connect(tmp_path / "s", timeout=0.05)
    (tmp_path / "s").unlink()


def test_a_daemon_of_another_protocol_version_is_named(nodes: Nodes) -> None:
    address = nodes.start("2")
    with pytest.raises(ProtocolError, match=r"speaks version 1 .* speaks version 2.*same version of dsm"):
        dsm.connect(address)


@pytest.mark.needs("root")
def test_a_socket_of_someone_else_is_refused_unless_trusted(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.setuid(12345); s.bind(sys.argv[1]); "
    program += "s.listen(); print(flush=True); sys.stdin.read(); os.unlink(sys.argv[1])"
    tmp_path.chmod(0o777)
    for part in tmp_path.parents[:2]:
        part.chmod(0o755)
    path = tmp_path / "s"
    command = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout is not None and stranger.stdout.readline() == b"\n"
        with pytest.raises(AccessDenied, match=r"runs as user 12345, neither root nor this user.*DSM_TRUST_UIDS=12345"):
            dsm.connect(path, timeout=0.05)
        monkeypatch.setattr("dsm.client.transport.LOCAL_REPLY_GRACE_SECONDS", 0.05)
        monkeypatch.setenv("DSM_TRUST_UIDS", "1, 12345")
        with pytest.raises(NodeUnavailable, match="did not answer"):
            dsm.connect(path, timeout=0.05)
        monkeypatch.setenv("DSM_TRUST_UIDS", "me")
        with pytest.raises(InvalidArgument, match="DSM_TRUST_UIDS"):
            dsm.connect(path, timeout=0.05)
