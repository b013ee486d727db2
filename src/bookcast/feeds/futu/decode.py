"""From OpenD's messages to the model: books, quotes, brokers, time frames.

Sizes and volumes are in shares or contracts; where OpenD gives a precise one with a fraction
(``hpVolume``: crypto, fractional shares), that one counts. Prices and turnovers are in the symbol's
currency. OpenD's times are seconds since 1970, ours milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from bookcast.feeds.futu.markets import TIME_ZONES
from bookcast.model import (
    MAX_NUMBER,
    MAX_TIME_MS,
    Book,
    Broker,
    Brokers,
    DetailedLevel,
    ExtendedQuote,
    Level,
    Number,
    Order,
    Quote,
    Symbol,
    TimePoint,
    TradingSession,
)

ODD_LOT: Final = 1
"""``orderBookType`` of a book of odd lots, which shares its message with the usual one."""

SUSPENDED: Final = frozenset({9, 18, 19})
"""``Qot_Common.SecurityStatus``: suspended, or stopped by a circuit breaker."""


def milliseconds(seconds: float) -> float | None:
    """Give a time of OpenD's in ms since 1970; None for none: it says 0 where it doesn't know."""
    # As float64 they carry noise below the microsecond, which nobody needs to read.
    ms = round(seconds * 1000, 3)
    return ms if 0 < ms <= MAX_TIME_MS else None


def moment(message: Any, symbol: Symbol) -> float | None:
    """Give the time of a trade, a candle or a minute: by its timestamp, else by its text.

    The text is in the market's own time.
    """
    if message.timestamp > 0:
        return milliseconds(message.timestamp)
    return _read_time(message.time, TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))


@lru_cache(maxsize=4096)
def _read_time(text: str, zone: str) -> float | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000
    except ValueError:
        return None


def book_time(s2c: Any) -> float | None:
    """Give when Futu got a book from the exchange."""
    return milliseconds(max(s2c.svrRecvTimeBidTimestamp, s2c.svrRecvTimeAskTimestamp))


def book(s2c: Any) -> Book:
    """Read a ``Qot_UpdateOrderBook.S2C``."""
    return Book(
        bids=_side(s2c.orderBookBidList, highest_first=True),
        asks=_side(s2c.orderBookAskList, highest_first=False),
    )


def quote(basic: Any, session: TradingSession | None) -> Quote:
    """Read a ``Qot_Common.BasicQot``. It has no bid and ask: those are in the book."""
    return _quote(basic, session, suspended=basic.isSuspended)


def snapshot_quote(basic: Any, session: TradingSession | None) -> Quote:
    """Read a ``SnapshotBasicData``, which has the best bid and ask as well."""
    bid, ask = _price(basic.bidPrice), _price(basic.askPrice)
    return _quote(basic, session, suspended=basic.isSuspend, bid=bid, ask=ask)


def _quote(
    basic: Any,
    session: TradingSession | None,
    *,
    suspended: bool,
    bid: Number | None = None,
    ask: Number | None = None,
) -> Quote:
    return Quote(
        last=_price(basic.curPrice),
        open=_price(basic.openPrice),
        high=_price(basic.highPrice),
        low=_price(basic.lowPrice),
        prev_close=_price(basic.lastClosePrice),
        volume=volume(basic),
        turnover=number(basic.turnover),
        bid=bid,
        ask=ask,
        suspended=suspended or basic.secStatus in SUSPENDED,
        session=session,
        pre=_extended(basic, "preMarket"),
        after=_extended(basic, "afterMarket"),
        overnight=_extended(basic, "overnight"),
    )


def snapshot_book(basic: Any) -> Book:
    """Make a book of the one level that a ``SnapshotBasicData`` has on each side."""
    bid_size = basic.hpBidVol if basic.HasField("hpBidVol") else basic.bidVol
    ask_size = basic.hpAskVol if basic.HasField("hpAskVol") else basic.askVol
    return Book(_top(basic.bidPrice, bid_size), _top(basic.askPrice, ask_size))


def brokers(s2c: Any) -> Brokers:
    """Read a ``Qot_UpdateBroker.S2C``."""
    bids, asks = (
        tuple(Broker(identity(broker.id), broker.name, broker.pos) for broker in side)
        for side in (s2c.brokerBidList, s2c.brokerAskList)
    )
    return Brokers(bids, asks)


def time_point(point: Any, symbol: Symbol) -> TimePoint | None:
    """Read a ``Qot_Common.TimeShare``; None for one that holds a time only."""
    time = moment(point, symbol)
    if point.isBlank or time is None:
        return None
    return TimePoint(
        time=whole(time),
        price=number(point.price),
        average=number(point.avgPrice),
        prev_close=_price(point.lastClosePrice),
        volume=volume(point),
        turnover=number(point.turnover),
    )


def volume(message: Any) -> Number:
    """Give the volume of a message that may have a precise one."""
    return number(message.hpVolume if message.HasField("hpVolume") else message.volume)


def number(value: float) -> Number:
    """Give a finite number below the bound of the model, whole ones as integers; 0 for others."""
    return whole(value) if -MAX_NUMBER < value < MAX_NUMBER else 0


def whole(value: float) -> Number:
    """Give a whole number as an integer, so that it prints as one; -0 is 0."""
    return int(value) if value == int(value) else value


def identity(value: int) -> int | str:
    """Give a number that tells things apart, as text where a JSON reader would round it."""
    return value if abs(value) < MAX_NUMBER else str(value)


def _price(value: float) -> Number | None:
    """Give a price of a quote, None where OpenD has none: it says 0 then."""
    return number(value) or None


def _extended(basic: Any, field: str) -> ExtendedQuote | None:
    if not basic.HasField(field):
        return None
    data = getattr(basic, field)
    last = _price(data.price)
    if last is None:
        return None
    return ExtendedQuote(
        last=last,
        high=_price(data.highPrice),
        low=_price(data.lowPrice),
        volume=number(data.volume),
        turnover=number(data.turnover),
    )


def _top(price: float, size: float) -> tuple[Level, ...]:
    if not (price and -MAX_NUMBER < price < MAX_NUMBER and 0 < size < MAX_NUMBER):
        return ()
    return (Level(whole(price), whole(size)),)


def _side(levels: Iterable[Any], *, highest_first: bool) -> tuple[Level, ...]:
    decoded = []
    in_order = True
    before: float | None = None
    for level in levels:
        precise = level.HasField("hpVolume")
        size = level.hpVolume if precise else level.volume
        price = level.price
        # Written so that NaN fails as well.
        if not (0 < size < MAX_NUMBER and -MAX_NUMBER < price < MAX_NUMBER):
            continue
        if precise:
            size = whole(size)
        if before is not None and (price >= before if highest_first else price <= before):
            in_order = False
        before = price
        details = level.detailList
        decoded.append(
            Level(price, size, level.orederCount)
            if not details
            else DetailedLevel(
                price,
                size,
                level.orederCount,
                tuple(Order(identity(detail.orderID), number(detail.volume)) for detail in details),
            )
        )
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
