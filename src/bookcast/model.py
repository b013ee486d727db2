"""What travels the path: symbols, topics, positions, books. Frozen values that do no I/O."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, NewType

import msgspec

from bookcast.errors import InvalidInput

Channel = Literal["orderbook"]

Symbol = NewType("Symbol", str)
"""A symbol in its canonical spelling, ``MARKET.CODE``, for instance ``US.AAPL``."""

MARKETS: Final = frozenset(
    {"HK", "US", "SH", "SZ", "HK_FUTURE", "SG", "JP", "AU", "MY", "CA", "FX", "CC", "EC"}
)
"""The market prefixes OpenD knows. A prefix outside this list is part of the code (``BRK.B``)."""

MAX_SYMBOL_LENGTH: Final = 64

MAX_TIME_MS: Final = 253_402_300_799_999
"""The last millisecond of the year 9999, after which times can't be written."""

MAX_NUMBER: Final = 2.0**53
"""Prices and sizes stay below this magnitude, so that every JSON reader holds them exactly."""


def parse_symbol(text: str, default_market: str) -> Symbol:
    """Give the canonical spelling of a symbol as somebody wrote it.

    ``AAPL`` and ``US.AAPL`` are the same symbol when the default market is ``US``. Codes are
    case-sensitive, since OpenD's are (``HK.HSImain``).

    Raises:
        InvalidInput: when the text is empty, too long or not printable, or has no code.
    """
    if not isinstance(text, str):
        raise InvalidInput("invalid_symbol", "A symbol is text", path="symbol")
    if not text:
        raise InvalidInput("invalid_symbol", "A symbol can't be empty", path="symbol")
    if len(text) > MAX_SYMBOL_LENGTH:
        raise InvalidInput(
            "invalid_symbol",
            f"A symbol has at most {MAX_SYMBOL_LENGTH} characters, this one has {len(text)}",
            path="symbol",
        )
    if not text.isprintable() or text != text.strip():
        raise InvalidInput(
            "invalid_symbol",
            "A symbol consists of printable characters with no space around them",
            path="symbol",
        )
    market, dot, code = text.partition(".")
    if dot and market in MARKETS:
        if not code:
            raise InvalidInput(
                "invalid_symbol", f"Symbol {text!r} names a market but no code", path="symbol"
            )
        return Symbol(text)
    return Symbol(f"{default_market}.{text}")


class Topic(NamedTuple):
    """The unit of sequence numbers: one kind of data of one symbol.

    ``variant`` tells apart topics of one channel and symbol (a candle's period); books have none.
    """

    channel: Channel
    symbol: Symbol
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol}" + (f":{self.variant}" if self.variant else "")


class Position(msgspec.Struct, frozen=True):
    """Where a topic stands. ``seq`` grows by 1 per update and compares only within one epoch."""

    epoch: str
    seq: int


class Level(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One price of a book. ``size`` is in shares or contracts, ``orders`` counts the orders."""

    price: int | float
    size: int | float
    orders: int | None = None


class Book(msgspec.Struct, frozen=True):
    """An order book, best level first on both sides.

    ``exchange_ms`` and ``feed_ms`` are milliseconds since 1970: when the exchange, and when the
    feed, saw this state; None where unknown. ``published`` is the JSON object exactly as an outside
    publisher gave it, which base clients get unchanged; a feed of ours leaves it None.
    """

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    exchange_ms: float | None = None
    feed_ms: float | None = None
    published: msgspec.Raw | None = None


class Publication(NamedTuple):
    """What a feed or a publisher hands to the engine."""

    topic: Topic
    data: Book


class Update(msgspec.Struct, frozen=True):
    """A publication that the engine has given its place. ``server_ms``: milliseconds since 1970."""

    topic: Topic
    position: Position
    data: Book
    server_ms: float
