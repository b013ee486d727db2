"""OpenD's markets: their numbers, time zones, and the meaning of their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bookcast.feeds.futu.kinds import HK_INDEX_ROOTS, kind_of, option_chain
from bookcast.model.market_data import TradingSession
from bookcast.model.topics import Symbol

MARKETS: Final[Mapping[str, int]] = {
    "HK": 1,
    "US": 11,
    "SH": 21,
    "SZ": 22,
    "SG": 31,
    "JP": 41,
    "AU": 51,
    "MY": 61,
    "CA": 71,
    "FX": 81,
    "CC": 91,
    "EC": 101,
}
"""``Qot_Common.QotMarket`` by the prefix of symbols."""

PREFIXES: Final = {number: prefix for prefix, number in MARKETS.items()} | {2: "HK"}
"""The prefix by market number. 2 is OpenD's old number of Hong Kong's futures."""

TIME_ZONES: Final[Mapping[str, str]] = {
    "US": "America/New_York",
    "CA": "America/New_York",
    "JP": "Asia/Tokyo",
    "AU": "Australia/Sydney",
    "FX": "UTC",
    "CC": "UTC",
    "EC": "America/New_York",
}
"""The time zones of OpenD's times as text, where not Hong Kong's; the last 3 aren't verified."""


def market_and_code(symbol: Symbol) -> tuple[int, str]:
    """Return a symbol as OpenD names it: the number of its market, and its code."""
    prefix, _, code = symbol.partition(".")
    return MARKETS[prefix], code


def symbol_of(security: Any) -> Symbol | None:
    """Return the symbol of a ``Qot_Common.Security``; None for an unknown market."""
    prefix = PREFIXES.get(security.market)
    return None if prefix is None else Symbol(f"{prefix}.{security.code}")


class MarketState(NamedTuple):
    """The state of a security's market.

    Attributes:
        closed: why nothing trades, in words; None while something may trade.
        session: the session; None if it has no name. A ``break`` is closed too.
    """

    closed: str | None = None
    session: TradingSession | None = None


STATES: Final[Mapping[int, MarketState]] = {
    0: MarketState("the market isn't trading now"),
    1: MarketState(session="auction"),
    2: MarketState("the market hasn't opened yet"),
    3: MarketState(session="regular"),
    4: MarketState("the market has its lunch break", "break"),
    5: MarketState(session="regular"),
    6: MarketState("the market is closed"),
    8: MarketState(session="pre"),
    9: MarketState("trading before the market has ended"),
    10: MarketState(session="after"),
    11: MarketState("trading after the market has ended"),
    12: MarketState("the market changes to its next trading day"),
    13: MarketState(session="night"),
    14: MarketState("the night session is closed"),
    15: MarketState(session="regular"),
    16: MarketState("the market has a break", "break"),
    17: MarketState("the market is closed"),
    18: MarketState("the market hasn't opened yet"),
    19: MarketState(session="closing_auction"),
    20: MarketState("the night session hasn't opened yet"),
    21: MarketState(session="regular"),
    22: MarketState("the market changes to its next trading day"),
    23: MarketState(session="regular"),
    24: MarketState("the market has a break", "break"),
    25: MarketState(session="regular"),
    26: MarketState("the market is closed"),
    27: MarketState("trading after the market hasn't opened yet"),
    28: MarketState(session="after"),
    29: MarketState("trading after the market has ended"),
    30: MarketState(session="closing_auction"),
    31: MarketState("the market is closed"),
    32: MarketState(session="night"),
    33: MarketState(session="overnight"),
    34: MarketState("overnight trading has ended"),
    35: MarketState(session="closing_auction"),
    36: MarketState(session="closing_auction"),
    37: MarketState(session="overnight"),
}
"""All values of ``Qot_Common.QotMarketState``.

35 and 36 (the last trades at the closing price, and the auction before them) are those of Malaysia
and Singapore. Which state OpenD reports for US stocks overnight, 37 or 11, isn't verified. So a
closed state counts only while no data come (see ``rhythm``).
"""


def market_state(number: int) -> MarketState:
    """Return the meaning of a ``Qot_Common.QotMarketState``. An unknown one isn't closed."""
    return STATES.get(number, MarketState())


STATE_FIELDS: Final[Mapping[str, str]] = {
    "HK": "marketHK",
    "US": "marketUS",
    "SH": "marketSH",
    "SZ": "marketSZ",
    "SG": "marketSG",
    "MY": "marketMY",
    "JP": "marketJP",
    "HK futures": "marketHKFuture",
    "US futures": "marketUSFuture",
    "SG futures": "marketSGFuture",
    "JP futures": "marketJPFuture",
}
"""The field of ``GetGlobalState`` with the state of each market."""


def state_market_of(symbol: Symbol) -> str:
    """Return the market whose state most likely applies to a symbol, as in STATE_FIELDS.

    Futures have their own hours. In Hong Kong, options on indexes have the hours of futures.
    """
    prefix = symbol.partition(".")[0]
    prefix = "HK" if prefix == "HK_FUTURE" else prefix
    kind = kind_of(symbol)
    if kind == "option" and prefix == "HK":
        chain = option_chain(symbol)
        if chain is not None and chain.underlying in HK_INDEX_ROOTS:
            kind = "future"
    return f"{prefix} futures" if kind == "future" else prefix
