"""The workload that stamps pages, and what it makes of pages that are torn, old or foreign."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from dsm.stress.judge import judge_torn
from dsm.stress.plan import Round
from dsm.stress.torn import Torn, final_versions, lost_writes, stamp
from tests.stress.memory import Client, Region

PLAN = Round(number=1, seconds=0.05, page_size=4096, hold=0.0, pages=2)


@pytest.fixture
def memory() -> bytearray:
    return bytearray(PLAN.bytes)


def acted(memory: bytearray) -> dict[str, Any]:
    """What a worker finds in this memory and writes into it."""
    region = Region(memory, PLAN.page_size)
    torn = Torn(cast(Any, Client(region)), cast(Any, region), PLAN, worker=1, seed=5)
    torn.act()
    return torn.result()


def versions(memory: bytearray) -> list[int]:
    return final_versions(cast(Any, Region(memory, PLAN.page_size)), PLAN.pages)


def test_whole_pages_are_good(memory: bytearray) -> None:
    results = [acted(memory), acted(memory)]
    judgement = judge_torn(results, versions(memory))
    assert judgement.violations == []
    assert judgement.operations > 100
    assert sum(sum(result["writes"]) for result in results) == sum(versions(memory)) > 0


def test_a_word_of_an_older_version_is_a_torn_page(memory: bytearray) -> None:
    words = np.frombuffer(memory, "<u8")
    words[:512], words[512:] = stamp(0, 7), stamp(1, 3)
    words[100] = stamp(0, 6)
    assert "page 0 is torn: words of versions 6 and 7" in acted(memory)["faults"]


def test_a_word_of_another_page_is_told(memory: bytearray) -> None:
    np.frombuffer(memory, "<u8")[:512] = stamp(1, 7)
    assert any("nobody has written there" in fault for fault in acted(memory)["faults"])


def test_a_page_that_goes_back_in_time_is_told(memory: bytearray) -> None:
    region = Region(memory, PLAN.page_size)
    torn = Torn(cast(Any, Client(region)), cast(Any, region), PLAN, worker=1, seed=5)
    torn.act()
    memory[:] = bytes(len(memory))
    torn.act()
    assert any("has version 0 after version" in fault for fault in torn.result()["faults"])


def test_writes_that_no_version_shows_are_lost() -> None:
    assert lost_writes([5, 2], [[3, 1], [2, 1]]) == []
    assert lost_writes([4, 2], [[3, 1], [2, 1]]) == ["page 0 has version 4 and was written 5 times"]
