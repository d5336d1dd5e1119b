"""The commands of `dsm`, by name. A command's module is imported when the command is used, not to list it.

The summaries stand here for that reason; a test compares them with the help of the commands themselves.
"""

from __future__ import annotations

import importlib
from typing import NamedTuple

import click


class Entry(NamedTuple):
    """Where a command is, what it is for, and under which heading `dsm --help` lists it."""

    module: str
    summary: str
    heading: str


COMMANDS = {
    "up": Entry("up", "Run a cluster on this machine until Ctrl-C.", "Cluster"),
    "directory": Entry("daemons", "Run the directory service.", "Cluster"),
    "node": Entry("daemons", "Run the node daemon of this host.", "Cluster"),
    "status": Entry("status", "Show whether this host's node, or a directory, is well.", "Cluster"),
    "doctor": Entry("doctor", "Find out what works on this machine, and how to mend the rest.", "Cluster"),
    "ls": Entry("regions", "List regions.", "Regions"),
    "stat": Entry("regions", "Show one region, and which node has how many of its pages.", "Regions"),
    "rm": Entry("regions", "Unlink regions.", "Regions"),
    "put": Entry("transfer", "Copy a file into a new region.", "Regions"),
    "get": Entry("transfer", "Copy a region into a file.", "Regions"),
    "demo": Entry("demo", "Count the words of a corpus on three nodes, in one shared table.", "Show"),
    "bench": Entry("bench", "Measure latencies and throughput.", "Show"),
    "check": Entry("check", "Ask a live cluster whether its records obey the laws of the protocol.", "Proof"),
    "litmus": Entry("litmus", "Run litmus tests of the memory model on four nodes.", "Proof"),
    "stress": Entry("stress", "Let clients on all nodes work against each other, and check what they saw.", "Proof"),
    "config": Entry("settings", "Settings and where they come from.", "Show"),
}


class LazyGroup(click.Group):
    """A group over COMMANDS."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(f"dsm.cli.{entry.module}"), cmd_name)
        assert isinstance(command, click.Command), f"dsm.cli.{entry.module} has the command {cmd_name}"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, entry.summary) for name, entry in COMMANDS.items() if entry.heading == heading]
                )
