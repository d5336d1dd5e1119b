"""One session for each node; an epoch is current or it is not."""

from __future__ import annotations

import pytest

from dsm.core.membership import Change, Joined, Left, Member, Membership, ended, join
from dsm.core.types import Epoch, NodeId


def member(node: int, epoch: int) -> Member:
    return Member(NodeId(node), Epoch(epoch), f"node-{node}", f"10.0.0.{node}:1", f"10.0.0.{node}:2")


def joined(*members: Member) -> tuple[Membership, list[Change]]:
    table = Membership()
    story: list[Change] = []
    for one in members:
        table, changes = join(table, one)
        story += changes
    return table, story


def test_the_first_table_is_empty() -> None:
    assert len(Membership()) == 0 and list(Membership()) == [] and Membership().get(NodeId(1)) is None


def test_a_node_that_joins_is_a_member_with_its_epoch() -> None:
    table, story = joined(member(1, 1), member(2, 2))
    assert list(table) == [member(1, 1), member(2, 2)] and table.get(NodeId(2)) == member(2, 2)
    assert story == [Joined(member(1, 1)), Joined(member(2, 2))]
    assert table.is_current(NodeId(1), Epoch(1)) and table.newest == 2


def test_a_second_session_of_a_node_ends_the_first_before_it_joins() -> None:
    table, story = joined(member(1, 1), member(1, 2))
    assert story == [Joined(member(1, 1)), Left(member(1, 1)), Joined(member(1, 2))]
    assert len(table) == 1
    assert table.is_current(NodeId(1), Epoch(2)) and not table.is_current(NodeId(1), Epoch(1))


def test_a_node_that_ended_is_a_member_no_more() -> None:
    table, _ = joined(member(1, 1), member(2, 2))
    table, changes = ended(table, NodeId(1), Epoch(1))
    assert changes == (Left(member(1, 1)),)
    assert list(table) == [member(2, 2)] and not table.is_current(NodeId(1), Epoch(1))


def test_the_end_of_a_replaced_session_changes_nothing() -> None:
    table, _ = joined(member(1, 1), member(1, 2))
    assert ended(table, NodeId(1), Epoch(1)) == (table, ())


def test_the_end_of_a_stranger_changes_nothing() -> None:
    table, _ = joined(member(1, 1))
    assert ended(table, NodeId(7), Epoch(1)) == (table, ())


def test_an_epoch_is_never_given_out_again_even_after_its_node_left() -> None:
    table, _ = joined(member(1, 5))
    table, _ = ended(table, NodeId(1), Epoch(5))
    with pytest.raises(AssertionError, match="epochs grow"):
        join(table, member(1, 5))


def test_joining_leaves_the_old_table_as_it_was() -> None:
    before, _ = joined(member(1, 1))
    join(before, member(2, 2))
    assert list(before) == [member(1, 1)]
