"""From OpenD's messages to the model: books, brokers, time frames, and the numbers of all.

Sizes and volumes are in shares or contracts; where OpenD gives a precise one with a fraction
(``hpVolume``: crypto, fractional shares), that one counts. Prices and turnovers are in the symbol's
currency. OpenD's times are seconds since 1970, ours milliseconds.
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
"""``orderBookType`` of a book of odd lots, which shares its message with the usual one."""


_YEARS: Final = range(1800, 9000)
"""What no calendar has trouble with; times beyond are nonsense."""
_LATEST_MS: Final = datetime(_YEARS.stop, 1, 1, tzinfo=UTC).timestamp() * 1000


def milliseconds(seconds: float) -> float | None:
    """Return a time of OpenD's in milliseconds since 1970; None for 0, which means unknown."""
    # As float64 they carry noise below the microsecond, which nobody needs to read.
    ms = round(seconds * 1000, 3)
    return ms if 0 < ms <= MAX_TIME_MS else None


def moment(message: Any, symbol: Symbol) -> float | None:
    """Return the time of a trade, a candle or a minute: its timestamp, or else its text.

    The text is in the market's own time. None: there is no time, or an impossible one.
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
    """Return when Futu got a book from the exchange."""
    return milliseconds(max(s2c.svrRecvTimeBidTimestamp, s2c.svrRecvTimeAskTimestamp))


def book(s2c: Any) -> Book:
    """Read a ``Qot_UpdateOrderBook.S2C``."""
    return Book.of(
        bids=_side(s2c.orderBookBidList, highest_first=True),
        asks=_side(s2c.orderBookAskList, highest_first=False),
    )


def snapshot_book(basic: Any) -> Book:
    """Make a book of the one level that a ``SnapshotBasicData`` has on each side."""
    bid_size = basic.hpBidVol if basic.HasField("hpBidVol") else basic.bidVol
    ask_size = basic.hpAskVol if basic.HasField("hpAskVol") else basic.askVol
    return Book.of(_top(basic.bidPrice, bid_size), _top(basic.askPrice, ask_size))


def brokers(s2c: Any) -> Brokers:
    """Read a ``Qot_UpdateBroker.S2C``."""
    bids, asks = (
        tuple(_broker(broker) for broker in side) for side in (s2c.brokerBidList, s2c.brokerAskList)
    )
    return Brokers(bids, asks)


def _broker(broker: Any) -> Broker:
    """Read a ``Qot_Common.Broker``; accounts with the SF right get each one's order as well."""
    return Broker(
        identity(broker.id),
        broker.name,
        broker.pos,
        identity(broker.orderID) if broker.HasField("orderID") else None,
        given(broker, "volume"),
    )


def time_point(point: Any, symbol: Symbol) -> TimePoint | None:
    """Read a ``Qot_Common.TimeShare``; None for one that holds a time only.

    OpenD dates a minute by its end, as it does candles: its samples of the night begin at 20:01. It
    says an average of 0 where there is none, for instance of options.
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
    """Return the volume of a message, the precise one if it has that."""
    return number(message.hpVolume if message.HasField("hpVolume") else message.volume)


def given(message: Any, field: str) -> Number | None:
    """Return an optional number of a message, None where it isn't set; a 0 that is set is one."""
    value = getattr(message, field)
    # Written so that NaN fails as well.
    known = message.HasField(field) and -MAX_NUMBER < value < MAX_NUMBER
    return whole(value) if known else None


def number(value: float) -> Number:
    """Return a number, whole ones as integers; 0 for one that isn't finite or is too large."""
    return whole(value) if -MAX_NUMBER < value < MAX_NUMBER else 0


def identity(value: int) -> int | str:
    """Return an id, as text if a JSON reader would round the number."""
    return value if abs(value) < MAX_NUMBER else str(value)


def price(value: float) -> Number | None:
    """Return a price, None where OpenD has none: it says 0 then."""
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
        # Written so that NaN fails as well. A price of 0 is none: orders at market have no level.
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
