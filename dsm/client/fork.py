"""What a forked child does to have regions of its own, at the same addresses.

A child inherits neither the mappings (they are MADV_DONTFORK) nor any use of its parent's connection and userfaultfds.
So before Python code of the child runs again:

1. the address range of every region is reserved, before anything else can be mapped there;
2. the inherited sockets and userfaultfds are closed, which the parent does not notice;
3. each client connects again, and each region is opened by its number, mapped over the reservation, and attached.

Arrays that were made before the fork then work in the child too, coherent with the parent. A scope that was open at
the fork belongs to the parent; leaving its block in the child does nothing but release the view.

If the daemon cannot be reached, the reservation stays: a touch is a SIGSEGV and never a wrong value, and calls raise
what went wrong. If a range is taken already, an array would point into foreign memory, so the child ends at once.

Caveats: the asynchronous client of a child blocks its thread in each call. A child that only calls exec() pays for the
attaching in vain; `subprocess` does not run these hooks.
"""

from __future__ import annotations

import os
import sys

from dsm.client import core as client_core
from dsm.client.address import open_socket
from dsm.client.attach import Attachment, check_memfd
from dsm.client.core import ClientCore
from dsm.client.transport import SyncTransport, run
from dsm.errors import DsmError, NodeUnavailable
from dsm.limits import CONNECT_SECONDS
from dsm.memory.syscalls import PROTECTION_NONE


def after_in_child() -> None:
    """The hook."""
    clients = list(client_core.live)
    for client in clients:
        _reserve(client)
    for client in clients:
        client.generation += 1
        _renew(client)


def _reserve(client: ClientCore) -> None:
    for attachment in client.attachments:
        mapping = attachment.mapping
        if mapping is None:
            continue
        try:
            mapping.reserve()
        except OSError as error:
            where = f"region {attachment.info.name!r} at {mapping.address:#x}"
            sys.stderr.write(f"dsm: a forked child cannot have {where}, as its parent has: {error}. It ends here.\n")
            os._exit(os.EX_OSERR)


def _renew(client: ClientCore) -> None:
    address = client.address
    client.transport.channel.discard(NodeUnavailable("the connection belongs to the parent of this forked process"))
    for attachment in client.attachments:
        attachment.restart()
    try:
        sock, path = open_socket(address, CONNECT_SECONDS)
        client.transport = SyncTransport(sock, path)
        run(client.hello())
    except DsmError as error:
        client.transport.channel.broken = error
    for attachment in list(client.attachments):
        try:
            run(_attach_again(attachment))
        except (DsmError, OSError, ValueError) as error:
            attachment.lost = _lost(attachment, error)


async def _attach_again(attachment: Attachment) -> None:
    mapping, info = attachment.mapping, attachment.info
    if mapping is None:
        return
    _, (memfd,) = await attachment.core.call("open", region=info.id)
    try:
        check_memfd(info, memfd)
        mapping.map_over(memfd, PROTECTION_NONE)
    finally:
        os.close(memfd)
    try:
        await attachment.introduce(mapping)
    except BaseException:
        mapping.protect(0, len(mapping), PROTECTION_NONE)
        attachment.close_uffd()
        raise


def _lost(attachment: Attachment, error: Exception) -> NodeUnavailable:
    message = f"region {attachment.info.name!r} could not be attached in a forked process: {error}"
    return NodeUnavailable(message, remedy="Connect again in this process", definite=True)


os.register_at_fork(after_in_child=after_in_child)
