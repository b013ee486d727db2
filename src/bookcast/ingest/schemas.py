"""What publishers may send, as Structs: their types check it, and document it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta

from bookcast.model.market_data import MAX_NUMBER, GreyMarket, OptionStyle, TradingSession
from bookcast.model.topics import Channel, ChannelName, Period, PeriodName

Price = (
    Annotated[int, Meta(gt=-int(MAX_NUMBER), lt=int(MAX_NUMBER))]
    | Annotated[float, Meta(gt=-MAX_NUMBER, lt=MAX_NUMBER)]
)
Size = Annotated[int, Meta(ge=0, lt=int(MAX_NUMBER))] | Annotated[float, Meta(ge=0, lt=MAX_NUMBER)]
Count = Annotated[int, Meta(ge=0, lt=int(MAX_NUMBER))]
Id = str | Count
Whole = Annotated[int, Meta(gt=-int(MAX_NUMBER), lt=int(MAX_NUMBER))]
Word = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,32}$(?!\n)")]
"""A word for programs, for instance a trade's condition. (``$`` alone allows a line break.)"""


class PublishedTuple(NamedTuple):
    """A level as ``[price, size]`` or ``[price, size, orders]``."""

    price: Price
    size: Size
    orders: Count | None = None


class PublishedLevel(msgspec.Struct, frozen=True):
    """A level as an object. ``volume`` is another name for ``size``; other fields are kept."""

    price: Price
    size: Size | msgspec.UnsetType = msgspec.UNSET
    volume: Size | msgspec.UnsetType = msgspec.UNSET
    orders: Count | None = None


class PublishedBook(msgspec.Struct, frozen=True):
    """An order book, best level first; other fields are kept for base clients.

    ``timestamp`` may be anything; ISO 8601 text and milliseconds since 1970 are understood.
    """

    bids: list[PublishedTuple | PublishedLevel]
    asks: list[PublishedTuple | PublishedLevel]
    timestamp: Any = None


class PublishedExtended(msgspec.Struct, frozen=True):
    """The values of the hours before or after the regular ones."""

    last: Price | None = None
    high: Price | None = None
    low: Price | None = None
    volume: Size | None = None
    turnover: Size | None = None
    change: Price | None = None
    change_rate: Price | None = None
    amplitude: Price | None = None


class PublishedOption(msgspec.Struct, frozen=True):
    """The values that only an option has. ``iv`` and ``premium`` are percentages."""

    strike: Price | None = None
    multiplier: Price | None = None
    size: Size | None = None
    oi: Size | None = None
    net_oi: Price | None = None
    iv: Price | None = None
    premium: Price | None = None
    delta: Price | None = None
    gamma: Price | None = None
    vega: Price | None = None
    theta: Price | None = None
    rho: Price | None = None
    days_left: Whole | None = None
    style: OptionStyle | None = None


class PublishedFuture(msgspec.Struct, frozen=True):
    """The values that only a future has."""

    prev_settle: Price | None = None
    oi: Size | None = None
    oi_change: Price | None = None
    days_left: Whole | None = None


class PublishedWarrant(msgspec.Struct, frozen=True):
    """The values that only a warrant has. ``iv`` and ``premium`` are percentages."""

    delta: Price | None = None
    iv: Price | None = None
    premium: Price | None = None


class PublishedQuote(msgspec.Struct, frozen=True):
    """The values of a quote, at least one; absent where unknown."""

    last: Price | None = None
    open: Price | None = None
    high: Price | None = None
    low: Price | None = None
    prev_close: Price | None = None
    volume: Size | None = None
    turnover: Size | None = None
    bid: Price | None = None
    ask: Price | None = None
    suspended: bool | None = None
    session: TradingSession | None = None
    pre: PublishedExtended | None = None
    after: PublishedExtended | None = None
    overnight: PublishedExtended | None = None
    turnover_rate: Price | None = None
    amplitude: Price | None = None
    tick_size: Size | None = None
    name: str | None = None
    security_status: Word | None = None
    dark: GreyMarket | None = None
    option: PublishedOption | None = None
    future: PublishedFuture | None = None
    warrant: PublishedWarrant | None = None
    timestamp: Any = None


class PublishedTrade(msgspec.Struct, frozen=True):
    """One trade. ``timestamp``: ISO 8601 or milliseconds since 1970; without one, now.

    ``condition``: one word for what is special about the trade. ``updates_last`` false: the trade
    doesn't change the last price.
    """

    price: Price
    size: Size
    side: Literal["buy", "sell", "neutral"] = "neutral"
    timestamp: str | Size | None = None
    id: Id | None = None
    backfill: bool = False
    condition: Word | None = None
    condition_sign: Whole | None = None
    updates_last: bool = True
    turnover: Price | None = None


class PublishedTrades(msgspec.Struct, frozen=True):
    """Trades, oldest first."""

    trades: Annotated[list[PublishedTrade], Meta(min_length=1)]
    timestamp: Any = None


class PublishedCandle(msgspec.Struct, frozen=True):
    """A candle; ``time`` is when it begins, ISO 8601 or milliseconds since 1970.

    ``period`` may be here or beside the data. A final candle doesn't change any more, except by one
    that is ``revised``, which is final too.
    """

    time: str | Size
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size
    turnover: Size | None = None
    final: bool = False
    prev_close: Price | None = None
    revised: bool = False
    period: Period | None = None
    timestamp: Any = None


class PublishedBroker(msgspec.Struct, frozen=True):
    """A broker in a queue; ``pos`` counts price levels from the best one, 1."""

    id: Id
    name: str
    pos: Count
    order: Id | None = None
    size: Size | None = None


class PublishedBrokers(msgspec.Struct, frozen=True):
    """The brokers of both sides, best first."""

    bids: list[PublishedBroker]
    asks: list[PublishedBroker]
    timestamp: Any = None


class PublishedTimePoint(msgspec.Struct, frozen=True):
    """One minute of the day's price line; ``time`` is ISO 8601 or milliseconds since 1970."""

    time: str | Size
    price: Price
    average: Price | None = None
    prev_close: Price | None = None
    volume: Size | None = None
    turnover: Size | None = None
    timestamp: Any = None


class PublishedUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One update of a batch, or of a ``publish`` action. ``period``: for candles.

    ``symbol`` may be absent if the data have futu-api's ``code``. ``idempotency_key``: with the
    same key the update may be sent again.
    """

    channel: ChannelName
    symbol: str | None = None
    data: msgspec.Raw
    period: PeriodName | None = None
    idempotency_key: str | None = None


class PublishedBatch(msgspec.Struct, frozen=True):
    """Updates to publish together, in this order."""

    updates: list[PublishedUpdate]


PUBLISHED: Final[Mapping[Channel, type[msgspec.Struct]]] = {
    "orderbook": PublishedBook,
    "quote": PublishedQuote,
    "trades": PublishedTrades,
    "candles": PublishedCandle,
    "brokers": PublishedBrokers,
    "timeframe": PublishedTimePoint,
}
"""The type of what is published in each channel, in bookcast's own form."""

OURS: Final[Mapping[Channel, frozenset[str]]] = {
    "orderbook": frozenset({"bids", "asks"}),
    "quote": frozenset(PublishedQuote.__struct_fields__)
    - {"name", "volume", "turnover", "turnover_rate", "amplitude", "timestamp"},
    "trades": frozenset({"trades"}),
    "candles": frozenset({"time", "period", "final"}),
    "brokers": frozenset({"bids", "asks"}),
    "timeframe": frozenset({"price"}),
}
"""Fields that show that an object is in bookcast's own form, whatever other fields it has."""

THEIRS: Final[Mapping[Channel, frozenset[str]]] = {
    "orderbook": frozenset({"Bid", "Ask"}),
    "quote": frozenset(
        {"code", "last_price", "open_price", "high_price", "low_price", "prev_close_price"}
        | {"data_date", "data_time", "suspension", "price_spread", "sec_status", "dark_status"}
    ),
    "trades": frozenset(
        {"code", "time", "volume", "ticker_direction", "sequence", "push_data_type"}
    ),
    "candles": frozenset({"code", "time_key", "k_type"}),
    "brokers": frozenset({"bid", "ask", "bid_broker_id", "ask_broker_id"}),
    "timeframe": frozenset({"code", "cur_price", "avg_price", "is_blank", "opened_mins"}),
}
"""Fields that show that an object is in futu-api's form, if it has none of the fields above."""


def is_theirs(channel: Channel, fields: AbstractSet[str]) -> bool:
    """Return whether an object with these fields is in futu-api's form."""
    return bool(fields & THEIRS[channel]) and not fields & OURS[channel]
