"""futu-api's dicts and rows as Structs: their types check them, and document them.

The fields have futu-api's names. Columns that bookcast doesn't use are ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from bookcast.ingest.schemas import Count, Price, Size, Whole
from bookcast.model.topics import Channel

When = str | Size
"""A time as futu-api writes it, in the market's time zone. ISO 8601 with an offset and milliseconds
since 1970 are taken too."""


Identity = int | float | str
"""An id. futu-api's sequences and order ids may be larger than 2^53."""


class VendorLevel(NamedTuple):
    """A level of a book; ``details`` has the size of each order by its id."""

    price: Price
    volume: Size
    orders: Count | None = None
    details: dict[str | int, Size] | None = None


class VendorBook(msgspec.Struct, frozen=True, rename={"bids": "Bid", "asks": "Ask"}):
    """A book of ``OrderBookHandlerBase`` or ``get_order_book``."""

    bids: list[VendorLevel]
    asks: list[VendorLevel]
    code: str | None = None
    svr_recv_time_bid: When | None = None
    svr_recv_time_ask: When | None = None
    order_book_type: str | None = None


class VendorQuote(msgspec.Struct, frozen=True):
    """A row of ``StockQuoteHandlerBase`` and ``get_stock_quote``.

    ``bid_price``, ``ask_price`` and ``update_time`` are those of ``get_market_snapshot``.
    """

    code: str | None = None
    name: str | None = None
    data_date: str | None = None
    data_time: str | None = None
    update_time: When | None = None
    last_price: Price | None = None
    open_price: Price | None = None
    high_price: Price | None = None
    low_price: Price | None = None
    prev_close_price: Price | None = None
    bid_price: Price | None = None
    ask_price: Price | None = None
    volume: Size | None = None
    turnover: Size | None = None
    turnover_rate: Price | None = None
    amplitude: Price | None = None
    suspension: bool | None = None
    price_spread: Size | None = None
    dark_status: str | None = None
    sec_status: str | None = None
    strike_price: Price | None = None
    contract_size: Size | None = None
    contract_multiplier: Price | None = None
    open_interest: Size | None = None
    net_open_interest: Price | None = None
    implied_volatility: Price | None = None
    premium: Price | None = None
    delta: Price | None = None
    gamma: Price | None = None
    vega: Price | None = None
    theta: Price | None = None
    rho: Price | None = None
    expiry_date_distance: Whole | None = None
    option_area_type: str | None = None
    last_settle_price: Price | None = None
    position: Size | None = None
    position_change: Price | None = None
    pre_price: Price | None = None
    pre_high_price: Price | None = None
    pre_low_price: Price | None = None
    pre_volume: Size | None = None
    pre_turnover: Size | None = None
    pre_change_val: Price | None = None
    pre_change_rate: Price | None = None
    pre_amplitude: Price | None = None
    after_price: Price | None = None
    after_high_price: Price | None = None
    after_low_price: Price | None = None
    after_volume: Size | None = None
    after_turnover: Size | None = None
    after_change_val: Price | None = None
    after_change_rate: Price | None = None
    after_amplitude: Price | None = None
    overnight_price: Price | None = None
    overnight_high_price: Price | None = None
    overnight_low_price: Price | None = None
    overnight_volume: Size | None = None
    overnight_turnover: Size | None = None
    overnight_change_val: Price | None = None
    overnight_change_rate: Price | None = None
    overnight_amplitude: Price | None = None


class VendorTicker(msgspec.Struct, frozen=True):
    """A row of ``TickerHandlerBase`` and ``get_rt_ticker``: one trade."""

    price: Price
    volume: Size
    code: str | None = None
    time: When | None = None
    turnover: Price | None = None
    ticker_direction: str | None = None
    sequence: Identity | None = None
    type: str | None = None
    push_data_type: str | None = None


class VendorCandle(msgspec.Struct, frozen=True):
    """A row of ``CurKlineHandlerBase`` and ``get_cur_kline``; ``time_key`` is the candle's label.

    ``k_type`` may be given beside the data instead.
    """

    time_key: When
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Size
    code: str | None = None
    turnover: Size | None = None
    k_type: str | None = None
    last_close: Price | None = None


class VendorBid(msgspec.Struct, frozen=True):
    """A row of the first table of ``BrokerHandlerBase`` and ``get_broker_queue``."""

    bid_broker_id: Identity
    bid_broker_pos: Count
    bid_broker_name: str = ""
    code: str | None = None
    order_id: Identity | None = None
    order_volume: Size | None = None


class VendorAsk(msgspec.Struct, frozen=True):
    """A row of the second table."""

    ask_broker_id: Identity
    ask_broker_pos: Count
    ask_broker_name: str = ""
    code: str | None = None
    order_id: Identity | None = None
    order_volume: Size | None = None


class VendorBrokers(msgspec.Struct, frozen=True):
    """Both tables of the broker queues."""

    bid: list[VendorBid]
    ask: list[VendorAsk]
    code: str | None = None


class VendorTimePoint(msgspec.Struct, frozen=True):
    """A row of ``RTDataHandlerBase`` and ``get_rt_data``; ``time`` is the end of its minute."""

    time: When
    cur_price: Price
    code: str | None = None
    is_blank: bool = False
    last_close: Price | None = None
    avg_price: Price | None = None
    turnover: Size | None = None
    volume: Size | None = None


VENDOR: Final[Mapping[Channel, type[msgspec.Struct]]] = {
    "orderbook": VendorBook,
    "quote": VendorQuote,
    "trades": VendorTicker,
    "candles": VendorCandle,
    "brokers": VendorBrokers,
    "timeframe": VendorTimePoint,
}
"""The type of futu-api's data in each channel."""
