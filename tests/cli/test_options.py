"""Values as people write them on the command line."""

from __future__ import annotations

from typing import Any

import click
import pytest

from dsm.cli.options import ADDRESS, SECONDS, SIZE


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (SIZE, "4096", 4096),
        (SIZE, "2GiB", 2 << 30),
        (SIZE, 65536, 65536),
        (SECONDS, "0.25", 0.25),
        (SECONDS, "500ms", 0.5),
        (SECONDS, "2 s", 2.0),
        (SECONDS, "1min", 60.0),
        (SECONDS, 3, 3.0),
        (ADDRESS, "127.0.0.1:4711", "127.0.0.1:4711"),
        (ADDRESS, "node-1:0", "node-1:0"),
        (ADDRESS, "[::1]:4711", "[::1]:4711"),
    ],
)
def test_a_value_is_understood(kind: Any, text: object, value: object) -> None:
    assert kind.convert(text, None, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((SIZE, text) for text in ("", "3X", "-1", "0", "1.5B")),
        *((SECONDS, text) for text in ("", "fast", "-1", "1 week", "nan", "inf")),
        *((ADDRESS, text) for text in ("", "4711", ":4711", "host:", "host:65536", "::1:4711", "a b:1")),
    ],
)
def test_another_one_is_wrong_use(kind: Any, text: str) -> None:
    with pytest.raises(click.BadParameter):
        kind.convert(text, None, None)
