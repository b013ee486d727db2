"""Derives the kind of a security from its code.

OpenD reports the kind only in its lists, and most symbols are wanted before a list is read. Its
codes have fixed forms: ``US.AAPL260914C332500`` is an option, ``US.ESmain`` and ``HK.HSI2609`` are
futures, ``US..DJI`` and ``HK.800000`` are indexes. A code of no such form counts as a stock. So do
funds, warrants and bonds, which share the hours, rights and quota of stocks.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from bookcast.model.topics import Symbol

Kind = Literal["stock", "option", "future", "index", "plate", "crypto", "event", "forex"]


class OptionChain(NamedTuple):
    """All options of one underlying with the same expiry."""

    market: str
    underlying: str
    expiry: str


_OPTION: Final = re.compile(r"(\.?[A-Z0-9.]*?[A-Z][A-Z0-9.]*?)(\d{6})[CP]\d+")
_FUTURE: Final = re.compile(r"(?!BK\d)[A-Z0-9]*[A-Z][A-Z0-9]*?(\d{4}|main|current|next)")
_FUTURE_MARKETS: Final = frozenset({"HK", "US", "SG", "JP"})
_OPTION_MARKETS: Final = frozenset({"HK", "US", "JP"})
_INDEXES: Final = {
    "HK": re.compile(r"80\d{4}"),
    "SH": re.compile(r"000\d{3}"),
    "SZ": re.compile(r"399\d{3}"),
}
_PLATE: Final = re.compile(r"(BK|LIST)\d+")
_BY_MARKET: Final[dict[str, Kind]] = {
    "HK_FUTURE": "future",
    "CC": "crypto",
    "EC": "event",
    "FX": "forex",
}

HK_INDEX_ROOTS: Final = frozenset({"HSI", "HHI", "HTI", "MHI", "MCH", "XHS", "XHH"})
"""In Hong Kong, options on these trade like futures, in the evening too."""


@lru_cache(maxsize=65_536)
def kind_of(symbol: Symbol) -> Kind:
    """Return the kind of a symbol."""
    market, _, code = symbol.partition(".")
    if market in _BY_MARKET:
        return _BY_MARKET[market]
    if option_chain(symbol) is not None:
        return "option"
    if code.startswith(".") or (market in _INDEXES and _INDEXES[market].fullmatch(code)):
        return "index"
    if _PLATE.fullmatch(code):
        return "plate"
    if market in _FUTURE_MARKETS and _FUTURE.fullmatch(code):
        return "future"
    return "stock"


@lru_cache(maxsize=65_536)
def option_chain(symbol: Symbol) -> OptionChain | None:
    """Return the chain of an option; None if the symbol isn't an option."""
    market, _, code = symbol.partition(".")
    option = _OPTION.fullmatch(code) if market in _OPTION_MARKETS else None
    return OptionChain(market, option[1], option[2]) if option is not None else None
