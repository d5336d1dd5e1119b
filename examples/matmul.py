"""The product of two matrices: all members read the factors, each writes some rows of the product.

The entries are small whole numbers, so the sums are exact in whatever order they are made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from examples.team import Member, main, run

Matrix = NDArray[np.float64]


def factors(size: int) -> tuple[Matrix, Matrix]:
    draw = np.random.default_rng(1)
    return draw.integers(0, 10, (size, size)).astype("f8"), draw.integers(0, 10, (size, size)).astype("f8")


def work(member: Member, size: int) -> Matrix | None:
    left, right, product = (member.array(name, (size, size), "f8") for name in ("left", "right", "product"))
    if member.number == 0:
        left[:], right[:] = factors(size)
    member.barrier()
    rows = member.share(size)
    product[rows] = left[rows] @ right
    member.barrier()
    return np.array(product) if member.number == 0 else None


def check(size: int, nodes: int) -> bool:
    """Whether the product is that of one process, bit for bit."""
    left, right = factors(size)
    return np.array_equal(run(work, size, nodes=nodes)[0], left @ right)


if __name__ == "__main__":
    main(__doc__, check, 600)
