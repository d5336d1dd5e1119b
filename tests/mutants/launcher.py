"""Starts the daemons of local clusters with a fault planted in them, for checks that watch real processes.

Only the daemons run the mutant. Their clients, and whoever judges what these saw, are as they were shipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.mutants.planting import changed_source, planted

ROOT = Path(__file__).parent.parent.parent
_PROGRAM = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.mutants.launcher import main; main()"


@contextmanager
def planted_in_daemons(module: str, old: str, new: str) -> Iterator[None]:
    """Every daemon that a LocalCluster of this process starts meanwhile has the fault."""
    changed_source(module, old, new)  # a mutant that has lost its place is told here, not in a daemon's log
    with mock.patch("dsm.child.PROGRAM", (sys.executable, "-c", _PROGRAM, module, old, new)):
        yield


def main() -> None:
    """Be `dsm`, with the fault that the first three arguments are."""
    from dsm.cli import main as dsm

    module, old, new = sys.argv[1:4]
    del sys.argv[1:4]
    with planted(module, old, new):
        dsm()
