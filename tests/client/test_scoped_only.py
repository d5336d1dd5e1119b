"""A process without userfaultfd: scopes work, and outside of them the pages have no access."""

from __future__ import annotations

import signal

import pytest

import dsm
from dsm.errors import DeadlineExceeded, TransparentAccessUnavailable
from tests.client.helpers import in_child


def test_the_client_says_what_it_can_do_and_why(scoped: dsm.Client, name: str) -> None:
    assert scoped.access == scoped.create(name, 1).access == "scoped"
    assert "scoped access only" in scoped.status()["client"]["reason"]


def test_the_environment_can_ask_for_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSM_SCOPED_ONLY", "1")
    with dsm.connect(address) as client:
        assert client.access == "scoped"
    with dsm.connect(address, scoped_only=False) as client:
        assert client.access != "scoped" or client.status()["client"]["reason"]


def test_plain_access_is_refused_with_a_remedy(scoped: dsm.Client, name: str) -> None:
    region = scoped.create(name, 4096)
    for use in (lambda: region.buf, region.ndarray, lambda: scoped.array(f"{name}-array", 4, "f8")):
        with pytest.raises(TransparentAccessUnavailable, match=r"region\.read\(\) and region\.write\(\)"):
            use()


def test_scopes_share_memory_with_other_clients(scoped: dsm.Client, client: dsm.Client, name: str) -> None:
    mine, theirs = scoped.create(name, 100_000), client.open(name)
    with mine.write(70_000, 5) as view:
        view[:] = b"hello"
    with theirs.read(70_000, 5) as view:
        assert bytes(view) == b"hello"
    with theirs.write(70_000, 1) as view:
        view[:] = b"j"
    with mine.read(70_000, 5) as view:
        assert bytes(view) == b"jello"


def access(region: dsm.Region, offset: int) -> str:
    """The protection of a byte, as the kernel tells it."""
    mapping = region._core._mapping
    address = mapping.address + offset
    with open("/proc/self/maps") as maps:
        for line in maps:
            span, protection, *_ = line.split()
            first, stop = (int(part, 16) for part in span.split("-"))
            if first <= address < stop:
                return protection[:2]
    raise AssertionError("not mapped")


def test_pages_have_access_only_within_scopes(scoped: dsm.Client, name: str) -> None:
    region = scoped.create(name, 4 * 4096, page_size=4096)
    assert access(region, 0) == "--"
    with region.read(100, 4096):
        assert [access(region, page * 4096) for page in range(4)] == ["r-", "r-", "--", "--"]
        with region.write(8192, 1), region.read(4096, 1):
            assert [access(region, page * 4096) for page in range(4)] == ["r-", "r-", "rw", "--"]
        assert [access(region, page * 4096) for page in range(4)] == ["r-", "r-", "--", "--"]
    assert [access(region, page * 4096) for page in range(4)] == ["--"] * 4


def test_a_scope_that_was_not_granted_opens_nothing(scoped: dsm.Client, name: str) -> None:
    region = scoped.create(name, 4096)
    with region.read(0, 1):
        with pytest.raises(DeadlineExceeded):
            region.write(0, 1, timeout=0.02).__enter__()
        assert access(region, 0) == "r-"


def test_a_touch_outside_a_scope_ends_the_process(address: str, name: str) -> None:
    def touch() -> None:
        with dsm.connect(address, scoped_only=True) as client:
            region = client.create(name, 4096)
            with region.write(0, 1) as view:
                view[0] = 1
            memoryview(region._core._mapping)[0]

    assert in_child(touch) == -signal.SIGSEGV
