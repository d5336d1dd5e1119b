"""Errors across gRPC keep their class, their words and their remedy."""

from __future__ import annotations

import grpc
import pytest

from dsm import errors
from dsm.errors import BY_NAME, DsmError
from dsm.wire.failures import TEXT_CHARS_MAX, Metadata, error_of, metadata_of, status_of


def failure(code: grpc.StatusCode, metadata: Metadata = (), details: str = "words") -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata(*metadata)
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details, None)


@pytest.mark.parametrize("kind", BY_NAME.values())
def test_every_error_crosses_as_it_was(kind: type[DsmError]) -> None:
    error = kind("naïve ünknown\nline", remedy="Do this", definite=False)
    copy = error_of(failure(status_of(error), metadata_of(error)), "ask")
    assert (type(copy), copy.message, copy.remedy, copy.definite) == (kind, error.message, "Do this", False)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgument("x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.RegionNotFound("x"), grpc.StatusCode.NOT_FOUND),
        (errors.RegionExists("x"), grpc.StatusCode.ALREADY_EXISTS),
        (errors.SessionLost("x"), grpc.StatusCode.FAILED_PRECONDITION),
        (errors.DirectoryUnavailable("x"), grpc.StatusCode.UNAVAILABLE),
        (errors.ArraysAlive("x"), grpc.StatusCode.UNKNOWN),
    ],
)
def test_others_can_tell_errors_by_their_status(error: DsmError, code: grpc.StatusCode) -> None:
    assert status_of(error) is code


def test_words_of_any_length_fit_into_the_metadata() -> None:
    error = errors.ProtocolError("ü" * 100_000, remedy="x" * 100_000)
    assert sum(len(key) + len(value) for key, value in metadata_of(error)) < 8192
    assert error_of(failure(status_of(error), metadata_of(error)), "ask").message == "ü" * TEXT_CHARS_MAX


def test_an_error_of_a_later_version_is_still_one_of_ours() -> None:
    metadata = tuple((key, "NotKnownYet" if key == "dsm-error" else value) for key, value in metadata_of(DsmError("m")))
    assert type(error_of(failure(grpc.StatusCode.UNKNOWN, metadata), "ask")) is DsmError


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
def test_a_call_without_answer_may_have_happened(code: grpc.StatusCode) -> None:
    error = error_of(failure(code), "open region 'x'")
    assert isinstance(error, errors.DirectoryUnavailable) and not error.definite
    assert "open region 'x'" in str(error) and code.name in str(error)


def test_a_call_that_the_other_side_does_not_know_hints_at_versions() -> None:
    error = error_of(failure(grpc.StatusCode.UNIMPLEMENTED, details=""), "ask")
    assert isinstance(error, errors.ProtocolError) and "same version" in error.remedy
