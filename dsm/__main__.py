"""`python -m dsm` is the command `dsm`."""

from __future__ import annotations

from dsm.cli import main

main()
