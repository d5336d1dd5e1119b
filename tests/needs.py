"""What some tests cannot do without, and why it is missing here.

A test says ``@pytest.mark.needs("root", "docker")``. Where something is missing the test is skipped with the reason;
where the environment variable DSM_REQUIRE names it (a comma-separated list), the test fails instead, so a machine that
is meant to have it cannot pass by skipping.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache

import pytest


def _root() -> str:
    return "" if os.geteuid() == 0 else "runs as an ordinary user"


def _userfaultfd() -> str:
    return "" if os.access("/dev/userfaultfd", os.R_OK | os.W_OK) else "no rights on /dev/userfaultfd"


def _namespaces() -> str:
    return _root() or _failure("unshare", "--net", "ip", "link")


def _docker() -> str:
    if not compose():
        return "neither `docker compose` nor docker-compose was found"
    return _failure("docker", "info")


def _redis() -> str:
    return "" if shutil.which("redis-server") else "redis-server was not found"


def _spin() -> str:
    return next((f"{tool} was not found" for tool in ("spin", "gcc") if not shutil.which(tool)), "")


CHECKS: dict[str, Callable[[], str]] = {
    "root": _root,
    "userfaultfd": _userfaultfd,
    "namespaces": _namespaces,
    "docker": _docker,
    "redis": _redis,
    "spin": _spin,
}


@cache
def compose() -> list[str]:
    """The compose command there is, version 2 before version 1; empty if there is none."""
    if not _failure("docker", "compose", "version"):
        return ["docker", "compose"]
    return ["docker-compose"] if shutil.which("docker-compose") else []


@cache
def missing(need: str) -> str:
    """Why `need` cannot be had here, or "" if it can."""
    return CHECKS[need]()


def require(*needs: str) -> None:
    """Skip the running test if a need is not met; fail it if DSM_REQUIRE names that need."""
    required = os.environ.get("DSM_REQUIRE", "").split(",")
    for need in needs:
        if why := missing(need):
            (pytest.fail if need in required else pytest.skip)(f"needs {need}: {why}")


def _failure(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"{command[0]} was not found"
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return f"`{' '.join(command)}`: {done.stderr.strip()}" if done.returncode else ""
