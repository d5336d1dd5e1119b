"""Errors across gRPC: a status code for anybody, and in the trailing metadata the class, words and remedy for us.

A status without our metadata comes from gRPC itself or from a proxy on the way: the other side is not there, or did
not answer in time. Whether the call happened is then open, so the error is not `definite`.
"""

from __future__ import annotations

from typing import NoReturn, Protocol

import grpc

from dsm import errors
from dsm.errors import BY_NAME, DirectoryUnavailable, DsmError, Unavailable

KIND, MESSAGE, REMEDY, DEFINITE = "dsm-error", "dsm-message-bin", "dsm-remedy-bin", "dsm-definite"

TEXT_CHARS_MAX = 1000  # of message and of remedy; gRPC bounds all metadata of a call by 8 KiB

Metadata = tuple[tuple[str, str | bytes], ...]

_STATUS: tuple[tuple[type[DsmError], grpc.StatusCode], ...] = (
    (errors.InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.RegionExists, grpc.StatusCode.ALREADY_EXISTS),
    (errors.RegionNotFound, grpc.StatusCode.NOT_FOUND),
    (errors.AccessDenied, grpc.StatusCode.PERMISSION_DENIED),
    (errors.DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED),
    (errors.PageLost, grpc.StatusCode.DATA_LOSS),
    (errors.SessionLost, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.LimitExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.MemoryLimitExceeded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.ProtocolError, grpc.StatusCode.FAILED_PRECONDITION),
)


class Aborting(Protocol):
    """The part of grpc.aio's ServicerContext that ends a call with an error."""

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> NoReturn: ...


def status_of(error: DsmError) -> grpc.StatusCode:
    return next((code for kind, code in _STATUS if isinstance(error, kind)), grpc.StatusCode.UNKNOWN)


def metadata_of(error: DsmError) -> Metadata:
    return (
        (KIND, type(error).__name__),
        (MESSAGE, error.message[:TEXT_CHARS_MAX].encode("utf-8", "replace")),
        (REMEDY, error.remedy[:TEXT_CHARS_MAX].encode("utf-8", "replace")),
        (DEFINITE, str(int(error.definite))),
    )


async def abort(context: Aborting, error: DsmError) -> NoReturn:
    """End a call at the serving side."""
    await context.abort(status_of(error), str(error)[:TEXT_CHARS_MAX], metadata_of(error))


def error_of(
    failure: grpc.aio.AioRpcError, what: str, unreachable: type[Unavailable] = DirectoryUnavailable
) -> DsmError:
    """Return the error behind a failed call; `what` was asked, of whom: "open region 'x' at the directory h:p"."""
    pairs: list[tuple[str, str | bytes]] = list(failure.trailing_metadata() or ())  # type: ignore[arg-type]
    fields = dict(pairs)  # of pairs: the Metadata of grpcio 1.66 is no proper mapping
    kind = fields.get(KIND)
    if kind is None:
        return _unanswered(failure, what, unreachable)
    known = BY_NAME.get(_text(kind), DsmError)
    return known(_text(fields.get(MESSAGE)), remedy=_text(fields.get(REMEDY)), definite=fields.get(DEFINITE) != "0")


def _unanswered(failure: grpc.aio.AioRpcError, what: str, unreachable: type[Unavailable]) -> DsmError:
    reason = f"could not {what}: {failure.code().name}, {failure.details() or 'no details'}"
    if failure.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.RESOURCE_EXHAUSTED):
        return errors.ProtocolError(reason, remedy="Run the same version of dsm on every host")
    return unreachable(reason)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
