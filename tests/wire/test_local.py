"""Frames of the local socket: whole, in pieces, and hostile."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsm import errors
from dsm.limits import LOCAL_FRAME_BYTES_MAX
from dsm.wire.local import LENGTH, FrameReader, default_socket, encode, error_from_map, error_to_map

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
messages = st.dictionaries(st.text(), values, max_size=4)


@given(st.lists(messages, max_size=4), st.data())
def test_messages_survive_any_cut_of_the_stream(sent: list[dict[str, object]], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader = FrameReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:end])
    assert received == sent


def test_an_empty_frame_is_refused() -> None:
    with pytest.raises(errors.ProtocolError, match="empty frame"):
        FrameReader().feed(LENGTH.pack(0))


def test_a_frame_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(errors.LimitExceeded, match="of 1,048,576 at most"):
        FrameReader().feed(LENGTH.pack(LOCAL_FRAME_BYTES_MAX + 1))


def test_a_frame_of_exactly_the_limit_passes() -> None:
    padding = b"x" * (LOCAL_FRAME_BYTES_MAX - len(msgpack.packb({"pad": b"x" * 70_000})) + 70_000)
    assert FrameReader().feed(encode({"pad": padding})) == [{"pad": padding}]


def test_a_message_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(errors.LimitExceeded):
        encode({"pad": b"x" * LOCAL_FRAME_BYTES_MAX})


@pytest.mark.parametrize(
    "body",
    [
        b"\xc1",
        msgpack.packb([1, 2]),
        msgpack.packb(7),
        msgpack.packb({1: 2}),
        msgpack.packb({b"op": 1}),
        msgpack.packb({"op": msgpack.ExtType(5, b"")}),
        msgpack.packb({"op": msgpack.Timestamp(1)}),
        msgpack.packb({"op": 1}) + b"\x00",
        msgpack.packb({"op": 1})[:-1],
        b"\x81\xa2\xff\xff\x01",
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff" * 100,
        b"\xdd\x00\x01\x00\x01" + b"\x00" * 70_000,
    ],
)
def test_bytes_that_are_not_a_map_with_names_are_refused(body: bytes) -> None:
    with pytest.raises(errors.ProtocolError):
        FrameReader().feed(LENGTH.pack(len(body)) + body)


@given(st.binary(max_size=300))
def test_random_bytes_never_do_anything_but_raise_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(errors.ProtocolError, errors.LimitExceeded):
        FrameReader(limit=64).feed(data)


@pytest.mark.parametrize("kind", errors.BY_NAME.values())
def test_every_error_keeps_its_class_and_its_words(kind: type[errors.DsmError]) -> None:
    error = kind("what was asked", remedy="Do this", definite=False)
    copy = error_from_map(FrameReader().feed(encode(error_to_map(error)))[0])
    assert (type(copy), str(copy), copy.definite) == (kind, "what was asked. Do this", False)


def test_an_error_class_of_a_later_version_is_still_an_error_of_ours() -> None:
    error = error_from_map({"type": "NotKnownYet", "message": "m", "remedy": "", "definite": True})
    assert type(error) is errors.DsmError and str(error) == "m"


@pytest.mark.parametrize("fields", [None, {}, {"type": 3, "message": "m", "remedy": "", "definite": True}])
def test_fields_that_are_no_error_are_refused(fields: object) -> None:
    with pytest.raises(errors.ProtocolError, match="an error without"):
        error_from_map(fields)


def test_the_socket_is_the_named_one_or_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsm.wire.local.SYSTEM_SOCKET", "/nonexistent/node.sock")
    monkeypatch.setenv("DSM_NODE", "/somewhere/n.sock")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_socket() == "/somewhere/n.sock"
    monkeypatch.delenv("DSM_NODE")
    assert default_socket() == "/run/user/7/dsm/node.sock"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_socket().startswith("/tmp/dsm-")


def test_the_systems_socket_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.delenv("DSM_NODE", raising=False)
    monkeypatch.setattr("dsm.wire.local.SYSTEM_SOCKET", str(tmp_path))
    assert default_socket() == str(tmp_path)


def test_it_needs_neither_grpc_nor_protobuf() -> None:
    code = "import sys, dsm.wire.local; sys.exit(any(m.split('.')[0] in ('grpc', 'google') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
