"""Who is in the cluster: at most one session for each name, and its epoch.

A node's number belongs to its name for as long as the directory's store lives; an epoch is given out once. Both come
from the store as arguments. A second session under a name ends the first: a node daemon that was started again, or
came back over a new connection, need not wait until the old connection is found dead. Whoever it was that spoke for
the first session is shut out from then on, because its epoch is no longer the current one.

Caveat: two daemons that were given the same name by mistake take the session from each other in turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from dsm.core.types import Epoch, NodeId

NO_EPOCH = Epoch(0)


@dataclass(frozen=True, slots=True)
class Member:
    """A node during one session."""

    node: NodeId
    epoch: Epoch
    name: str
    page_address: str
    """Where it accepts page streams, as host:port."""
    grpc_address: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    member: Member


@dataclass(frozen=True, slots=True)
class Left:
    member: Member


Change = Joined | Left


@dataclass(frozen=True, slots=True)
class Membership:
    """Everybody with a session. Never changed in place: `join` and `ended` return the next one."""

    by_node: Mapping[NodeId, Member] = field(default_factory=dict)
    newest: Epoch = NO_EPOCH
    """The last epoch that was given out, also to those who left since."""

    def __iter__(self) -> Iterator[Member]:
        return iter(self.by_node.values())

    def __len__(self) -> int:
        return len(self.by_node)

    def get(self, node: NodeId) -> Member | None:
        return self.by_node.get(node)

    def is_current(self, node: NodeId, epoch: Epoch) -> bool:
        """Whether this is the session that now speaks for the node."""
        member = self.by_node.get(node)
        return member is not None and member.epoch == epoch


def join(table: Membership, member: Member) -> tuple[Membership, tuple[Change, ...]]:
    """Return the table with the new session, and what everybody is to hear, in order."""
    assert member.epoch > table.newest, f"law: epochs grow; {member} after {table.newest}"
    old = table.get(member.node)
    left = () if old is None else (Left(old),)
    joined = Membership({**table.by_node, member.node: member}, member.epoch)
    return joined, (*left, Joined(member))


def ended(table: Membership, node: NodeId, epoch: Epoch) -> tuple[Membership, tuple[Change, ...]]:
    """Return the table without this session. The end of one that was replaced changes nothing any more."""
    member = table.get(node)
    if member is None or member.epoch != epoch:
        return table, ()
    others = {other: kept for other, kept in table.by_node.items() if other != node}
    return replace(table, by_node=others), (Left(member),)
