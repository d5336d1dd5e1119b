"""The client library: what a program uses to share memory through the node daemon of its host.

    sync.py, aio.py      the two faces, `Client` and `Region` each; no logic
    core.py, region.py   what they do, once, as coroutines over a transport
    attach.py            a region in this process: mapping, userfaultfd, the daemon's number for it
    scopes.py, arrays.py views and arrays over it
    fork.py              a forked child gets attachments of its own
    transport.py, aio_transport.py, channel.py, address.py   calls to the daemon

The synchronous face drives the same coroutines over a transport that blocks and never suspends, so there is one
implementation. Nothing here imports grpc, or talks to another host.

Caveats:
* A thread that touches a page which is not here stops until the page has come, with the GIL held if the touch is made
  by Python. In asyncio use scopes, or `prefetch()` first.
* Signal handlers of Python do not run while the thread is stopped so.
* The library does not reconnect: when the daemon ends, its memory of who holds which page of this process ends with
  it. Close the client and connect again.
"""

from __future__ import annotations

from dsm.client.sync import Client, Region, connect

__all__ = ["Client", "Region", "connect"]
