"""`dsm --help`: quick, complete and true."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from dsm.cli import dsm
from dsm.cli.lazy import COMMANDS
from tests.cli.conftest import Command

HEAVY = {"numpy", "grpc", "rich", "google.protobuf", "asyncio", "tomllib", "dsm.client", "dsm.node", "dsm.directory"}
IMPORTED = """
import json, sys
from dsm.cli import run
status = run(sys.argv[1:])
print(json.dumps([status, sorted(sys.modules)]))
"""

THERE = [name for name, entry in COMMANDS.items() if importlib.util.find_spec(f"dsm.cli.{entry.module}")]


@pytest.mark.parametrize("arguments", [["--help"], ["ls", "--help"], ["node", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments], capture_output=True, text=True, check=True)
    status, modules = json.loads(done.stdout.splitlines()[-1])
    assert status == 0
    assert HEAVY.isdisjoint(modules)


def test_help_imports_no_command() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, "--help"], capture_output=True, text=True, check=True)
    _, modules = json.loads(done.stdout.splitlines()[-1])
    lazy = {f"dsm.cli.{entry.module}" for entry in COMMANDS.values()} - {"dsm.cli.settings"}
    assert lazy.isdisjoint(modules)


@pytest.mark.parametrize("name", THERE)
def test_a_command_says_of_itself_what_the_list_says_of_it(name: str) -> None:
    command = dsm.get_command(click.Context(dsm), name)
    assert command is not None and command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name].summary


@pytest.mark.parametrize("name", THERE)
def test_every_option_has_help(name: str) -> None:
    command = dsm.get_command(click.Context(dsm), name)
    assert command is not None
    assert all(option.help for option in command.params if isinstance(option, click.Option))


def test_help_lists_every_command(command: Command) -> None:
    shown = command("--help").out
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize(
    "wrong",
    [
        ["no-such-command"],
        ["ls", "--no-such-option"],
        ["stat"],
        ["rm"],
        ["up", "--nodes", "0"],
        ["status", "-o", "xml"],
    ],
    ids=" ".join,
)
def test_wrong_use_is_status_2(command: Command, wrong: list[str]) -> None:
    ran = command(*wrong)
    assert ran.status == 2
    assert "Error:" in ran.err and not ran.out


def test_a_broken_pipe_ends_a_command_quietly() -> None:
    code = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); from dsm.cli import main; main(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_an_argument_that_only_the_library_refuses_is_wrong_use_too(command: Command) -> None:
    ran = command("ls", "--socket", "")
    assert (ran.status, ran.out) == (2, "")
    assert "there is no socket at ''" in ran.err


def test_a_path_that_is_no_socket_is_named(command: Command, tmp_path: Path) -> None:
    ran = command("ls", "--socket", tmp_path)
    assert (ran.status, ran.out) == (1, "")
    assert f"there is no socket at {tmp_path}" in ran.err


def test_ctrl_c_during_the_first_imports_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()])}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dsm", "up"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
