"""Errors as RFC 9457 ``application/problem+json``."""

from __future__ import annotations

from http import HTTPStatus
from typing import Literal

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from bookcast.errors import ERRORS, InvalidInput
from bookcast.limits import retry_after


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What went wrong with a request.

    ``path``: the wrong field, for instance bids[3].price. ``retry``: the same request may succeed
    later. ``published``: after a failed publication, whether nothing was published, or that is
    unknown. ``channel`` and ``symbol``: the topic, as the request named it.
    """

    title: str
    status: int
    detail: str
    code: str
    path: str = ""
    retry: bool = False
    published: Literal["nothing", "unknown"] | None = None
    channel: str | None = None
    symbol: str | None = None


class ProblemResponse(Response):
    """A problem as an HTTP response."""

    media_type = "application/problem+json"


_CODES = {404: "not_found", 405: "method_not_allowed"}


def response(code: str, detail: str, *, path: str = "", **headers: str) -> Response:
    """Return the response for an error code of ``errors.ERRORS``."""
    return of(InvalidInput(code, detail, path=path), **headers)


def of(error: InvalidInput, **headers: str) -> Response:
    """Return the response for an error of the client."""
    kind = ERRORS[error.code]
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = retry_after(error.retry_after)
    problem = Problem(
        kind.title,
        kind.status,
        error.message,
        error.code,
        error.path,
        kind.retry,
        error.published,
        error.channel,
        error.symbol,
    )
    return ProblemResponse(msgspec.json.encode(problem), kind.status, headers)


async def on_invalid_input(request: Request, error: Exception) -> Response:
    """Answer an error of the client; name the topic that the request was about."""
    assert isinstance(error, InvalidInput)
    path = request.path_params
    named = path.get("symbol", request.query_params.get("symbol"))
    return of(error.about(error.channel or path.get("channel"), error.symbol or named))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: an unknown path or method."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code in _CODES:
        detail = (
            f"There is nothing at {request.url.path}"
            if error.status_code == HTTPStatus.NOT_FOUND
            else f"{request.url.path} takes {headers.get('Allow', 'other methods')}, "
            f"not {request.method}"
        )
        return response(_CODES[error.status_code], detail, **headers)
    problem = Problem(error.detail, error.status_code, error.detail, "internal_error")
    return ProblemResponse(msgspec.json.encode(problem), error.status_code, headers)


async def on_fault(_request: Request, _error: Exception) -> Response:
    """Answer after a fault of the server; the log has the details."""
    return response("internal_error", "The server met a fault of its own; its log tells more")


def as_http(error: InvalidInput) -> bytes:
    """Return the whole response for an error, to send without the application."""
    answer = of(error)
    head = [f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}".encode()]
    head += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*head, b"connection: close", b"", bytes(answer.body)])
