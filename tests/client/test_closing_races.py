"""A region that one thread closes while another uses it: what the other gets is RegionClosed, wherever it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import dsm
from dsm.errors import ArraysAlive, RegionClosed


def once_before(region: dsm.Region, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Act as another thread would, just before the next call to the node daemon."""
    core = region._core.core
    call, acted = core.call, threading.Event()

    async def after_the_act(*arguments: Any, **options: Any) -> Any:
        if not acted.is_set():
            acted.set()
            act()
        return await call(*arguments, **options)

    monkeypatch.setattr(core, "call", after_the_act)


@pytest.mark.parametrize("use", [dsm.Region.who_has, dsm.Region.prefetch, dsm.Region.flush])
def test_a_call_that_comes_after_the_detach_says_that_the_region_was_closed(
    client: dsm.Client, name: str, monkeypatch: pytest.MonkeyPatch, use: Callable[[dsm.Region], object]
) -> None:
    region = client.create(name, 4096)
    once_before(region, monkeypatch, region.close)
    with pytest.raises(RegionClosed):
        use(region)


def test_a_scope_that_comes_after_the_detach_says_that_the_region_was_closed(
    client: dsm.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = client.create(name, 4096)
    once_before(region, monkeypatch, region.close)
    with pytest.raises(RegionClosed), region.write(0, 8):
        pytest.fail("the scope began")


@pytest.mark.needs("userfaultfd")
@pytest.mark.parametrize("use", [lambda region: region.buf, lambda region: region.ndarray((8,), "u1")])
def test_an_array_over_a_mapping_that_is_just_being_closed_is_refused(
    client: dsm.Client, name: str, use: Callable[[dsm.Region], object]
) -> None:
    region = client.create(name, 4096)
    region._core._mapping.close()  # what close() does first
    with pytest.raises(RegionClosed):
        use(region)
    region.close()
    assert region.closed


@pytest.mark.needs("userfaultfd")
def test_threads_that_use_a_region_while_it_is_closed_get_nothing_but_that_it_was_closed(
    client: dsm.Client, name: str
) -> None:
    region = client.create(name, 65536, page_size=4096)
    raised: list[BaseException] = []

    def use(act: Callable[[], object]) -> None:
        try:
            while True:
                act()
        except BaseException as error:  # noqa: BLE001  # which it was is what is tested
            raised.append(error)

    def in_a_scope() -> None:
        with region.write(0, 4096) as view:
            view[0] = 1

    acts: list[Callable[[], object]] = [in_a_scope, region.who_has, region.flush, lambda: region.ndarray((8,), "u1")]
    threads = [threading.Thread(target=use, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    while not region.closed:
        try:
            region.close()
        except ArraysAlive:
            threading.Event().wait(0.001)
    for thread in threads:
        thread.join(10)
    assert {type(error) for error in raised} == {RegionClosed} and len(raised) == len(threads), raised
