"""How a daemon runs as a process of its own, and when it ends.

A daemon is a coroutine that serves until it is cancelled, and that removes what it made (its socket, its streams) on
the way out. `run` cancels it on SIGTERM or SIGINT, and when its *lifeline* breaks: a pipe whose other end is held by
the process that started it, and only by that process. The kernel closes that end however the process dies, SIGKILL
included, so nothing that was started outlives the one who wanted it. Nobody ever writes to a lifeline.

A daemon with a lifeline may also be told the *run directory* that it shares with its siblings: their sockets and logs.
Once the lifeline is broken there is nobody left to read or remove these, so each daemon sweeps the directory as its
last act, including what a sibling left that was killed; the last one to end finds it empty and removes it.

Caveats:
* A process that is forked from the holder of the pipe inherits the holder's end and keeps the lifeline whole. The
  holder closes it in its forked children (`os.register_at_fork`); a fork that goes round Python is not noticed.
* The prctl PR_SET_PDEATHSIG would need no pipe, but it follows the *thread* that started the daemon, not the process.
* A daemon that does not end within STOP_SECONDS of being told ends hard: the memory of its host's processes is then
  in the state that any crash leaves.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from dsm.limits import STOP_SECONDS

logger = logging.getLogger(__name__)

Ready = Callable[[dict[str, Any]], None]
Serve = Callable[[Ready], Coroutine[Any, Any, None]]

_SWEPT = ("*.sock", "*.log")


def run(
    daemon: Callable[[Ready], Coroutine[Any, Any, None]],
    *,
    lifeline: int | None = None,
    run_directory: Path | None = None,
) -> None:
    """Run a daemon to its end. It calls what it is given, once, when it serves.

    Args:
        lifeline: descriptor of the reading end of a pipe; the daemon stops when the other end closes.
        run_directory: where to sweep once the lifeline is broken.
    """

    def last_act() -> None:
        if lifeline is not None and run_directory is not None and _broken(lifeline):
            sweep(run_directory)

    try:
        asyncio.run(_until_told(daemon, lifeline, last_act))
    finally:
        last_act()


def announce(ready: dict[str, Any]) -> None:
    """Tell whoever started this process that it serves: one line of JSON, the only one on standard output."""
    print(json.dumps(ready), flush=True)


def sweep(run_directory: Path) -> None:
    """Remove sockets and logs from a run directory, then the directory if that left it empty. Never raises."""
    for pattern in _SWEPT:
        for path in run_directory.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()
    with contextlib.suppress(OSError):
        run_directory.rmdir()


async def _until_told(daemon: Serve, lifeline: int | None, last_act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    serving = asyncio.current_task()
    assert serving is not None, "a coroutine runs in a task"
    told = False

    def stop(reason: str) -> None:
        nonlocal told
        if lifeline is not None:
            loop.remove_reader(lifeline)  # a broken pipe stays readable and would be reported for ever
        if not told:
            told = True
            logger.info("stops: %s", reason)
            _end_hard_after(STOP_SECONDS, last_act)
            serving.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    if lifeline is not None:
        loop.add_reader(lifeline, stop, "its lifeline is broken")
    try:
        await daemon(announce)
    except asyncio.CancelledError:
        if not told:
            raise


def _end_hard_after(seconds: float, last_act: Callable[[], None]) -> None:
    def end() -> None:
        logger.critical("did not stop within %s s", seconds)
        last_act()
        os._exit(1)

    # A thread, because what hangs may be the event loop.
    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _broken(lifeline: int) -> bool:
    poll = select.poll()
    poll.register(lifeline, 0)  # POLLHUP needs no asking
    return bool(poll.poll(0))
