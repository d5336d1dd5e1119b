"""Programs made from cycles, against what the literature says of them."""

from __future__ import annotations

import pytest

from dsm.errors import InvalidArgument
from dsm.litmus.outcomes import allowed, conceivable, describe
from dsm.litmus.shapes import NAMED, Shape, generated, named, shape

BY_NAME = {shape.name: shape for shape in named()}

FORBIDDEN = {
    "MP": {"1:y=1 1:x=0"},
    "SB": {"0:y=0 1:x=0"},
    "LB": {"0:x=1 1:y=1"},
    "R": {"1:x=0 [y]=2"},
    "S": {"1:y=1 [x]=1"},
    "2+2W": {"[x]=1 [y]=2"},
    "IRIW": {"1:x=1 1:y=0 3:y=1 3:x=0"},
    "WRC": {"1:x=1 2:y=1 2:x=0"},
    "ISA2": {"1:y=1 2:z=1 2:x=0"},
    "RWC": {"1:x=1 1:y=0 2:x=0"},
    "CoRR": {"1:x=1 1:x=0"},
    "CoWW": {"1:x=0 [x]=1", "1:x=1 [x]=1", "1:x=2 [x]=1"},
    "CoRW": {"1:x=1 [x]=1", "1:x=2 [x]=1", "1:x=2 [x]=2"},
    "CoWR": {"0:x=0 [x]=1", "0:x=0 [x]=2", "0:x=2 [x]=1"},
    "3.SB": {"0:y=0 1:z=0 2:x=0"},
    "3.LB": {"0:x=1 1:y=1 2:z=1"},
    "3.2W": {"[x]=1 [y]=2 [z]=2"},
    "W+RWC": {"1:y=1 1:z=0 2:x=0"},
}
RELAXED_ON_X86 = {"SB", "R", "RWC", "3.SB", "W+RWC"}
"""The named shapes with a store before a load of another word, and nothing else to keep their circle from closing."""


def forbidden(shape: Shape, buffered: frozenset[int] = frozenset()) -> set[str]:
    return {describe(shape, outcome) for outcome in conceivable(shape) - allowed(shape, buffered)}


@pytest.mark.parametrize("name", NAMED)
def test_sequential_consistency_forbids_what_the_literature_says(name: str) -> None:
    assert forbidden(BY_NAME[name]) == FORBIDDEN[name]


@pytest.mark.parametrize("name", NAMED)
def test_store_buffers_allow_what_x86_allows_and_no_more(name: str) -> None:
    shape = BY_NAME[name]
    everybody = frozenset(range(len(shape.threads)))
    assert forbidden(shape, everybody) == (set() if name in RELAXED_ON_X86 else FORBIDDEN[name])


def test_a_load_finds_its_own_store_in_the_buffer_before_others_do() -> None:
    forwarding = Shape("n6-like", "", shape("SB", NAMED["SB"]).threads)
    first, second = forwarding.threads
    own_first = Shape("SB+rfi", "", ((first[0], first[0]._replace(value=0), first[1]), second))
    relaxed = {describe(own_first, outcome) for outcome in allowed(own_first, frozenset({0, 1}))}
    assert "0:x=1 0:y=0 1:x=0" in relaxed
    assert not any("0:x=0" in outcome for outcome in relaxed)


def test_a_buffer_in_one_thread_alone_is_enough_for_none_of_the_symmetric_shapes() -> None:
    assert forbidden(BY_NAME["SB"], frozenset({0})) == set()  # either store may be the one that waits
    assert forbidden(BY_NAME["2+2W"], frozenset({0})) == FORBIDDEN["2+2W"]


def test_generation_finds_the_named_cycles_and_each_is_forbidden() -> None:
    found = {count: generated(count) for count in (2, 3, 4)}
    assert {shape.name for shape in found[2]} == {"MP", "SB", "LB", "R", "S", "2+2W"}
    assert {"WRC", "ISA2", "RWC", "W+RWC", "3.SB", "3.LB", "3.2W"} <= {shape.name for shape in found[3]}
    assert "IRIW" in {shape.name for shape in found[4]}
    assert {count: len(shapes) for count, shapes in found.items()} == {2: 6, 3: 17, 4: 45}
    assert all(forbidden(shape) for shapes in found.values() for shape in shapes)


def test_a_program_reads_like_one() -> None:
    assert str(BY_NAME["MP"]) == "x=1; y=1 | read y; read x"
    assert str(BY_NAME["CoWW"]) == "x=1; x=2 | read x"


@pytest.mark.parametrize("cycle", ["PodWW Rfe PodWW Fre", "Fre PodWR", "PodWW Coe PodRW Rfe"])
def test_edges_that_make_no_circle_are_refused(cycle: str) -> None:
    with pytest.raises(InvalidArgument, match="cycle"):
        shape("none", cycle)
