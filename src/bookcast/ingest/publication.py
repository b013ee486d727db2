"""Reads and checks what publishers send, and returns what the engine takes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from bookcast.errors import InvalidInput, quoted
from bookcast.ingest.book import parse_book
from bookcast.ingest.json_input import read
from bookcast.ingest.lenient import Words
from bookcast.ingest.schemas import (
    PublishedBrokers,
    PublishedCandle,
    PublishedQuote,
    PublishedTimePoint,
    PublishedTrades,
)
from bookcast.ingest.timestamps import milliseconds, moment, moment_if_any
from bookcast.model.market_data import (
    Broker,
    Brokers,
    Candle,
    Data,
    ExtendedQuote,
    FutureFigures,
    OptionFigures,
    Quote,
    TimePoint,
    Trade,
    Trades,
    WarrantFigures,
)
from bookcast.model.numbers import Bounds, bounds, whole
from bookcast.model.topics import CHANNELS, ODD, PERIODS, Channel, Topic, parse_symbol
from bookcast.model.updates import Publication


class Rules(NamedTuple):
    """Rules for everything that is published at this node."""

    default_market: str
    refuse_crossed: bool = False


class _Parsed(NamedTuple):
    data: Data
    timestamp: Any
    variant: str = ""


def parse_publication(
    channel: str,
    symbol: str,
    source: Any,
    *,
    rules: Rules,
    now_ms: float,
    period: str | None = None,
) -> Publication:
    """Check what was published, and return it as a publication.

    ``source`` is JSON text as bytes, or what a JSON reader returns. ``period`` is for candles.

    Raises:
        InvalidInput: with the path of the wrong field.
    """
    # A candle's data may have the period instead.
    name = parse_channel(channel)
    topic = topic_of(name, symbol, rules.default_market, period, in_data=name == "candles")
    match topic.channel:
        case "orderbook":
            parsed = _Parsed(*parse_book(source, refuse_crossed=rules.refuse_crossed))
        case "trades":
            parsed = _trades(source, now_ms)
        case "candles":
            parsed = _candle(source, topic.variant or None)
            topic = topic._replace(variant=parsed.variant)
        case "quote":
            parsed = _quote(source)
        case "brokers":
            parsed = _brokers(source)
        case "timeframe":
            parsed = _time_point(source)
    if topic.channel == "orderbook":
        return Publication(topic, parsed.data, milliseconds(parsed.timestamp))
    return Publication(topic, parsed.data, moment_if_any(parsed.timestamp, "timestamp"))


@lru_cache(maxsize=65_536)  # the same few topics are named again and again
def topic_of(
    channel: str,
    requested_symbol: str,
    default_market: str,
    period: str | None = None,
    *,
    variant: str | None = None,
    in_data: bool = False,
) -> Topic:
    """Return the topic that a message names. ``in_data``: the data may have the period instead.

    Raises:
        InvalidInput: for a channel, symbol, period or variant that doesn't exist.
    """
    name = parse_channel(channel)
    symbol = parse_symbol(requested_symbol, default_market)
    if variant is not None:
        if name != "orderbook" or _VARIANTS.meant(variant) != ODD:
            wrong = f" can't be {quoted(variant)}" if name == "orderbook" else ""
            raise InvalidInput(
                "invalid_message",
                f"variant{wrong}: only order books have one, and it is {ODD!r}",
                path="variant",
            )
        return Topic(name, symbol, ODD)
    return Topic(name, symbol, "" if in_data and period is None else parse_period(name, period))


def parse_channel(name: str) -> Channel:
    """Return the channel of a name in any letter case.

    Raises:
        InvalidInput: if there is no such channel.
    """
    meant = _CHANNELS.meant(name)
    if meant not in CHANNELS:
        raise InvalidInput(
            "unknown_channel",
            f"There is no channel {quoted(name)}; there are {', '.join(CHANNELS)}",
            path="channel",
        )
    return meant


def parse_period(channel: Channel, period: str | None) -> str:
    """Return the variant of a topic: the period for candles, empty for the other channels.

    Raises:
        InvalidInput: the period doesn't exist, is missing, or the channel has none.
    """
    if channel != "candles":
        if period is not None:
            raise InvalidInput("invalid_message", "period: only candles have one", path="period")
        return ""
    meant = None if period is None else _PERIODS.meant(period)
    if meant not in PERIODS:
        given = "is missing" if period is None else f"can't be {quoted(period)}"
        raise InvalidInput(
            "invalid_message", f"period {given}; it is one of {', '.join(PERIODS)}", path="period"
        )
    return meant


_CHANNELS: Final = Words(CHANNELS)
_PERIODS: Final = Words(PERIODS)
_VARIANTS: Final = Words([ODD])

_quote_decoder: Final = msgspec.json.Decoder(PublishedQuote)
_trades_decoder: Final = msgspec.json.Decoder(PublishedTrades)
_candle_decoder: Final = msgspec.json.Decoder(PublishedCandle)
_brokers_decoder: Final = msgspec.json.Decoder(PublishedBrokers)
_time_point_decoder: Final = msgspec.json.Decoder(PublishedTimePoint)


_PARTS: Final[dict[str, type[msgspec.Struct]]] = {
    "pre": ExtendedQuote,
    "after": ExtendedQuote,
    "overnight": ExtendedQuote,
    "option": OptionFigures,
    "future": FutureFigures,
    "warrant": WarrantFigures,
}
"""The parts of a quote that are objects of their own."""


def _quote(source: Any) -> _Parsed:
    given = read(_quote_decoder, source, "invalid_data", "The quote")
    values = _values(Quote, given)
    if all(value is None for value in values.values()):
        raise InvalidInput(
            "invalid_data", f"The quote: it needs at least one of {', '.join(values)}"
        )
    for name, kind in _PARTS.items():
        if values[name] is not None:
            values[name] = kind(**_values(kind, values[name]))
    return _Parsed(Quote(**values), given.timestamp)


def _trades(source: Any, now_ms: float) -> _Parsed:
    given = read(_trades_decoder, source, "invalid_data", "The trades")
    return _Parsed(
        Trades(
            tuple(
                Trade(
                    whole(trade.price),
                    whole(trade.size),
                    trade.side,
                    whole(now_ms)
                    if trade.timestamp is None
                    else moment(trade.timestamp, f"trades[{index}].timestamp"),
                    trade.id,
                    trade.backfill,
                    trade.condition,
                    trade.condition_sign,
                    trade.updates_last,
                    whole(trade.turnover),
                )
                for index, trade in enumerate(given.trades)
            )
        ),
        given.timestamp,
    )


def _candle(source: Any, period: str | None) -> _Parsed:
    given = read(_candle_decoder, source, "invalid_data", "The candle")
    if period is not None and given.period not in {None, period}:
        raise InvalidInput(
            "invalid_data", f"period: {given.period} in the data, {period} beside it", path="period"
        )
    high, low = check_prices(given)
    if given.revised and not given.final:
        raise InvalidInput(
            "invalid_data", "revised: only a final candle can be, so final is missing", path="final"
        )
    candle = Candle(
        time=moment(given.time, "time"),
        open=whole(given.open),
        high=whole(high),
        low=whole(low),
        close=whole(given.close),
        volume=whole(given.volume),
        turnover=whole(given.turnover),
        final=given.final,
        prev_close=whole(given.prev_close),
        revised=given.revised,
    )
    return _Parsed(candle, given.timestamp, parse_period("candles", period or given.period))


def check_prices(candle: Any, prefix: str = "") -> Bounds:
    """Check that a candle's other prices are between its ``low`` and ``high``. Return those bounds.

    A bound that misses a price by a rounding error is set to that price.

    Raises:
        InvalidInput: a price is out of bounds; the error's path begins with ``prefix``.
    """
    high, low = bounds(candle.high, candle.low, (candle.open, candle.close))
    for name, bound, fault in (("high", high, max), ("low", low, min)):
        if bound != fault(candle.open, candle.close, high, low):
            path = prefix + name
            raise InvalidInput(
                "invalid_data",
                f"{path}: {bound} isn't the {name}est price of the candle",
                path=path,
            )
    return Bounds(high, low)


def _brokers(source: Any) -> _Parsed:
    given = read(_brokers_decoder, source, "invalid_data", "The brokers")
    bids, asks = (
        tuple(
            Broker(broker.id, broker.name, broker.pos, broker.order, whole(broker.size))
            for broker in side
        )
        for side in (given.bids, given.asks)
    )
    return _Parsed(Brokers(bids, asks), given.timestamp)


def _time_point(source: Any) -> _Parsed:
    given = read(_time_point_decoder, source, "invalid_data", "The time point")
    values = _values(TimePoint, given) | {"time": moment(given.time, "time")}
    return _Parsed(TimePoint(**values), given.timestamp)


def _values(kind: type[msgspec.Struct], given: msgspec.Struct) -> dict[str, Any]:
    """Return the published values by field, with whole numbers as integers."""
    return {name: whole(getattr(given, name)) for name in kind.__struct_fields__}
