"""OpenD's markets: their numbers, their time, and what their states mean."""

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
"""The prefix of a symbol and its ``Qot_Common.QotMarket``."""

PREFIXES: Final = {number: prefix for prefix, number in MARKETS.items()} | {2: "HK"}
"""The other way round; 2 is OpenD's old number of Hong Kong's futures."""

TIME_ZONES: Final[Mapping[str, str]] = {
    "US": "America/New_York",
    "CA": "America/New_York",
    "JP": "Asia/Tokyo",
    "AU": "Australia/Sydney",
    "FX": "UTC",
    "CC": "UTC",
    "EC": "America/New_York",
}
"""The time that OpenD writes as text, where it isn't that of Hong Kong; unproven for the last 3."""


def market_and_code(symbol: Symbol) -> tuple[int, str]:
    """Return OpenD's name of a symbol: the number of its market, and its code."""
    prefix, _, code = symbol.partition(".")
    return MARKETS[prefix], code


def symbol_of(security: Any) -> Symbol | None:
    """Return the symbol of a ``Qot_Common.Security``, None for a market without a prefix."""
    prefix = PREFIXES.get(security.market)
    return None if prefix is None else Symbol(f"{prefix}.{security.code}")


class MarketState(NamedTuple):
    """What a security's market does now.

    Attributes:
        closed: why nothing is traded, in words; None while something may be.
        session: which session it is; None where that has no name. A ``break`` is closed as well.
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
"""Every ``Qot_Common.QotMarketState``.

35 and 36 (the last trades at the closing price, and the auction before them) are Malaysia's and
Singapore's. Which state OpenD gives US stocks overnight, 37 or 11, no real OpenD has shown us: so a
closed state counts only while nothing comes (see ``rhythm``).
"""


def market_state(number: int) -> MarketState:
    """Return what a ``Qot_Common.QotMarketState`` means. An unknown one closes nothing."""
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
"""Where ``GetGlobalState`` tells the state of a market."""


def state_market_of(symbol: Symbol) -> str:
    """Return the market whose state a symbol most likely has, as in STATE_FIELDS.

    Futures have hours of their own, and in Hong Kong so have options on indexes, which are traded
    in the evening like futures.
    """
    prefix = symbol.partition(".")[0]
    prefix = "HK" if prefix == "HK_FUTURE" else prefix
    kind = kind_of(symbol)
    if kind == "option" and prefix == "HK":
        chain = option_chain(symbol)
        if chain is not None and chain.underlying in HK_INDEX_ROOTS:
            kind = "future"
    return f"{prefix} futures" if kind == "future" else prefix
