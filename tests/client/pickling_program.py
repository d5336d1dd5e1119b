"""Passes a region and a client to processes of multiprocessing.

    python -m tests.client.pickling_program METHOD SOCKET NAME

METHOD is how they are started: spawn, forkserver or fork.
"""

from __future__ import annotations

import multiprocessing
import sys

import dsm


def append(region: dsm.Region, offset: int) -> None:
    """Write one byte."""
    with region.write(offset, 1) as view:
        view[0] = 65 + offset


def create(client: dsm.Client, name: str) -> None:
    """Make another region."""
    with client.create(name, 4096).write(0, 2) as view:
        view[:] = b"hi"


def main() -> None:
    method, address, name = sys.argv[1:]
    context = multiprocessing.get_context(method)
    with dsm.connect(address) as client, context.Pool(2) as pool:
        region = client.create(name, 4096)
        pool.starmap(append, [(region, 0), (region, 1)])
        pool.apply(create, (client, f"{name}-other"))


if __name__ == "__main__":
    main()
