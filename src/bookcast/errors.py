"""The exception tree, the table of error codes, and the close codes with their advice to clients.

BookcastError
├── StartupError        the server can't start; the message is all the user sees (exit code 2)
│   └── SettingError    a setting is wrong; names the setting
└── InvalidInput        a client or publisher sent invalid input; names the code and the place

Two exceptions are no errors of the program. Callers of what nodes share catch them:
EngineAwayError, when Redis can't be reached, and FencedError, when another node runs the feed.
"""

from __future__ import annotations

import ast
import enum
import re
from typing import Any, Final, Literal, Self

import msgspec

from bookcast.allowed_words import words_of


class BookcastError(Exception):
    """The base of all exceptions that bookcast raises on purpose for its users."""


class StartupError(BookcastError):
    """The server can't start. The message is one sentence that says what to do."""


class SettingError(StartupError):
    """A setting has a wrong value. The message names the setting and where its value came from."""


class InvalidInput(BookcastError):
    """A client or publisher sent invalid input. It changed nothing.

    Attributes:
        code: a key of :data:`ERRORS`.
        message: one sentence for a person.
        path: the place in the input, for instance ``bids[3].price``; empty for the whole.
        retry_after: seconds after which a retry may succeed; None where that isn't known.
        published: for a refused publication, whether ``nothing`` was published, or that is
            ``unknown``.
        reason: the name under which it is counted; the code, unless several limits share it.
        channel: the channel it is about, as the sender wrote it; None if unknown.
        symbol: the symbol it is about, as the sender wrote it; None if unknown.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        path: str = "",
        retry_after: float | None = None,
        published: Literal["nothing", "unknown"] | None = None,
        reason: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.retry_after = retry_after
        self.published = published
        self.reason = reason or code
        self.channel: str | None = None
        self.symbol: str | None = None

    def about(self, channel: object, symbol: object) -> Self:
        """Note the channel and symbol that it is about, where they are text."""
        self.channel = brief(channel) if isinstance(channel, str) else self.channel
        self.symbol = brief(symbol) if isinstance(symbol, str) else self.symbol
        return self

    def __str__(self) -> str:
        """Return the sentence with channel and symbol, since a traceback shows nothing else."""
        about = " of ".join(brief(one) for one in (self.channel, self.symbol) if one)
        return f"{self.message} ({about})" if about else self.message


class EngineAwayError(Exception):
    """The engine can't be reached, or can't work. The message says why, for a person.

    ``unsure``: nobody knows whether the call was executed. Else it wasn't.
    """

    def __init__(self, reason: str, *, unsure: bool = False) -> None:
        super().__init__(reason)
        self.unsure = unsure


class FencedError(Exception):
    """Another node runs the feed by now."""


MAX_BRIEF: Final = 64
"""An answer quotes at most so many characters of the input. No valid name is longer."""


def brief(text: str) -> str:
    """Return a text of the input, cut if it is too long to be quoted."""
    return text if len(text) <= MAX_BRIEF else f"{text[:MAX_BRIEF]}…"


def quoted(value: object) -> str:
    """Return a value of the input as errors quote it: text in quotes, and cut if it is long."""
    return repr(brief(value)) if isinstance(value, str) else brief(repr(value))


_PLACE: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_NO_CHOICE: Final = re.compile(r"^Invalid enum value (?P<value>.*)$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(.+)`$")
_FRACTION: Final = r"\1, got one with a fraction"
_WORDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a decimal",
    "str": "text",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
}


def _words(named: re.Match[str]) -> str:
    """Return the types that a validation error names, in plain words."""
    types = named[1].split(" | ")
    if "float" in types and "int" in types:
        types.remove("int")
    return " or ".join(_WORDS.get(name, name) for name in types)


def explain(error: msgspec.ValidationError, kind: Any = None) -> tuple[str, str]:
    """Return the path and the sentence of a validation error, in plain words.

    ``kind``: the type that was decoded. For a wrong word, its allowed words are listed.
    """
    match = _PLACE.match(str(error))
    assert match is not None  # the pattern matches any text
    path = (match["path"] or "").removeprefix(".")
    missing = _MISSING.match(match["what"])
    if missing is not None:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return path, f"{path} is missing"
    words = ", ".join(words_of(kind, path))
    no_choice = _NO_CHOICE.match(match["what"])
    if no_choice is not None:
        # msgspec writes the value as a Python literal.
        sentence = (
            f"{quoted(ast.literal_eval(no_choice['value']))} isn't one of {words or 'its words'}"
        )
        return path, f"{path}: {sentence}" if path else sentence
    what = match["what"]
    # Counts written as 1.0 have been accepted before, so this one has a fraction.
    what = re.sub(r"^(Expected `(?![^`]*float)[^`]*int[^`]*`), got `float`$", _FRACTION, what)
    what = what.replace("`float` that's a multiple of 1.0", "a whole number")
    what = re.sub("`([^`]*)`", _words, what)
    # Publishers' fields have this one pattern only.
    what = re.sub("text matching regex .*", "a word of 1 to 32 of a-z, 0-9 and _", what)
    what = what[:1].lower() + what[1:] + (f"; it is one of {words}" if words else "")
    return path, f"{path}: {what}" if path else what


class ErrorKind(msgspec.Struct, frozen=True):
    """The meaning of an error code: its HTTP status, a title, and whether a retry can help."""

    status: int
    title: str
    retry: bool = False


ERRORS: Final[dict[str, ErrorKind]] = {
    "invalid_request": ErrorKind(400, "Not valid HTTP"),
    "request_timeout": ErrorKind(408, "Too slow", retry=True),
    "invalid_json": ErrorKind(400, "Not valid JSON"),
    "unknown_protocol": ErrorKind(400, "Unknown protocol"),
    "invalid_client_id": ErrorKind(400, "Invalid client id"),
    "unauthenticated": ErrorKind(401, "Authentication required"),
    "invalid_token": ErrorKind(401, "Invalid token"),
    "token_expired": ErrorKind(401, "Token expired"),
    "forbidden": ErrorKind(403, "Not allowed"),
    "host_not_allowed": ErrorKind(421, "Host not allowed"),
    "origin_not_allowed": ErrorKind(403, "Origin not allowed"),
    "not_found": ErrorKind(404, "Not found"),
    "unknown_channel": ErrorKind(404, "Unknown channel"),
    "unknown_symbol": ErrorKind(404, "No data for this symbol yet", retry=True),
    "method_not_allowed": ErrorKind(405, "Method not allowed"),
    "body_too_large": ErrorKind(413, "Body too large"),
    "unsupported_media_type": ErrorKind(415, "Unsupported media type"),
    "invalid_symbol": ErrorKind(422, "Invalid symbol"),
    "invalid_message": ErrorKind(422, "Invalid message"),
    "invalid_book": ErrorKind(422, "Invalid order book"),
    "invalid_data": ErrorKind(422, "Invalid data"),
    "idempotency_conflict": ErrorKind(422, "The key was used for something else"),
    "unknown_action": ErrorKind(422, "Unknown action"),
    "not_subscribed": ErrorKind(422, "Not subscribed"),
    "not_supported": ErrorKind(422, "Not supported here"),
    "unknown_session": ErrorKind(422, "Unknown session"),
    "too_many_subscriptions": ErrorKind(422, "Too many subscriptions"),
    "feed_refused": ErrorKind(422, "Refused by the feed", retry=True),
    "upgrade_required": ErrorKind(426, "Upgrade required"),
    "too_many_connections": ErrorKind(429, "Too many connections", retry=True),
    "rate_limited": ErrorKind(429, "Too many messages", retry=True),
    "too_many_topics": ErrorKind(429, "Too many topics"),
    "too_many_reads": ErrorKind(429, "Too many reads", retry=True),
    "header_too_large": ErrorKind(431, "Header too large"),
    "internal_error": ErrorKind(500, "Internal error", retry=True),
    "page_not_built": ErrorKind(503, "The live page is not built"),
    "server_full": ErrorKind(503, "The server is full", retry=True),
    "keys_unavailable": ErrorKind(503, "Tokens can't be checked now", retry=True),
    "engine_unavailable": ErrorKind(503, "The engine is away", retry=True),
    "not_ready": ErrorKind(503, "Not ready", retry=True),
}


class CloseCode(enum.IntEnum):
    """Why the server closes a connection. :data:`CLOSE_REASONS` has the advice to clients.

    ``python -m scripts.client_types`` makes the clients' table from this one.
    """

    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_LATER = 1013
    TOO_SLOW = 4008
    HEARTBEAT_MISSED = 4009
    TOKEN_EXPIRED = 4010
    TAKEN_OVER = 4501
    REFUSED = 4503


IN_BAND: Final = {
    "unauthenticated": CloseCode.REFUSED,
    "invalid_token": CloseCode.REFUSED,
    "token_expired": CloseCode.TOKEN_EXPIRED,
    "keys_unavailable": CloseCode.TRY_LATER,
    "too_many_connections": CloseCode.TRY_LATER,
    "server_full": CloseCode.TRY_LATER,
}
"""Refusals of a handshake, and the close codes for clients that can't read its HTTP answer."""


FINAL_CODES: Final = range(4500, 5000)
"""These codes of ours ask clients not to reconnect; 4000 to 4499 ask them to reconnect."""


FINAL: Final = frozenset({CloseCode.POLICY, CloseCode.REFUSED})
"""After these close codes a session doesn't wait: its client may not come back."""


class CloseReason(msgspec.Struct, frozen=True):
    """A close code's sentence, and whether a client should reconnect."""

    reason: str
    reconnect: bool


CLOSE_REASONS: Final[dict[CloseCode, CloseReason]] = {
    CloseCode.INVALID_DATA: CloseReason("a text message is not valid UTF-8", reconnect=True),
    CloseCode.POLICY: CloseReason("more than a client may send", reconnect=False),
    CloseCode.TOO_BIG: CloseReason("message too big", reconnect=True),
    CloseCode.INTERNAL: CloseReason("internal error", reconnect=True),
    CloseCode.RESTART: CloseReason("the server restarts", reconnect=True),
    CloseCode.TRY_LATER: CloseReason("the server is full, or you have enough", reconnect=True),
    CloseCode.TOO_SLOW: CloseReason("nothing was taken for SLOW_TIMEOUT", reconnect=True),
    CloseCode.HEARTBEAT_MISSED: CloseReason("a ping was not answered", reconnect=True),
    CloseCode.TOKEN_EXPIRED: CloseReason("the token has expired", reconnect=True),
    CloseCode.TAKEN_OVER: CloseReason("another connection resumed the session", reconnect=False),
    CloseCode.REFUSED: CloseReason("not authenticated", reconnect=False),
}
