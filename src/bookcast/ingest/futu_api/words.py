"""futu-api's words in bookcast's terms, and the times that it writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Literal, TypeVar
from zoneinfo import ZoneInfo

from bookcast.errors import InvalidInput, quoted
from bookcast.feeds.futu.markets import TIME_ZONES
from bookcast.ingest.timestamps import moment, not_before_1990
from bookcast.model.market_data import GreyMarket, OptionStyle
from bookcast.model.numbers import Number
from bookcast.model.topics import Period, Symbol

K_TYPES: Final[Mapping[str, Period]] = {
    "K_1M": "1m",
    "K_3M": "3m",
    "K_5M": "5m",
    "K_10M": "10m",
    "K_15M": "15m",
    "K_30M": "30m",
    "K_60M": "1h",
    "K_120M": "2h",
    "K_180M": "3h",
    "K_240M": "4h",
    "K_DAY": "1d",
    "K_WEEK": "1w",
    "K_MON": "1M",
    "K_QUARTER": "1Q",
    "K_YEAR": "1Y",
}
"""Periods by ``KLType``."""

SIDES: Final[Mapping[str, Literal["buy", "sell", "neutral"]]] = {
    "BUY": "buy",
    "SELL": "sell",
    "NEUTRAL": "neutral",
}
"""Sides by ``TickerDirect``."""

TICKER_TYPES: Final = (
    *("UNKNOWN", "AUTO_MATCH", "LATE", "NON_AUTO_MATCH", "INTER_AUTO_MATCH"),
    *("INTER_NON_AUTO_MATCH", "ODD_LOT", "AUCTION", "BULK", "CRASH", "CROSS_MARKET", "BULK_SOLD"),
    *("FREE_ON_BOARD", "RULE127_OR_155", "DELAY", "MARKET_CENTER_CLOSE_PRICE", "NEXT_DAY"),
    *("MARKET_CENTER_OPENING", "PRIOR_REFERENCE_PRICE", "MARKET_CENTER_OPEN_PRICE", "SELLER"),
    *("T", "EXTENDED_TRADING_HOURS", "CONTINGENT", "AVERAGE_PRICE", "OTC_SOLD"),
    *("ODD_LOT_CROSS_MARKET", "DERIVATIVELY_PRICED", "REOPENINGP_RICED", "CLOSING_PRICED"),
    *("COMPREHENSIVE_DELAY_PRICE", "OVERSEAS"),
)
"""``TickerType``: the index of each word is its number in ``Qot_Common.TickerType``."""

SECURITY_STATUSES: Final = (
    *("N/A", "NORMAL", "LISTING", "PURCHASING", "SUBSCRIBING", "BEFORE_DARK_TRADE_OPEING"),
    *("DARK_TRADING", "DARK_TRAD_END", "TO_BE_OPEN", "SUSPENDED", "CALLED"),
    *("EXPIRED_LAST_TRADING_DATE", "EXPIRED", "DELISTED", "CHANGE_TO_TEMPORARY_CODE"),
    *("TEMPORARY_CODE_TRADE_END", "CHANGED_PLATE_TRADE_END", "CHANGED_CODE_TRAD_END"),
    *("RECOVERABLE_CIRCUIT_BREAKER", "UNRECOVERABLE_CIRCUIT_BREAKER", "AFTER_COMBINATION"),
    "AFTER_TRANSACTION",
)
"""``SecurityStatus``: the index of each word is its number."""

DARK_STATUSES: Final[Mapping[str, GreyMarket]] = {"TRADING": "trading", "END": "ended"}
"""Grey markets by ``DarkStatus``."""

STYLES: Final[Mapping[str, OptionStyle]] = {
    "AMERICAN": "american",
    "EUROPEAN": "european",
    "BERMUDA": "bermudan",
}
"""Option styles by ``OptionAreaType``."""

PUSH_TYPES: Final[Mapping[str, bool]] = {"REALTIME": False, "BYDISCONN": True, "CACHE": True}
"""By ``PushDataType``: whether such a trade happened before the feed subscribed."""

BOOK_TYPES: Final[Mapping[str, str]] = {"NORMAL": "", "ODD": "odd"}
"""Variants of the topic by ``OrderBookType``."""

T = TypeVar("T")


def word(words: Mapping[str, T], given: str | None, path: str, default: T) -> T:
    """Return the meaning of a futu-api word in any letter case; ``default`` if it is absent.

    Raises:
        InvalidInput: futu-api has no such word for this field.
    """
    if given is None:
        return default
    try:
        return words[given.upper()]
    except KeyError:
        raise unknown_word(words, given, path) from None


def number_of(words: tuple[str, ...], given: str | None, path: str) -> int:
    """Return the number of a futu-api word in ``Qot_Common``; 0 if it is absent.

    Raises:
        InvalidInput: futu-api has no such word for this field.
    """
    return word({name: number for number, name in enumerate(words)}, given, path, 0)


def unknown_word(words: Iterable[str], given: str, path: str) -> InvalidInput:
    """Return the error for a word that futu-api doesn't have for this field."""
    return InvalidInput(
        "invalid_data",
        f"{path} can't be {quoted(given)}; it is one of {', '.join(words)}",
        path=path,
    )


def market_time(given: str | Number, symbol: Symbol, path: str) -> Number:
    """Return a time in ms since 1970; text without an offset is in the market's time zone.

    Raises:
        InvalidInput: the value isn't a time.
    """
    if not isinstance(given, str):
        return moment(given, path)
    try:
        read = datetime.fromisoformat(given)
    except ValueError:
        raise InvalidInput(
            "invalid_data",
            f"{path}: {quoted(given)} is no time; futu-api writes 2026-01-05 09:30:00, in the "
            "market's own time",
            path=path,
        ) from None
    if read.tzinfo is None:
        read = read.replace(tzinfo=ZoneInfo(zone_of(symbol)))
    return not_before_1990(round(read.timestamp() * 1000, 3), given, path)


def zone_of(symbol: Symbol) -> str:
    """Return the time zone of a symbol's market."""
    return TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong")
