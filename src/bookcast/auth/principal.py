"""Principals and their rights: scopes, symbols, channels, and limits."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bookcast.errors import InvalidInput, explain
from bookcast.model.topics import CHANNELS, FUTURES_OF_HK, MARKETS, Channel, Symbol, Topic, names_of

Scope = Literal["read", "publish", "admin"]
SCOPES: Final[frozenset[str]] = frozenset({"read", "publish", "admin"})

MAX_PATTERNS: Final = 10_000


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rights in a token's ``bookcast`` claim, of an API key or in a file; unset fields are open.

    Unknown fields are refused, so that a misspelt restriction isn't ignored.

    ``symbols`` are patterns with * and ?: ``US.*``, ``HK.00700``. ``max_depth``: levels of a book.
    ``min_interval_ms``: of all views. ``max_subscriptions``: of one connection.
    """

    scope: str | UnsetType = UNSET
    symbols: Annotated[tuple[str, ...], Meta(max_length=MAX_PATTERNS)] | UnsetType = UNSET
    channels: tuple[Channel, ...] | UnsetType = UNSET
    max_depth: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    min_interval_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | UnsetType = UNSET
    max_subscriptions: Annotated[int, Meta(ge=0)] | UnsetType | None = UNSET


class Rights(msgspec.Struct, frozen=True):
    """What a principal may do. ``symbols`` and ``channels``: None stands for all.

    ``refusal``: why there are no scopes, if that needs its own message.
    """

    scopes: frozenset[str] = frozenset({"read"})
    symbols: tuple[str, ...] | None = None
    channels: frozenset[str] | None = None
    max_depth: int | None = None
    min_interval_ms: int = 0
    max_subscriptions: int | None = None
    refusal: str = ""

    def check(self, scope: Scope, topic: Topic | None = None) -> None:
        """Check that these rights include a scope, for a topic if one is given.

        Raises:
            InvalidInput: names the missing right.
        """
        if scope not in self.scopes:
            missing = f"This takes the scope '{scope}', which you don't have"
            raise InvalidInput("forbidden", self.refusal or missing)
        if topic is None:
            return
        if self.channels is not None and topic.channel not in self.channels:
            raise InvalidInput(
                "forbidden", f"You have no right to the channel {topic.channel}", path="channel"
            )
        if not self.allows_symbol(topic.symbol):
            raise InvalidInput("forbidden", f"You have no right to {topic.symbol}", path="symbol")

    def allows_symbol(self, symbol: Symbol) -> bool:
        """Return whether these rights include a symbol."""
        if self.symbols is None:
            return True
        matches = _matcher(self.symbols).fullmatch
        return any(matches(name) for name in names_of(symbol))

    def allows(self, scope: Scope, topic: Topic) -> bool:
        """Return whether these rights include a scope for a topic."""
        try:
            self.check(scope, topic)
        except InvalidInput:
            return False
        return True

    def depth(self, asked: int | None) -> int | None:
        """Return how many of the requested levels of a book a view gets; None: all."""
        if self.max_depth is None or asked is None:
            return self.max_depth if asked is None else asked
        return min(asked, self.max_depth)


EVERYTHING: Final = Rights(SCOPES)
NOTHING: Final = Rights(frozenset())


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller, or :data:`ANYONE`.

    Attributes:
        kind: how the caller was authenticated: ``jwt``, ``key``, ``user``, or :data:`ANYONE`.
        name: the principal's name, unique within its kind.
        rights: what it may do.
        expires_at: when its credential expires, in seconds since 1970; None: never.
        key: the fingerprint of the key that verified the credential.
        subject: its name in AUTH_RIGHTS_FILE.
        granted: the rights in the credential. ``subject`` and ``granted`` are used again when keys
            or rights change.
    """

    kind: str
    name: str
    rights: Rights
    expires_at: float | None = None
    key: str = ""
    subject: str = ""
    granted: tuple[Grant, ...] = ()

    @property
    def id(self) -> str:
        """A unique id, whatever its kind is."""
        return sys.intern(f"{self.kind}:{self.name}")  # shared by the principal's sessions


def owner_of_keys(principal: Principal | None) -> str:
    """Return the owner of a caller's idempotency keys; unauthenticated callers share one."""
    return principal.id if principal is not None and principal.kind != ANYONE else ""


ANYONE: Final = "anyone"


@lru_cache(maxsize=16)
def anyone(rights: Rights = EVERYTHING) -> Principal:
    """Return the principal of all callers that are served without authentication."""
    return Principal(ANYONE, "", rights)


def resolve(
    grants: Sequence[Grant], default_scope: str, default_market: str, refusal: str = ""
) -> Rights:
    """Return the rights from grants: for each field, the first grant that sets it counts.

    ``refusal``: see :class:`Rights`.

    Raises:
        InvalidInput: for an invalid scope or pattern.
    """
    said: dict[str, Any] = {}
    for grant in reversed(grants):
        said.update(
            {
                name: value
                for name, value in msgspec.structs.asdict(grant).items()
                if value is not UNSET
            }
        )
    scopes = frozenset(said.get("scope", default_scope).split()) & SCOPES
    symbols, channels = said.get("symbols"), said.get("channels")
    return _rights(
        scopes,
        None if symbols is None else tuple(_canonical(one, default_market) for one in symbols),
        None if channels is None else frozenset(channels),
        said.get("max_depth"),
        said.get("min_interval_ms", 0),
        said.get("max_subscriptions"),
        refusal,
    )


@lru_cache(maxsize=4096)  # thousands of clients have equal rights
def _rights(*fields: Any) -> Rights:
    return Rights(*fields)


def read_grant(said: Any, whole: str) -> Grant:
    """Return the grant in a claim or in a table of a file.

    Raises:
        InvalidInput: names the wrong field; ``whole`` names the whole grant in the message.
    """
    try:
        return msgspec.convert(said, Grant)
    except UnicodeEncodeError:
        raise InvalidInput("invalid_data", f"{whole}: it isn't valid Unicode") from None
    except msgspec.ValidationError as error:
        path, sentence = explain(error)
        if path.startswith("channels"):
            sentence = f"{path}: there are {', '.join(CHANNELS)}"
        raise InvalidInput("invalid_data", f"{whole}: {sentence}", path=path) from None


def _canonical(pattern: str, default_market: str) -> str:
    """Return a pattern with the default market if it has none, as for symbols.

    A pattern without * and ? names a single symbol, and is written in that symbol's canonical form.
    """
    if pattern == "*":
        return pattern
    market, dot, code = pattern.partition(".")
    if not dot or not (market in MARKETS or "*" in market or "?" in market):
        market, code = default_market, pattern
    if market == FUTURES_OF_HK and "*" not in code and "?" not in code:
        market = "HK"
    return f"{market}.{code}"


@lru_cache(maxsize=1024)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(_expression(pattern) for pattern in patterns) or "(?!)")


def _expression(pattern: str) -> str:
    first, *rest = (
        "".join("." if sign == "?" else re.escape(sign) for sign in part)
        for part in re.split(r"\*+", pattern)
    )
    if not rest:
        return first
    # The text after a star is searched for once, without backtracking: if a later part doesn't
    # match, no other place would help.
    *between, last = rest
    return first + "".join(f"(?>.*?{part})" for part in between) + f".*{last}"
