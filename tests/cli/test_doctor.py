"""`dsm doctor` on this machine, and how it prints what it found."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from dsm.cli import facts
from dsm.cluster import LocalCluster
from dsm.errors import NodeUnavailable
from tests.cli.conftest import Command
from tests.cli.test_findings import CLOSED_DEVICE, NONE, WELL

FINDING = {"check", "state", "found", "meaning", "remedy"}


def test_it_looks_at_this_machine_and_its_daemon(command: Command, cluster: LocalCluster) -> None:
    ran = command("doctor", "-o", "json")
    assert set(ran.json) == {"healthy", "findings"}
    assert all(set(finding) == FINDING for finding in ran.json["findings"])
    assert ran.status == (0 if ran.json["healthy"] else 1)
    states = {finding["check"]: finding["state"] for finding in ran.json["findings"]}
    assert [states[check] for check in ("memfd", "socket", "node", "version", "directory")] == ["ok"] * 5
    assert os.uname().release in ran.json["findings"][0]["found"]


def test_a_socket_that_is_named_and_missing_is_bad(command: Command, tmp_path: Path) -> None:
    ran = command("doctor", "--socket", tmp_path / "none.sock")
    assert ran.status == 1
    assert f"bad   socket: {tmp_path}/none.sock is missing" in ran.out


def test_a_file_that_is_no_socket_is_said_to_be_one(command: Command, tmp_path: Path) -> None:
    (tmp_path / "node.sock").write_text("")
    ran = command("doctor", "--socket", tmp_path / "node.sock")
    assert ran.status == 1
    assert "This is no socket" in ran.out


def test_a_remedy_is_printed_once(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = dataclasses.replace(WELL, support=NONE, device=CLOSED_DEVICE)
    monkeypatch.setattr(facts, "gather", lambda socket: planted)
    ran = command("doctor")
    assert ran.status == 1
    assert ran.out.count("sudo groupadd --force userfaultfd") == 1
    assert ran.out.count("# as above") == 1


def test_a_warning_is_no_failure(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = dataclasses.replace(WELL, overcommit_memory=2)
    monkeypatch.setattr(facts, "gather", lambda socket: planted)
    ran = command("doctor")
    assert ran.status == 0
    assert "warn  overcommit" in ran.out


def test_a_stranger_of_an_error_does_not_reach_the_terminal(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = NodeUnavailable("\x1b]0;title\x07", remedy="\x1b[2J")
    planted = dataclasses.replace(WELL, status=None, status_error=hostile)
    monkeypatch.setattr(facts, "gather", lambda socket: planted)
    assert "\x1b" not in command("doctor").out
