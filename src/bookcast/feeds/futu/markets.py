"""OpenD's markets: their numbers, what their states mean, and what an account may see of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bookcast.model import Symbol, TradingSession

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
}
"""The time that OpenD writes as text, where it isn't that of Hong Kong."""


def market_and_code(symbol: Symbol) -> tuple[int, str]:
    """Give what OpenD calls a symbol: its market's number and its code."""
    prefix, _, code = symbol.partition(".")
    return MARKETS[prefix], code


def symbol_of(security: Any) -> Symbol | None:
    """Give the symbol of a ``Qot_Common.Security``; None for a market without a prefix."""
    prefix = PREFIXES.get(security.market)
    return None if prefix is None else Symbol(f"{prefix}.{security.code}")


class MarketState(NamedTuple):
    """What a market does now. ``closed`` says in words why nothing can come, None while it may."""

    closed: str | None = None
    session: TradingSession | None = None


_CLOSED: Final = {
    2: "the market hasn't opened yet",
    4: "the market has its lunch break",
    6: "the market is closed",
    9: "trading before the market has ended",
    11: "trading after the market has ended",
    14: "the night session is closed",
    16: "the market has a break",
    17: "the market is closed",
    18: "the market hasn't opened yet",
    24: "the market has a break",
    26: "the market is closed",
    29: "the market is closed",
    31: "the market is closed",
    34: "overnight trading has ended",
}
_SESSIONS: Final[Mapping[int, TradingSession]] = {
    1: "regular",
    3: "regular",
    5: "regular",
    8: "pre",
    10: "after",
    33: "overnight",
    37: "overnight",
}


def market_state(number: int) -> MarketState:
    """Understand a ``Qot_Common.QotMarketState``. An unknown one closes nothing."""
    return MarketState(_CLOSED.get(number), _SESSIONS.get(number))


STATE_FIELDS: Final[Mapping[str, str]] = {
    "HK": "marketHK",
    "US": "marketUS",
    "SH": "marketSH",
    "SZ": "marketSZ",
    "HK_FUTURE": "marketHKFuture",
    "SG": "marketSG",
    "MY": "marketMY",
    "JP": "marketJP",
}
"""Where ``GetGlobalState`` tells the state of a prefix's market."""

RIGHTS: Final = {1: "BMP", 2: "Level 1", 3: "Level 2", 4: "SF", 5: "none", 6: "Level 3"}
"""``Qot_Common.QotRight``. With BMP and none nothing can be subscribed; BMP has snapshots."""

NO_PUSH: Final = frozenset({1, 5})

RIGHT_FIELDS: Final[Mapping[str, str]] = {
    "HK stocks": "hkQotRight",
    "HK options": "hkOptionQotRight",
    "HK futures": "hkFutureQotRight",
    "US stocks": "usQotRight",
    "US options": "usOptionQotRight",
    "US indexes": "usIndexQotRight",
    "US OTC": "usOtcQotRight",
    "US CME futures": "usCMEFutureQotRight",
    "US CBOT futures": "usCBOTFutureQotRight",
    "US NYMEX futures": "usNYMEXFutureQotRight",
    "US COMEX futures": "usCOMEXFutureQotRight",
    "US CBOE futures": "usCBOEFutureQotRight",
    "SH stocks": "shQotRight",
    "SZ stocks": "szQotRight",
    "SG stocks": "sgStockQotRight",
    "SG futures": "sgFutureQotRight",
    "JP stocks": "jpStockQotRight",
    "JP futures": "jpFutureQotRight",
    "MY stocks": "myStockQotRight",
    "crypto": "ccQotRight",
    "event contracts": "ecQotRight",
}
"""Where ``GetUserInfo`` and a ``Notify`` tell the right to see a market."""

_STOCKS: Final = {"CC": "crypto", "EC": "event contracts", "HK_FUTURE": "HK futures"}


def rights_of(message: Any) -> dict[str, int]:
    """Read the rights that a message tells, by market; those it leaves out are unknown."""
    known = {descriptor.name for descriptor, _ in message.ListFields()}
    return {
        market: getattr(message, field)
        for market, field in RIGHT_FIELDS.items()
        if field in known and getattr(message, field)
    }


def market_of(symbol: Symbol) -> str:
    """Name the market whose right a symbol most likely needs, as in RIGHT_FIELDS."""
    prefix = symbol.partition(".")[0]
    return _STOCKS.get(prefix, f"{prefix} stocks")


def missing_right(symbol: Symbol, rights: Mapping[str, int]) -> str | None:
    """Say which right an account lacks that a symbol's market most likely needs.

    A code doesn't tell whether it is a stock, so this only explains a refusal.
    """
    market = market_of(symbol)
    right = rights.get(market)
    if right not in NO_PUSH:
        return None
    held = "none" if right != 1 else "BMP, which has snapshots only"
    return f"the account's right for {market} is {held}"
