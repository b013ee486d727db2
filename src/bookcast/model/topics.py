"""Symbols and topics."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, NamedTuple, NewType, get_args

from msgspec import Meta

from bookcast.errors import InvalidInput, quoted

Channel = Literal["orderbook", "quote", "trades", "candles", "brokers", "timeframe"]


CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)


Period = Literal[
    "1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "4h", "1d", "1w", "1M", "1Q", "1Y"
]
"""How long a candle lasts: m minutes, h hours, d day, w week, M month, Q quarter, Y year."""


PERIODS: Final[tuple[Period, ...]] = get_args(Period)


ODD: Final = "odd"
"""The variant of a book of odd lots, which trade in a book of their own."""


# For messages. These names are checked when a topic is made; schemas and errors list the allowed.
ChannelName = Annotated[str, Meta(extra_json_schema={"enum": list(CHANNELS)})]
PeriodName = Annotated[str, Meta(extra_json_schema={"enum": list(PERIODS)})]
VariantName = Annotated[str, Meta(extra_json_schema={"enum": [ODD]})]


Symbol = NewType("Symbol", str)
"""A symbol in its canonical form, ``MARKET.CODE``, for instance ``US.AAPL``."""


MARKETS: Final = frozenset(
    {"HK", "US", "SH", "SZ", "HK_FUTURE", "SG", "JP", "AU", "MY", "CA", "FX", "CC", "EC"}
)
"""The market prefixes OpenD knows. A prefix outside this list is part of the code (``BRK.B``)."""


FUTURES_OF_HK: Final = "HK_FUTURE"
"""An old name of the market HK, for its futures: ``HK_FUTURE.HSImain`` is ``HK.HSImain``."""


MAX_SYMBOL_LENGTH: Final = 64


def parse_symbol(text: str, default_market: str) -> Symbol:
    """Return the canonical form of a symbol.

    With the default market ``US``, ``AAPL`` becomes ``US.AAPL``. ``HK_FUTURE.HSImain`` always
    becomes ``HK.HSImain``. Codes are case-sensitive, as OpenD's are.

    Raises:
        InvalidInput: when the text is empty, too long or not printable, or has no code.
    """
    if not isinstance(text, str):
        raise InvalidInput("invalid_symbol", f"A symbol is text, not {quoted(text)}", path="symbol")
    if not text:
        raise InvalidInput("invalid_symbol", "A symbol can't be empty", path="symbol")
    if len(text) > MAX_SYMBOL_LENGTH:
        raise InvalidInput(
            "invalid_symbol",
            f"A symbol has at most {MAX_SYMBOL_LENGTH} characters, {quoted(text)} has {len(text)}",
            path="symbol",
        )
    if not text.isprintable() or text != text.strip():
        raise InvalidInput(
            "invalid_symbol",
            f"{quoted(text)} is no symbol: that is printable characters with no space around them",
            path="symbol",
        )
    market, dot, code = text.partition(".")
    if not dot or market not in MARKETS:
        market, code = default_market, text
    if not code:
        raise InvalidInput(
            "invalid_symbol", f"Symbol {text!r} names a market but no code", path="symbol"
        )
    return Symbol(f"{'HK' if market == FUTURES_OF_HK else market}.{code}")


_NO_FUTURE: Final = re.compile(r"HK\.([0-9]+|[A-Z0-9]+[0-9]{6}[CP][0-9]+)")
"""Hong Kong's stocks, warrants and indexes have numbers; its options have a date and a strike."""


def names_of(symbol: Symbol) -> tuple[str, ...]:
    """Return all names of a symbol. One that may be a future of Hong Kong has two."""
    market, _, code = symbol.partition(".")
    if market != "HK" or _NO_FUTURE.fullmatch(symbol):
        return (symbol,)
    return symbol, f"{FUTURES_OF_HK}.{code}"


class Topic(NamedTuple):
    """One kind of data of one symbol. Each topic has its own sequence numbers.

    ``variant`` separates topics of one channel and symbol: the period of candles, ``odd`` for a
    book of odd lots. It is empty for all others.
    """

    channel: Channel
    symbol: Symbol
    variant: str = ""

    def __str__(self) -> str:
        return f"{self.channel}:{self.symbol}" + (f":{self.variant}" if self.variant else "")
