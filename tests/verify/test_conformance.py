"""Traces that daemons of the core would have left, and each kind of those that they would not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsm.core.cache import CachePage
from dsm.core.effects import Send, SendTo
from dsm.core.events import Received, SessionEnded, Wanted
from dsm.core.home_page import HomePage
from dsm.core.messages import Ack, Data, Done, GetM, GetS, Grant, Inv, Lost, Release
from dsm.core.types import Epoch, RegionId, RequestId, Source
from dsm.trace.records import CacheStepped, HomeStepped, Refused, RegionBegan, RegionEnded, SessionBegan
from dsm.verify.conformance import Conformance, check_conformance
from tests.sim.simulation import run
from tests.sim.traces import Traces
from tests.verify.recorded import HOME, NODES, REGION, A, B, Cluster

OTHER = RegionId(8)


@pytest.fixture
def cluster() -> Cluster:
    """Two nodes have written page 0 in turn and read it; then one has written page 1."""
    cluster = Cluster()
    cluster.wants(A, 0, write=True)
    cluster.wants(B, 0, write=True)
    cluster.wants(A, 0, write=False)
    cluster.wants(A, 1, write=True)
    return cluster


def rules(report: Conformance) -> set[str]:
    assert report.verdict == "drift" and not report.ok
    return {drift.rule for drift in report.drifts}


def told(report: Conformance, rule: str) -> str:
    return next(str(drift) for drift in report.drifts if drift.rule == rule)


# --- good ones --------------------------------------------------------------------------------------------------------


def test_what_the_core_would_have_done_is_good(cluster: Cluster) -> None:
    report = cluster.judged()
    assert report.verdict == "ok" and report.ok and not report.drifts
    assert (report.processes, report.sessions, report.pages, report.one_sided) == (3, 2, 2, 0)
    steps = sum(isinstance(r, HomeStepped | CacheStepped) for records in cluster.traces.values() for r in records)
    assert report.steps == steps
    # A zero page: GetM, Grant, Done. The second write: GetM, Inv, Data, Ack, Done, Release. The read: as that.
    assert report.matched == 3 + 6 + 5 + 3
    assert (report.under_way, report.beyond, report.cut_short) == (0, 0, [])


def test_nothing_recorded_is_a_failure() -> None:
    assert check_conformance([]).verdict == "nothing was recorded"
    assert not Cluster().judged().ok


def test_the_end_of_a_session_is_good_when_every_page_is_told(cluster: Cluster) -> None:
    cluster.leaves(B)
    assert cluster.judged().ok


def test_what_was_under_way_when_a_session_ended_may_be_missing(cluster: Cluster) -> None:
    cluster.happens(B, 1, Wanted(write=False, request=RequestId(99)))
    report = cluster.judged()
    assert report.ok and report.under_way == 1


def test_a_killed_process_may_lack_the_last_that_it_said(cluster: Cluster) -> None:
    del cluster.traces[A][cluster.steps(A, Grant)[-1] :]
    report = cluster.judged(A)
    assert report.ok and report.beyond == 1 and report.cut_short == [A]
    assert "invented" in rules(cluster.judged())


def test_what_is_said_about_a_region_that_is_gone_need_not_be_heard(cluster: Cluster) -> None:
    cluster.happens(B, 1, Wanted(write=False, request=RequestId(99)))
    cluster.traces[HOME] += [RegionEnded(REGION), RegionBegan(OTHER, HomePage())]
    asked = CacheStepped(OTHER, 0, Wanted(False, RequestId(100)), (Send(GetS(RequestId(100))),))
    cluster.traces[B] += [RegionBegan(OTHER, CachePage()), asked]
    cluster.traces[HOME].append(zeros_for_b(OTHER, 0, RequestId(100)))
    assert cluster.judged().ok
    cluster.traces[HOME].remove(RegionEnded(REGION))
    assert rules(cluster.judged()) == {"dropped or overtaken"}


def test_every_seed_of_the_simulator_is_good() -> None:
    for seed in range(1, 25):
        traces = Traces()
        assert run(seed, traces=traces).broken is None
        report = check_conformance(traces.records())
        assert report.ok and report.matched > 0 and report.beyond == 0, f"seed {seed}: {report.drifts[:1]}"


def test_a_session_with_one_trace_is_judged_as_far_as_it_goes(cluster: Cluster) -> None:
    del cluster.traces[B]
    report = cluster.judged()
    assert (report.verdict, report.ok, report.one_sided) == ("incomplete", False, 1)
    assert report.beyond == 1, "the bytes that B sent to A"
    cluster.traces[A].append(CacheStepped(REGION, 1, Received(Release(RequestId(77))), ()))
    assert rules(cluster.judged()) == {"invented"}


def test_one_trace_alone_is_compared_with_nothing(cluster: Cluster) -> None:
    del cluster.traces[A], cluster.traces[B]
    report = cluster.judged()
    assert (report.verdict, report.ok, report.matched) == ("nothing was compared", False, 0)


def test_traces_that_lack_more_than_they_have_are_not_good(cluster: Cluster) -> None:
    for name in (A, B):
        del cluster.traces[name][4:]
    report = cluster.judged(A, B)
    assert report.beyond > report.matched > 0 and report.drifts == []
    assert (report.verdict, report.ok) == ("incomplete", False)


# --- within a process -------------------------------------------------------------------------------------------------


def test_an_effect_that_the_core_does_not_give(cluster: Cluster) -> None:
    spoil(cluster, A, Inv, effects=(Send(Ack(RequestId(2))),))
    drift = told(cluster.judged(), "effects")
    assert "a, page 7/0" in drift
    assert "recorded are Send(message=Ack(request=2)), the core gives Protect(), Retain(), Drop(), Supply" in drift
    assert "Wanted(write=True, request=1)" in drift, "the story of the page"


def test_home_sends_what_the_core_does_not(cluster: Cluster) -> None:
    spoil(cluster, HOME, GetM, effects=())
    assert "home, page 7/0: recorded are nothing, the core gives to node 1: Grant" in told(cluster.judged(), "effects")


def test_an_input_that_has_no_row(cluster: Cluster) -> None:
    cluster.traces[B].append(CacheStepped(REGION, 5, Received(Lost(RequestId(1))), ()))
    cluster.traces[A].append(CacheStepped(REGION, 0, Received(Inv(RequestId(5), to=NODES[B], grants=True)), ()))
    assert "no row" in told(cluster.judged(), "effects")


def test_a_refusal_is_told_even_if_the_core_would_have_refused(cluster: Cluster) -> None:
    cluster.traces[HOME].append(Refused(REGION, 0, "no row for this"))
    assert "home, page 7/0: no row for this" in told(cluster.judged(), "refused")


def test_a_page_of_a_region_that_the_process_does_not_have(cluster: Cluster) -> None:
    cluster.traces[B].insert(3, RegionEnded(REGION))
    assert "does not have" in told(cluster.judged(), "effects")


def test_a_page_that_starts_with_another_record_than_it_says(cluster: Cluster) -> None:
    cluster.traces[HOME][1] = RegionBegan(REGION, HomePage(lost=True))
    assert "the core gives to node 1: Lost" in told(cluster.judged(), "effects")


@pytest.mark.parametrize("who", [HOME, B])
def test_a_page_that_is_not_told_of_the_end_of_a_session(cluster: Cluster, who: str) -> None:
    cluster.leaves(B)
    del cluster.traces[who][cluster.steps(who, SessionEnded)[0]]
    assert "session end" in rules(cluster.judged())


# --- between processes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("who", "kind"), [(A, Release), (B, Grant), (HOME, Ack), (HOME, GetS)])
def test_a_message_that_was_not_heard_though_a_later_one_was(cluster: Cluster, who: str, kind: type) -> None:
    cluster.wants(B, 1, write=True)
    cluster.wants(B, 2, write=True)
    cluster.wants(B, 3, write=True)
    del cluster.traces[who][cluster.steps(who, kind)[0]]
    assert "dropped or overtaken" in rules(cluster.judged())


def test_messages_about_two_pages_that_change_places(cluster: Cluster) -> None:
    cluster.happens(B, 2, Wanted(write=False, request=RequestId(50)))
    cluster.happens(B, 3, Wanted(write=False, request=RequestId(51)))
    cluster.traces[HOME] += [zeros_for_b(REGION, 3, RequestId(51)), zeros_for_b(REGION, 2, RequestId(50))]
    report = cluster.judged()
    assert rules(report) == {"dropped or overtaken"}
    assert "page 7/2: GetS(request=50) of b was not heard before GetS(request=51) about page 7/3" in str(
        report.drifts[0]
    )


def test_a_message_that_is_heard_twice(cluster: Cluster) -> None:
    at = cluster.steps(HOME, Ack)[0]
    repeat(cluster, HOME, at)
    assert "said once by a" in told(cluster.judged(), "heard twice")


def test_a_message_that_nobody_said(cluster: Cluster) -> None:
    cluster.traces[A].append(CacheStepped(REGION, 1, Received(Release(RequestId(77))), ()))
    assert rules(cluster.judged()) == {"invented"}
    assert "Release(request=77) was heard, and never said by home" in told(cluster.judged(), "invented")


def test_a_message_of_a_node_without_a_session(cluster: Cluster) -> None:
    cluster.leaves(B)
    cluster.traces[HOME].append(HomeStepped(REGION, 4, 1, NODES[B], Done(RequestId(9), ok=True), ()))
    assert "node 2, which has no session" in told(cluster.judged(), "invented")


def test_bytes_that_came_twice_and_were_sent_once(cluster: Cluster) -> None:
    at = cluster.steps(B, Data)[0]
    repeat(cluster, B, at)
    report = cluster.judged()
    assert rules(report) == {"invented bytes"}
    assert "received 2 times and supplied 1 times" in str(report.drifts[0])


def test_bytes_whose_sender_may_have_been_killed_are_not_judged(cluster: Cluster) -> None:
    at = cluster.steps(B, Data)[0]
    repeat(cluster, B, at)
    report = cluster.judged(A)
    assert report.ok and report.beyond == 1


# --- over all processes -----------------------------------------------------------------------------------------------


def test_two_sessions_that_write_the_same_version(cluster: Cluster) -> None:
    """Node B, which home knows nothing of, says that it was granted what A was."""
    steps = [cluster.traces[A][at] for at in (*cluster.steps(A, Wanted)[-1:], *cluster.steps(A, Grant)[-1:])]
    began = SessionBegan("cluster", NODES[B], Epoch(5))
    cluster.traces["impostor"] = [cluster.traces[B][0], began, cluster.traces[B][2], *steps]
    drift = told(cluster.judged(), "single writer")
    assert "version 1 is written in epoch 5" in drift and "page 7/1" in drift


def test_a_node_that_writes_a_version_twice(cluster: Cluster) -> None:
    cluster.traces[A].append(RegionBegan(REGION, CachePage()))
    cluster.traces[A] += [cluster.traces[A][at] for at in (cluster.steps(A, Wanted)[-1], cluster.steps(A, Grant)[-1])]
    assert "a second time" in told(cluster.judged(), "single writer")


# --- spoiling ---------------------------------------------------------------------------------------------------------


def spoil(cluster: Cluster, who: str, kind: type, **changes: object) -> None:
    at = cluster.steps(who, kind)[0]
    cluster.traces[who][at] = replace(cluster.traces[who][at], **changes)  # type: ignore[arg-type]


def repeat(cluster: Cluster, who: str, at: int) -> None:
    """Let a process take in once more what has no effects the second time."""
    again = cluster.traces[who][at]
    cluster.traces[who].insert(at + 1, replace(again, effects=()))  # type: ignore[arg-type]


def zeros_for_b(region: RegionId, page: int, request: RequestId) -> HomeStepped:
    grant = Grant(request, 0, write=False, source=Source.ZERO)
    return HomeStepped(region, page, 1, NODES[B], GetS(request), (SendTo(NODES[B], grant),))
