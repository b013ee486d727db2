"""Offers to switch protocols: WebSocket handshakes, and offers that the server ignores.

RFC 9110, 7.8: a server may ignore an offer, and then reads the request as if there were none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_LISTS: Final = frozenset({b"connection", b"sec-websocket-extensions", b"sec-websocket-protocol"})
"""Headers of a handshake that are comma-separated lists."""

_ELEMENT: Final = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+')
"""One element of a list; a quoted string may contain commas."""


def is_handshake(method: bytes, version: str, headers: Headers) -> bool:
    """Return whether a request with an upgrade asks for a WebSocket (RFC 6455, 4.1).

    HTTP/1.0 has no upgrades, and a handshake's method is GET.
    """
    offered = (
        element.lower()
        for name, value in headers
        if name == b"upgrade"
        for element in _elements(value)
    )
    return method == b"GET" and version == "1.1" and b"websocket" in offered


def has_body(headers: Headers) -> bool:
    """Return whether a body follows these headers."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and bool(value.strip(b"0")))
        for name, value in headers
    )


def without_offer(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """Return the head of a request without its offer to upgrade."""
    kept = [(name, value) for name, value in headers if name != b"upgrade"]
    return _head(method, url, version.encode(), kept)


def handshake_head(url: bytes, headers: Headers) -> bytes:
    """Return the head of a handshake in the form that the WebSocket library reads.

    The library accepts only one protocol to upgrade to, and no empty lists. A server may choose one
    of the offered protocols, and an empty list means nothing (RFC 9110, 5.6.1).
    """
    kept = [(b"upgrade", b"websocket")]
    for name, value in headers:
        if name in _LISTS:
            value = b", ".join(_elements(value))  # noqa: PLW2901 - the same list, normalised
        if name != b"upgrade" and (value or name not in _LISTS):
            kept.append((name, value))
    return _head(b"GET", url, b"1.1", kept)


def _head(method: bytes, url: bytes, version: bytes, headers: Headers) -> bytes:
    lines = [b"%s %s HTTP/%s" % (method, url, version)]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join([*lines, b"", b""])


def _elements(value: bytes) -> Iterator[bytes]:
    for element in _ELEMENT.findall(value):
        if stripped := element.strip():
            yield stripped


def closing_unless_asked(app: ASGIApp) -> ASGIApp:
    """Wrap an application for a client that waits for 100 Continue before it sends its body.

    If the application answers without reading the body, the connection is closed. The client might
    still send the body, which must not be taken for the next request.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = False

        async def ask() -> Message:
            nonlocal asked
            asked = True
            return await receive()

        async def send_unless_asked(message: Message) -> None:
            await send(message if asked else _closing(message))

        await app(scope, ask, send_unless_asked)

    return answer


def closing_after_body(app: ASGIApp) -> ASGIApp:
    """Wrap an application so that it answers after the request's body, and closes.

    If the connection were closed with unread data, the client might lose the response. A client
    that waits for 100 Continue sends no body.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            await send(_closing(message))

        waits = any(name == b"expect" for name, _ in scope["headers"])
        while not waits and (await receive()).get("more_body"):
            pass
        await app(scope, receive, send_and_close)

    return answer


def _closing(message: Message) -> Message:
    """Add the header ``Connection: close`` to the head of a response."""
    if message["type"] != "http.response.start":
        return message
    return {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
