"""One small run of the benchmark, and all that must be true of its document."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsm.bench.peer import missing
from dsm.bench.run import run
from dsm.cli import bench as command

pytestmark = pytest.mark.needs("userfaultfd")

PAGE_SIZES = (4096, 65536)
KINDS = ["minor", "read", "upgrade", "write", "hand-over", "hand-over"]
DOCUMENT = {"version", "machine", "peer", "peer_missing", "faults", "scans"}
FAULT = {"kind", "page_size", "hold_ms", "samples", "p50_us", "p99_us", "peer", "messages"}
SCAN = {"way", "bytes", "gb_per_s", "peer_gb_per_s"}

MESSAGES = {
    "minor": {},
    "read": {"GetS": 1, "Fetch": 1, "Data": 1, "Ack": 1, "Done": 1},
    "upgrade": {"GetM": 1, "Inv": 1, "Ack": 1, "Grant": 1, "Done": 1},
    "write": {"GetM": 1, "Inv": 1, "Data": 1, "Ack": 1, "Done": 1, "Release": 1},
}
"""What home and the nodes say to each other for one fault, with one other node that has the page."""


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


@pytest.fixture(scope="module")
def document(told: list[str]) -> dict[str, Any]:
    return run(PAGE_SIZES, 20, 1 << 20, told.append)


def test_the_document_has_the_fields_it_is_known_for(document: dict[str, Any], told: list[str]) -> None:
    assert set(document) == DOCUMENT
    assert all(set(row) == FAULT for row in document["faults"])
    assert all(set(row) == SCAN for row in document["scans"])
    assert json.loads(json.dumps(document)) == document
    assert told == ["faults on pages of 4 KiB", "faults on pages of 64 KiB", "scans of 1 MiB"]


def test_every_kind_of_fault_is_measured_at_every_page_size(document: dict[str, Any]) -> None:
    measured = [(row["page_size"], row["kind"]) for row in document["faults"]]
    assert measured == [(size, kind) for size in PAGE_SIZES for kind in KINDS]
    assert {row["samples"] for row in document["faults"]} == {20}
    assert all(0 < row["p50_us"] <= row["p99_us"] for row in document["faults"])
    assert [row["hold_ms"] for row in document["faults"][4:6]] == [0.0, 1.0]


def test_a_fault_costs_the_messages_of_its_kind_and_no_more(document: dict[str, Any]) -> None:
    for row in document["faults"]:
        if row["kind"] in MESSAGES:
            assert row["messages"] == MESSAGES[row["kind"]], row


def test_a_large_region_is_read_in_three_ways(document: dict[str, Any]) -> None:
    assert [row["way"] for row in document["scans"]] == ["scope", "read-ahead", "prefetch"]
    assert all(row["bytes"] == 1 << 20 and row["gb_per_s"] > 0 for row in document["scans"])


def test_the_peer_is_measured_beside_it_or_its_absence_told(document: dict[str, Any]) -> None:
    if missing():
        assert (document["peer"], document["peer_missing"]) == (None, missing())
        assert all(row["peer"] is None for row in document["faults"])
        return
    assert document["peer_missing"] is None
    assert all(row["peer"]["p50_us"] > 0 for row in document["faults"])
    assert {row["peer"]["operation"] for row in document["faults"] if row["kind"] == "hand-over"} == {"SET+GET"}


def test_the_table_for_people_has_a_line_for_each_row(
    document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("dsm.bench.run.run", lambda *_: document)
    command.bench.main([], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(document["faults"]) + 1 + 1 + len(document["scans"]) + 2
    assert lines[0].split()[:5] == ["FAULT", "PAGE", "HOLD", "P50", "P99"]
