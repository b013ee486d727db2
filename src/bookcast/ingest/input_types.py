"""The forms of data that a program may publish in process, for type checkers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NotRequired, Protocol, SupportsFloat, SupportsIndex, TypedDict

from bookcast.model.market_data import GreyMarket, TradingSession
from bookcast.model.topics import Period

Numeric = SupportsFloat | SupportsIndex
"""An int, a float, a Decimal or a numpy scalar."""

Moment = str | Numeric | date
"""ISO 8601 with an offset, milliseconds since 1970, or a datetime with a time zone."""

Text = str | bytes
"""JSON text."""


class Table(Protocol):
    """A pandas DataFrame or Series."""

    def to_dict(self) -> Any:
        """Return its values."""


Rows = Table | Sequence[Mapping[Any, Any]]
"""One row for each trade, candle and so on, for instance as futu-api passes them."""


class LevelData(TypedDict):
    """A level of a book; it needs one of ``size`` and ``volume``."""

    price: Numeric
    size: NotRequired[Numeric]
    volume: NotRequired[Numeric]
    orders: NotRequired[int | None]


LevelsData = Sequence[Sequence[Numeric] | LevelData] | Table


class BookData(TypedDict):
    """An order book, best level first."""

    bids: LevelsData
    asks: LevelsData
    timestamp: NotRequired[Any]


class VendorBookData(TypedDict):
    """An order book as futu-api passes it to a callback."""

    Bid: Sequence[Any]
    Ask: Sequence[Any]
    code: NotRequired[str]
    name: NotRequired[str]
    svr_recv_time_bid: NotRequired[str]
    svr_recv_time_ask: NotRequired[str]
    order_book_type: NotRequired[str]


class QuoteData(TypedDict, total=False):
    """The values of a quote, at least one."""

    last: Numeric | None
    open: Numeric | None
    high: Numeric | None
    low: Numeric | None
    prev_close: Numeric | None
    volume: Numeric | None
    turnover: Numeric | None
    bid: Numeric | None
    ask: Numeric | None
    suspended: bool | None
    session: TradingSession | None
    pre: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    overnight: Mapping[str, Any] | None
    turnover_rate: Numeric | None
    amplitude: Numeric | None
    tick_size: Numeric | None
    name: str | None
    security_status: str | None
    dark: GreyMarket | None
    option: Mapping[str, Any] | None
    future: Mapping[str, Any] | None
    warrant: Mapping[str, Any] | None
    timestamp: Any


class TradeData(TypedDict):
    """One trade; without a ``timestamp`` the time of publishing counts."""

    price: Numeric
    size: Numeric
    side: NotRequired[str]
    timestamp: NotRequired[Moment | None]
    id: NotRequired[str | int | None]
    backfill: NotRequired[bool]
    condition: NotRequired[str | None]
    condition_sign: NotRequired[int | None]
    updates_last: NotRequired[bool]
    turnover: NotRequired[Numeric | None]


class TradesData(TypedDict):
    """Trades, oldest first."""

    trades: Sequence[TradeData] | Table
    timestamp: NotRequired[Any]


class CandleData(TypedDict):
    """A candle; ``time`` is when it begins."""

    time: Moment
    open: Numeric
    high: Numeric
    low: Numeric
    close: Numeric
    volume: Numeric
    turnover: NotRequired[Numeric | None]
    final: NotRequired[bool]
    prev_close: NotRequired[Numeric | None]
    revised: NotRequired[bool]
    period: NotRequired[Period | None]
    timestamp: NotRequired[Any]


class BrokerData(TypedDict):
    """A broker in a queue."""

    id: str | int
    name: str
    pos: int
    order: NotRequired[str | int | None]
    size: NotRequired[Numeric | None]


class BrokersData(TypedDict):
    """The brokers of both sides, best first."""

    bids: Sequence[BrokerData] | Table
    asks: Sequence[BrokerData] | Table
    timestamp: NotRequired[Any]


class VendorBrokersData(TypedDict):
    """The brokers of both sides as futu-api passes them to a callback."""

    bid: Rows
    ask: Rows


class TimePointData(TypedDict):
    """A minute of the day's price line; ``time`` is when it begins."""

    time: Moment
    price: Numeric
    average: NotRequired[Numeric | None]
    prev_close: NotRequired[Numeric | None]
    volume: NotRequired[Numeric | None]
    turnover: NotRequired[Numeric | None]
    timestamp: NotRequired[Any]


BookInput = BookData | VendorBookData | Text
QuoteInput = QuoteData | Rows | Text
TradesInput = TradesData | Rows | Text
CandleInput = CandleData | Rows | Text
BrokersInput = BrokersData | VendorBrokersData | Sequence[Any] | Text
TimePointInput = TimePointData | Rows | Text
