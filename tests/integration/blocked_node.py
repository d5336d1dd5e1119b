"""A node daemon whose page stream nobody can reach: `python -m tests.integration.blocked_node NAME DIRECTORY SOCKET`.

It tells the others a port on which nobody listens, as if a firewall were in the way. Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

from dsm.node import daemon
from dsm.node.daemon import NodeOptions, run_node
from dsm.node.node import Node
from dsm.wire.session import Hello


class BlockedNode(Node):
    def hello(self) -> Hello:
        return replace(super().hello(), page_address="127.0.0.1:1")


async def serve(name: str, directory: str, path: str) -> None:
    options = NodeOptions(name, directory, path, memory_limit=1 << 30)
    async with asyncio.TaskGroup() as tasks:
        node = tasks.create_task(run_node(options, lambda told: print(json.dumps(told), flush=True)))
        await asyncio.to_thread(sys.stdin.read)
        node.cancel()


if __name__ == "__main__":
    setattr(daemon, "Node", BlockedNode)  # noqa: B010  # not one of its public names
    asyncio.run(serve(*sys.argv[1:4]))
