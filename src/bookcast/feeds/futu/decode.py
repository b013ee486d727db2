"""Decodes OpenD's messages into values of the model: books, brokers, time frames, numbers.

Sizes and volumes are in shares or contracts. Where OpenD has a precise one with a fraction
(``hpVolume``: crypto, fractional shares), that one is used. Prices and turnovers are in the
symbol's currency. OpenD's times are seconds since 1970, ours milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from bookcast.feeds.futu.hours import MINUTE_MS
from bookcast.feeds.futu.markets import TIME_ZONES
from bookcast.model.market_data import (
    MAX_NUMBER,
    MAX_TIME_MS,
    Book,
    Broker,
    Brokers,
    DetailedLevel,
    Level,
    Order,
    TimePoint,
)
from bookcast.model.numbers import Number, whole
from bookcast.model.topics import Symbol

ODD_LOT: Final = 1
"""``orderBookType`` of a book of odd lots. Its message is the same as that of other books."""


_YEARS: Final = range(1800, 9000)
"""Years that every calendar can handle. Times outside them are invalid."""
_LATEST_MS: Final = datetime(_YEARS.stop, 1, 1, tzinfo=UTC).timestamp() * 1000


def milliseconds(seconds: float) -> float | None:
    """Return a time of OpenD in milliseconds since 1970; None for 0, which means unknown."""
    # A float64 has rounding noise below the microsecond.
    ms = round(seconds * 1000, 3)
    return ms if 0 < ms <= MAX_TIME_MS else None


def moment(message: Any, symbol: Symbol) -> float | None:
    """Return the time of a trade, a candle or a minute: its timestamp, or else its text.

    The text is in the market's own time. None: there is no time, or an invalid one.
    """
    if message.timestamp > 0:
        ms = milliseconds(message.timestamp)
        return ms if ms is not None and ms < _LATEST_MS else None
    return _read_time(message.time, TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))


@lru_cache(maxsize=4096)
def _read_time(text: str, zone: str) -> float | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000 if time.year in _YEARS else None


def book_time(s2c: Any) -> float | None:
    """Return when Futu received a book from the exchange, in ms since 1970."""
    return milliseconds(max(s2c.svrRecvTimeBidTimestamp, s2c.svrRecvTimeAskTimestamp))


def book(s2c: Any) -> Book:
    """Return the book of a ``Qot_UpdateOrderBook.S2C``."""
    return Book.of(
        bids=_side(s2c.orderBookBidList, highest_first=True),
        asks=_side(s2c.orderBookAskList, highest_first=False),
    )


def snapshot_book(basic: Any) -> Book:
    """Return a book with the one level that a ``SnapshotBasicData`` has on each side."""
    bid_size = basic.hpBidVol if basic.HasField("hpBidVol") else basic.bidVol
    ask_size = basic.hpAskVol if basic.HasField("hpAskVol") else basic.askVol
    return Book.of(_top(basic.bidPrice, bid_size), _top(basic.askPrice, ask_size))


def brokers(s2c: Any) -> Brokers:
    """Return the broker queues of a ``Qot_UpdateBroker.S2C``."""
    bids, asks = (
        tuple(_broker(broker) for broker in side) for side in (s2c.brokerBidList, s2c.brokerAskList)
    )
    return Brokers(bids, asks)


def _broker(broker: Any) -> Broker:
    """Return a ``Qot_Common.Broker``. With the SF right it has its order too."""
    return Broker(
        identity(broker.id),
        broker.name,
        broker.pos,
        identity(broker.orderID) if broker.HasField("orderID") else None,
        given(broker, "volume"),
    )


def time_point(point: Any, symbol: Symbol) -> TimePoint | None:
    """Return the minute of a ``Qot_Common.TimeShare``; None if it has only a time.

    OpenD dates a minute by its end, like candles: its samples of the night begin at 20:01. An
    average of 0 means that there is none, for instance for options.
    """
    end = moment(point, symbol)
    if point.isBlank or end is None or not point.HasField("price"):
        return None
    return TimePoint(
        time=whole(end - MINUTE_MS),
        price=number(point.price),
        average=price(point.avgPrice),
        prev_close=price(point.lastClosePrice),
        volume=volume(point) if point.HasField("volume") or point.HasField("hpVolume") else None,
        turnover=given(point, "turnover"),
    )


def volume(message: Any) -> Number:
    """Return the volume of a message, the precise one if there is one."""
    return number(message.hpVolume if message.HasField("hpVolume") else message.volume)


def given(message: Any, field: str) -> Number | None:
    """Return an optional number of a message; None if it isn't set. A 0 that is set counts."""
    value = getattr(message, field)
    # The comparison is false for NaN too.
    known = message.HasField(field) and -MAX_NUMBER < value < MAX_NUMBER
    return whole(value) if known else None


def number(value: float) -> Number:
    """Return a number, a whole one as an integer; 0 if it isn't finite or is too large."""
    return whole(value) if -MAX_NUMBER < value < MAX_NUMBER else 0


def identity(value: int) -> int | str:
    """Return an id, as text if a JSON reader would round the number."""
    return value if abs(value) < MAX_NUMBER else str(value)


def price(value: float) -> Number | None:
    """Return a price; None for 0, which means that OpenD has none."""
    return number(value) or None


def _top(at: float, size: float) -> tuple[Level, ...]:
    if not (at and -MAX_NUMBER < at < MAX_NUMBER and 0 < size < MAX_NUMBER):
        return ()
    return (Level(whole(at), whole(size)),)


def _side(levels: Iterable[Any], *, highest_first: bool) -> tuple[Level, ...]:
    decoded = []
    in_order = True
    before: float | None = None
    for level in levels:
        precise = level.HasField("hpVolume")
        size = level.hpVolume if precise else level.volume
        at = level.price
        # The comparisons are false for NaN too. A price of 0 means a market order: no level.
        if not (0 < size < MAX_NUMBER and at and -MAX_NUMBER < at < MAX_NUMBER):
            continue
        if precise:
            size = whole(size)
        if before is not None and (at >= before if highest_first else at <= before):
            in_order = False
        before = at
        details = level.detailList
        decoded.append(
            Level(at, size, level.orederCount)
            if not details
            else DetailedLevel(
                at,
                size,
                level.orederCount,
                tuple(Order(identity(detail.orderID), number(detail.volume)) for detail in details),
            )
        )
    return tuple(decoded) if in_order else repaired(decoded, highest_first=highest_first)


def repaired(levels: list[Level], *, highest_first: bool) -> tuple[Level, ...]:
    """Return a side sorted, with levels of the same price joined: readers expect one per price."""
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
