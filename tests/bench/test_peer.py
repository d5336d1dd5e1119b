"""Redis as the peer of the benchmark."""

from __future__ import annotations

import pytest

from dsm.bench import peer as peers


@pytest.mark.needs("redis")
def test_the_peer_gives_back_what_it_was_given() -> None:
    with peers.peer() as peer:
        assert peer is not None
        peer.prepare(4096)
        peer.get(4096)
        peer.hand_over(4096)
        assert peer.description.startswith("Redis ")


def test_without_a_server_there_is_no_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert peers.missing() == "redis-server was not found"
    with peers.peer() as peer:
        assert peer is None
