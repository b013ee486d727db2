"""futu-api's rows as the model's data.

The rules are those of the Futu feed: a price of 0 means no price, times are in the market's time
zone, and candles and minutes are dated by their end.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from bookcast.feeds.futu.candles import LENGTHS
from bookcast.feeds.futu.decode import identity, price, repaired
from bookcast.feeds.futu.hours import MINUTE_MS, Calendar, period_date
from bookcast.feeds.futu.security_status import HALTS, STATUSES
from bookcast.feeds.futu.trade_conditions import CONDITIONS, updates_last
from bookcast.ingest.futu_api.rows import (
    Identity,
    VendorAsk,
    VendorBid,
    VendorBook,
    VendorCandle,
    VendorLevel,
    VendorQuote,
    VendorTicker,
    VendorTimePoint,
)
from bookcast.ingest.futu_api.words import (
    DARK_STATUSES,
    PUSH_TYPES,
    SECURITY_STATUSES,
    SIDES,
    STYLES,
    TICKER_TYPES,
    market_time,
    number_of,
    word,
)
from bookcast.model.market_data import (
    Book,
    Broker,
    Candle,
    DetailedLevel,
    ExtendedQuote,
    FutureFigures,
    GreyMarket,
    Level,
    OptionFigures,
    Order,
    Quote,
    TimePoint,
    Trade,
)
from bookcast.model.numbers import Number, bounds, whole
from bookcast.model.topics import Period, Symbol

_GREY_MARKETS: Final[dict[int, GreyMarket]] = {5: "pending", 6: "trading", 7: "ended"}
"""The grey market's state that a security's status stands for."""


def book(given: VendorBook) -> Book:
    """Return both sides of a book. Base clients get it in the form of the feed's books."""
    return Book.of(_side(given.bids, highest_first=True), _side(given.asks, highest_first=False))


def book_time(given: VendorBook, symbol: Symbol, prefix: str) -> Number | None:
    """Return when Futu got a book from the exchange: the later time of both sides, as the feed."""
    times = [
        market_time(time, symbol, f"{prefix}{name}")
        for name in ("svr_recv_time_bid", "svr_recv_time_ask")
        if (time := getattr(given, name)) is not None
    ]
    return max(times, default=None)


def quote(given: VendorQuote, prefix: str) -> Quote:
    """Return a quote of the model."""
    status = number_of(SECURITY_STATUSES, given.sec_status, f"{prefix}sec_status")
    dark = word(DARK_STATUSES, given.dark_status, f"{prefix}dark_status", None)
    return Quote(
        last=_price(given.last_price),
        open=_price(given.open_price),
        high=_price(given.high_price),
        low=_price(given.low_price),
        prev_close=_price(given.prev_close_price),
        volume=whole(given.volume),
        turnover=whole(given.turnover),
        bid=_price(given.bid_price),
        ask=_price(given.ask_price),
        suspended=True if status in HALTS else given.suspension,
        pre=_extended(given, "pre"),
        after=_extended(given, "after"),
        overnight=_extended(given, "overnight"),
        turnover_rate=whole(given.turnover_rate),
        amplitude=whole(given.amplitude),
        tick_size=_price(given.price_spread),
        name=given.name,
        security_status=STATUSES.get(status),
        dark=dark or _GREY_MARKETS.get(status),
        option=_option(given, prefix),
        future=_future(given),
    )


def quote_time(given: VendorQuote, symbol: Symbol, prefix: str) -> Number | None:
    """Return the time of a quote. Its date and its time may be in two columns."""
    if given.update_time is not None:
        return market_time(given.update_time, symbol, f"{prefix}update_time")
    if given.data_date is None or given.data_time is None:
        return None
    return market_time(f"{given.data_date} {given.data_time}", symbol, f"{prefix}data_time")


def trade(given: VendorTicker, symbol: Symbol, prefix: str, now_ms: float) -> Trade:
    """Return a trade of the model; one without a time happened now."""
    number = number_of(TICKER_TYPES, given.type, f"{prefix}type")
    condition = CONDITIONS.get(number)
    return Trade(
        price=whole(given.price),
        size=whole(given.volume),
        side=word(SIDES, given.ticker_direction, f"{prefix}ticker_direction", "neutral"),
        timestamp=now_ms
        if given.time is None
        else whole(market_time(given.time, symbol, f"{prefix}time")),
        id=None if given.sequence is None else _identity(given.sequence),
        backfill=word(PUSH_TYPES, given.push_data_type, f"{prefix}push_data_type", default=False),
        condition=condition,
        updates_last=updates_last(condition, symbol.partition(".")[0]),
        turnover=whole(given.turnover),
    )


def candle(
    given: VendorCandle, symbol: Symbol, period: Period, prefix: str, *, final: bool
) -> Candle:
    """Return a candle of the model. futu-api dates minutes and hours by their end."""
    high, low = bounds(given.high, given.low, (given.open, given.close))
    return Candle(
        time=whole(_begin(given, symbol, period, prefix)),
        open=whole(given.open),
        high=whole(high),
        low=whole(low),
        close=whole(given.close),
        volume=whole(given.volume),
        turnover=whole(given.turnover),
        final=final,
        prev_close=_price(given.last_close),
    )


def bidder(given: VendorBid) -> Broker:
    """Return a broker of the buying side."""
    return _broker(given, "bid")


def asker(given: VendorAsk) -> Broker:
    """Return a broker of the selling side."""
    return _broker(given, "ask")


def time_point(given: VendorTimePoint, symbol: Symbol, prefix: str) -> TimePoint:
    """Return a minute of the day's price line, which futu-api dates by its end."""
    return TimePoint(
        time=whole(market_time(given.time, symbol, f"{prefix}time") - MINUTE_MS),
        price=whole(given.cur_price),
        average=_price(given.avg_price),
        prev_close=_price(given.last_close),
        volume=whole(given.volume),
        turnover=whole(given.turnover),
    )


def _side(levels: Sequence[VendorLevel], *, highest_first: bool) -> tuple[Level, ...]:
    """Return a side, best first. A level with price 0 is left out: it is for market orders."""
    read = [_level(level) for level in levels if level.volume and level.price]
    prices = [level.price for level in read]
    in_order = prices == sorted(set(prices), reverse=highest_first)
    return tuple(read) if in_order else repaired(read, highest_first=highest_first)


def _level(given: VendorLevel) -> Level:
    size = whole(given.volume)
    if not given.details:
        return Level(given.price, size, given.orders)
    details = tuple(Order(_identity(key), whole(value)) for key, value in given.details.items())
    return DetailedLevel(given.price, size, given.orders, details)


def _extended(given: VendorQuote, part: str) -> ExtendedQuote | None:
    """Return the values of extended hours; without a price, its changes are unknown too."""
    values = {
        name: getattr(given, f"{part}_{column}")
        for name, column in (
            ("last", "price"),
            ("high", "high_price"),
            ("low", "low_price"),
            ("volume", "volume"),
            ("turnover", "turnover"),
            ("change", "change_val"),
            ("change_rate", "change_rate"),
            ("amplitude", "amplitude"),
        )
    }
    priced = values["last"] is None or values["last"] != 0
    hours = ExtendedQuote(
        **{name: _price(values[name]) for name in ("last", "high", "low")},
        **{name: whole(values[name]) for name in ("volume", "turnover")},
        **{
            name: whole(values[name]) if priced else None
            for name in ("change", "change_rate", "amplitude")
        },
    )
    return hours if hours != ExtendedQuote() else None


def _option(given: VendorQuote, prefix: str) -> OptionFigures | None:
    figures = OptionFigures(
        strike=whole(given.strike_price),
        multiplier=whole(given.contract_multiplier),
        size=whole(given.contract_size),
        oi=whole(given.open_interest),
        net_oi=whole(given.net_open_interest),
        iv=whole(given.implied_volatility),
        premium=whole(given.premium),
        delta=whole(given.delta),
        gamma=whole(given.gamma),
        vega=whole(given.vega),
        theta=whole(given.theta),
        rho=whole(given.rho),
        days_left=given.expiry_date_distance if given.strike_price is not None else None,
        style=word(STYLES, given.option_area_type, f"{prefix}option_area_type", None),
    )
    return figures if figures != OptionFigures() else None


def _future(given: VendorQuote) -> FutureFigures | None:
    is_future = given.last_settle_price is not None or given.position is not None
    return (
        FutureFigures(
            prev_settle=_price(given.last_settle_price),
            oi=whole(given.position),
            oi_change=whole(given.position_change),
            days_left=given.expiry_date_distance,
        )
        if is_future
        else None
    )


def _begin(given: VendorCandle, symbol: Symbol, period: Period, prefix: str) -> Number:
    calendar = Calendar(symbol)
    label = market_time(given.time_key, symbol, f"{prefix}time_key")
    if period in LENGTHS:
        return calendar.begin(label, LENGTHS[period])
    day = calendar.date_of(label)
    if isinstance(given.time_key, str):
        day = date.fromisoformat(given.time_key[:10])
    return calendar.at(period_date(period, day))


def _broker(given: VendorBid | VendorAsk, side: str) -> Broker:
    values: dict[str, Any] = {
        name: getattr(given, f"{side}_broker_{name}") for name in ("id", "name", "pos")
    }
    return Broker(
        _identity(values["id"]),
        values["name"],
        values["pos"],
        None if given.order_id is None else _identity(given.order_id),
        whole(given.order_volume),
    )


def _identity(given: Identity) -> int | str:
    if isinstance(given, str):
        return identity(int(given)) if given.isascii() and given.isdecimal() else given
    return identity(int(given)) if given == int(given) else str(given)


def _price(given: Number | None) -> Number | None:
    """Return a price; futu-api writes 0 for no price."""
    return None if given is None else price(given)
