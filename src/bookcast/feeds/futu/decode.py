"""Turns what OpenD pushes into publications. Pure: protobuf messages in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from bookcast.model import MAX_NUMBER, MAX_TIME_MS, Book, Level, Publication, Symbol, Topic

MARKET_PREFIXES: Final = {
    1: "HK",
    2: "HK_FUTURE",
    11: "US",
    21: "SH",
    22: "SZ",
    31: "SG",
    41: "JP",
    51: "AU",
    61: "MY",
    71: "CA",
    81: "FX",
    91: "CC",
    101: "EC",
}
"""``Qot_Common.QotMarket`` and the prefix of a symbol there."""

ODD_LOT: Final = 1
"""``orderBookType`` of a book of odd lots, which shares its message with the usual one."""


def decode_order_book(s2c: Any, received_ms: float) -> Publication | None:
    """Read a ``Qot_UpdateOrderBook.S2C`` that arrived at ``received_ms`` (since 1970).

    Returns:
        The book, best levels first, or None for what is no book of ours: odd lots, and markets
        that have no prefix.
    """
    if s2c.orderBookType == ODD_LOT:
        return None
    prefix = MARKET_PREFIXES.get(s2c.security.market)
    if prefix is None:
        return None
    # Seconds; 0 when OpenD has just started or sends what it had cached. Absent reads as 0, too.
    exchange_seconds = max(s2c.svrRecvTimeBidTimestamp, s2c.svrRecvTimeAskTimestamp)
    # As float64 they carry noise below the microsecond, which nobody needs to read.
    exchange_ms = round(exchange_seconds * 1000, 3)
    return Publication(
        Topic("orderbook", Symbol(f"{prefix}.{s2c.security.code}")),
        Book(
            bids=_side(s2c.orderBookBidList, highest_first=True),
            asks=_side(s2c.orderBookAskList, highest_first=False),
        ),
        exchange_ms=exchange_ms if 0 < exchange_ms <= MAX_TIME_MS else None,
        feed_ms=received_ms,
    )


def _side(levels: Iterable[Any], *, highest_first: bool) -> tuple[Level, ...]:
    decoded = []
    in_order = True
    before: float | None = None
    for level in levels:
        # hpVolume carries fractions (crypto, fractional shares); volume is it, cut to an integer.
        size = _whole(level.hpVolume) if level.HasField("hpVolume") else level.volume
        price = level.price
        # Written so that NaN fails as well.
        if not (0 < size < MAX_NUMBER and -MAX_NUMBER < price < MAX_NUMBER):
            continue
        if before is not None and (price >= before if highest_first else price <= before):
            in_order = False
        before = price
        decoded.append(Level(price, size, level.orederCount))
    return tuple(decoded) if in_order else _repaired(decoded, highest_first=highest_first)


def _repaired(levels: list[Level], *, highest_first: bool) -> tuple[Level, ...]:
    """Sort a side and join levels of one price: no reader can make sense of two of them."""
    joined: dict[float, Level] = {}
    for level in levels:
        same = joined.get(level.price)
        joined[level.price] = (
            level
            if same is None
            else Level(
                level.price, same.size + level.size, (same.orders or 0) + (level.orders or 0)
            )
        )
    return tuple(joined[price] for price in sorted(joined, reverse=highest_first))


def _whole(size: float) -> int | float:
    """Give a whole number as an integer, so that it prints as one."""
    return int(size) if size.is_integer() else size
