"""`python -m dsm` is the command `dsm`."""

from __future__ import annotations

import sys

try:
    from dsm.cli import main

    main()
except KeyboardInterrupt:  # so early that the command could not yet deal with it
    sys.exit(130)  # 128 + SIGINT, as shells have it
