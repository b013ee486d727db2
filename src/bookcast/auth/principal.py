"""Somebody that was recognised, and what they may do: scopes, symbols, channels, how much."""

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
    """What a token's ``bookcast`` claim, a key or a file says of rights; the rest is left open.

    Unknown fields are refused: a misspelled restriction must not be none at all.

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

    ``refusal``: why there are no scopes, where that needs a sentence of its own.
    """

    scopes: frozenset[str] = frozenset({"read"})
    symbols: tuple[str, ...] | None = None
    channels: frozenset[str] | None = None
    max_depth: int | None = None
    min_interval_ms: int = 0
    max_subscriptions: int | None = None
    refusal: str = ""

    def check(self, scope: Scope, topic: Topic | None = None) -> None:
        """Check that these rights include a scope, for this topic if one is given.

        Raises:
            InvalidInput: naming the right that is missing.
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
        """Return how many levels of a book a view gets, of those asked for; None: all."""
        if self.max_depth is None or asked is None:
            return self.max_depth if asked is None else asked
        return min(asked, self.max_depth)


EVERYTHING: Final = Rights(SCOPES)
NOTHING: Final = Rights(frozenset())


class Principal(msgspec.Struct, frozen=True):
    """Somebody that was recognised.

    ``kind`` tells how (``jwt``, ``key``, ``user``, :data:`ANYONE`), ``expires_at`` until when, in
    seconds since 1970; None: for good. ``key``: the fingerprint of what the credential was checked
    with. ``subject`` and ``granted``: who that is for AUTH_RIGHTS_FILE, and what the credential
    says of rights; both are looked at again when keys or rights change.
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
        """What sets them apart from all others, however those were recognised."""
        return sys.intern(f"{self.kind}:{self.name}")  # kept with each of their sessions


def owner_of_keys(principal: Principal | None) -> str:
    """Return whose idempotency keys somebody uses: all that aren't recognised share theirs."""
    return principal.id if principal is not None and principal.kind != ANYONE else ""


ANYONE: Final = "anyone"


@lru_cache(maxsize=16)
def anyone(rights: Rights = EVERYTHING) -> Principal:
    """Make the principal that all are who aren't asked who they are."""
    return Principal(ANYONE, "", rights)


def resolve(
    grants: Sequence[Grant], default_scope: str, default_market: str, refusal: str = ""
) -> Rights:
    """Make rights of grants: for each field, the first that says something of it counts.

    ``refusal``: see :class:`Rights`.

    Raises:
        InvalidInput: for a scope or a pattern that can't be meant.
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


@lru_cache(maxsize=4096)  # thousands of clients have the same
def _rights(*fields: Any) -> Rights:
    return Rights(*fields)


def read_grant(said: Any, whole: str) -> Grant:
    """Read what a claim or a table of a file says.

    Raises:
        InvalidInput: with the place of the fault; ``whole`` is what to call all of it.
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
    """Return a pattern with the default market where it names none, as symbols are given it.

    One without * and ? names a single symbol, and is written as that is.
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
    # What follows a star is looked for once, and not again when something later doesn't fit: the
    # first place is as good as any.
    *between, last = rest
    return first + "".join(f"(?>.*?{part})" for part in between) + f".*{last}"
