"""Sizes as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from dsm.errors import InvalidArgument
from dsm.units import format_size, parse_size


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (4096, 4096),
        (0, 0),
        (-1, -1),
        (np.int32(7), 7),
        ("4096", 4096),
        ("64KiB", 65536),
        (" 64 kib ", 65536),
        ("4GiB", 4 << 30),
        ("1TiB", 1 << 40),
        ("1.5GiB", 3 << 29),
        ("10MB", 10_000_000),
        ("1kB", 1000),
        ("12B", 12),
        ("-4KiB", -4096),
    ],
)
def test_a_size_is_read_exactly(written: object, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written", ["", "KiB", "64K", "4G", "0.3KiB", "1e6", "4 GiB more", "\u0664KiB", 1.0, None, True]
)
def test_what_is_no_size_is_refused_with_an_example(written: object) -> None:
    with pytest.raises(InvalidArgument, match=r"length is .*64KiB"):
        parse_size(written, "length")


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (65536, "64 KiB"), (3 << 29, "1.5 GiB"), (1 << 50, "1024 TiB")],
)
def test_a_size_is_written_in_the_largest_unit_below_it(size: int, written: str) -> None:
    assert format_size(size) == written
