"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dsm

HEAVY = ("numpy", "msgpack", "asyncio", "grpc", "click", "rich")


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", dsm.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(dsm, name) is not None
    assert name in dir(dsm)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dsm.nonsense  # noqa: B018


def test_the_errors_are_those_of_the_tree() -> None:
    from dsm.errors import BY_NAME

    assert set(BY_NAME) <= set(dsm.__all__)


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert run_python(f"import dsm, sys; print([name for name in {HEAVY} if name in sys.modules])") == "[]\n"


def test_a_client_needs_neither_grpc_nor_numpy() -> None:
    absent = ("numpy", "grpc", "google")
    assert run_python(f"import dsm, sys; dsm.connect; print([n for n in {absent} if n in sys.modules])") == "[]\n"
