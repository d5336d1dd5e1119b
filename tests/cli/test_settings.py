"""Command line over environment over file over default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command

FILE = """
socket = "/from/file.sock"

[node]
memory-limit = "8GiB"
trust_uid = [3, 4]
directory = "file:1"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "dsm.toml"
    path.write_text(FILE)
    return path


def settings(command: Command, *arguments: object) -> dict[str, dict[str, Any]]:
    ran = command(*arguments, "config", "show", "-o", "json")
    assert ran.status == 0, ran.err
    return {row["setting"]: row for row in ran.json["settings"]}


def test_without_anything_there_are_defaults(command: Command) -> None:
    shown = settings(command)
    assert {row["origin"] for row in shown.values()} == {"default"}
    assert shown["up.nodes"]["value"] == 3
    assert shown["node.directory"]["variable"] == "DSM_DIRECTORY"


def test_the_file_is_over_the_default(command: Command, file: Path) -> None:
    shown = settings(command, "--config", file)
    assert shown["node.memory_limit"] == {
        "setting": "node.memory_limit",
        "value": "8GiB",
        "variable": "DSM_NODE_MEMORY_LIMIT",
        "origin": str(file),
    }
    assert shown["ls.socket"]["value"] == shown["node.socket"]["value"] == "/from/file.sock"
    assert shown["node.listen"]["origin"] == "default"


def test_the_environment_is_over_the_file(command: Command, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_CONFIG", str(file))
    monkeypatch.setenv("DSM_NODE", "/from/environment.sock")
    monkeypatch.setenv("DSM_DIRECTORY", "environment:1")
    shown = settings(command)
    assert (shown["ls.socket"]["value"], shown["ls.socket"]["origin"]) == ("/from/environment.sock", "DSM_NODE")
    assert (shown["node.directory"]["value"], shown["node.directory"]["origin"]) == ("environment:1", "DSM_DIRECTORY")


def test_the_command_line_is_over_the_environment(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_NODE", "/from/environment.sock")
    assert "/from/environment.sock" in command("ls").err
    assert "/from/line.sock" in command("ls", "--socket", "/from/line.sock").err


def test_the_file_reaches_a_command(command: Command, file: Path) -> None:
    assert "/from/file.sock" in command("--config", file, "ls").err


def test_a_value_that_is_no_value_is_shown_as_it_was_written(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_NODE_MEMORY_LIMIT", "much")
    assert settings(command)["node.memory_limit"]["value"] == "much"
    assert command("node").status == 2


def test_the_origin_is_a_column_that_is_asked_for(command: Command) -> None:
    assert "ORIGIN" not in command("config", "show").out
    assert "ORIGIN" in command("config", "show", "--origin").out.splitlines()[0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sokcet = '/x'", "not sokcet"),
        ("[nodes]\nname = 'x'", "[nodes] is no command"),
        ("[node]\nmemory = 1", "[node] has no memory"),
        ("[node", "dsm.toml: "),
    ],
)
def test_what_nobody_knows_is_wrong_use(command: Command, file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    ran = command("--config", file, "ls")
    assert ran.status == 2
    assert complaint in ran.err
