"""Who may import whom, and how large a room may be: the architecture, as far as a machine can check it.

errors, limits <- core <- wire <- directory, node <- cli
memory <- node, client;  core <- trace <- directory, node, verify
directory and node never meet;  client needs neither them nor gRPC
"""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "dsm/wire/generated"
SOURCES = sorted(path for path in (ROOT / "dsm").rglob("*.py") if GENERATED not in path.parents)
TESTS = sorted((ROOT / "tests").rglob("*.py"))

EVERYONE = {"errors", "limits", "units", "__version__"}
MAY_IMPORT = {
    "errors": set(),
    "limits": set(),
    "units": set(),
    "core": {"core"},
    "trace": {"trace", "core"},
    "verify": {"verify", "trace.records", "core"},
    "memory": {"memory"},
    "wire": {"wire", "core"},
    "directory": {"directory", "wire", "trace", "core"},
    "node": {"node", "wire", "trace", "core", "memory"},
    "client": {"client", "wire.local", "memory", "dsm"},
}
"""The layers; whatever is not named here (cli, cluster, the package itself) is on top and may import them all."""

OF_GENERATED_CODE = {"google", "grpc", "dsm.wire.generated"}
FORBIDDEN = {
    "core": OF_GENERATED_CODE | {"asyncio", "logging", "os", "random", "time"},
    "verify": OF_GENERATED_CODE | {"asyncio", "logging", "os", "random"},
    "client": OF_GENERATED_CODE,
    "memory": OF_GENERATED_CODE | {"asyncio"},
    "directory": {"dsm.wire.generated"},
    "node": {"dsm.wire.generated"},
    "cli": {"dsm.wire.generated"},
}

FILE_LINES_MAX = 400
CORE_FILE_LINES_MAX = 250
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN_MAX = 12


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = path.relative_to(ROOT / "dsm").with_suffix("").parts[0]
    for name in _imports(path):
        assert not any(_within(name, root) for root in FORBIDDEN.get(layer, set())), f"{layer} must not import {name}"
        if _within(name, "dsm") and layer in MAY_IMPORT:
            below = name.removeprefix("dsm.")
            assert any(_within(below, root) for root in MAY_IMPORT[layer] | EVERYONE), f"{layer} must not import {name}"


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_their_limits(path: Path) -> None:
    most = CORE_FILE_LINES_MAX if ROOT / "dsm/core" in path.parents else FILE_LINES_MAX
    length = len(path.read_text().splitlines())
    assert length <= most
    for name, lines in _functions(path):
        assert lines <= FUNCTION_LINES_MAX, f"{name} has {lines} lines"


def test_the_median_function_is_short() -> None:
    assert statistics.median(lines for path in SOURCES for _, lines in _functions(path)) <= FUNCTION_LINES_MEDIAN_MAX


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _imports(path: Path) -> Iterator[str]:
    for statement in ast.walk(_tree(path)):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"a relative import hides the layer: {ast.unparse(statement)}"
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _within(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")
