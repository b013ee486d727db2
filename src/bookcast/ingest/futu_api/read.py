"""Reads what futu-api passes to a callback as publications."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from bookcast.errors import InvalidInput
from bookcast.ingest.book import crossed, is_crossed
from bookcast.ingest.futu_api import data, rows
from bookcast.ingest.futu_api.recognise import in_vendor_form, without_absent
from bookcast.ingest.futu_api.words import BOOK_TYPES, K_TYPES, word
from bookcast.ingest.json_input import read
from bookcast.ingest.publication import Rules, check_prices, parse_channel, parse_period
from bookcast.model.market_data import Brokers, Candle, Trade, Trades
from bookcast.model.numbers import Number
from bookcast.model.topics import Channel, Period, Symbol, Topic, parse_symbol
from bookcast.model.updates import Publication

MAX_ROWS: Final = 1000
"""At most this many rows are taken at once: more than futu-api ever pushes or returns."""

_ONE: Final = {channel: msgspec.json.Decoder(kind) for channel, kind in rows.VENDOR.items()}
_MANY: Final = {
    channel: msgspec.json.Decoder(list[kind])  # type: ignore[valid-type] # a type at runtime
    for channel, kind in rows.VENDOR.items()
}

_SIDES: Final = {"bid": "bid_broker_id", "ask": "ask_broker_id"}


class _Row(NamedTuple):
    """A row, the prefix of its fields' paths in errors, and its symbol."""

    given: Any
    prefix: str
    symbol: Symbol


class _Context(NamedTuple):
    rules: Rules
    now_ms: float
    period: str | None


def read_vendor_form(
    channel: str,
    requested_symbol: str | None,
    source: Any,
    *,
    rules: Rules,
    now_ms: float,
    period: str | None = None,
) -> list[Publication] | None:
    """Return the publications of data from futu-api; None if the data aren't in its form.

    Args:
        channel: the channel.
        requested_symbol: the symbol beside the data; None: that of their ``code`` counts.
        source: JSON text as bytes, or what a JSON reader returns.
        rules: rules for everything that is published.
        now_ms: the time of trades that have none.
        period: of candles, if it is given beside the data.

    Raises:
        InvalidInput: with the path of the wrong field.
    """
    name = parse_channel(channel)
    form = in_vendor_form(name, source)
    if form is None:
        return None
    if name != "candles":
        parse_period(name, period)
    code = "invalid_book" if name == "orderbook" else "invalid_data"
    try:
        form = without_absent(_queues(form) if name == "brokers" else form)
    except RecursionError:
        raise InvalidInput(code, "What futu-api handed over is nested too deeply") from None
    if isinstance(form, dict):
        given = {"": read(_ONE[name], form, code, "The row")}
    else:
        if not 1 <= len(form) <= MAX_ROWS:
            raise InvalidInput(code, f"There are {len(form)} rows; publish 1 to {MAX_ROWS} at once")
        read_rows = read(_MANY[name], form, code, "The rows")
        given = {f"[{index}].": row for index, row in enumerate(read_rows)}
    named = [
        _Row(row, prefix, _symbol(requested_symbol, row, prefix, rules.default_market))
        for prefix, row in given.items()
    ]
    try:
        return list(_READERS[name](named, _Context(rules, now_ms, period)))
    except InvalidInput as error:
        theirs = [row.symbol for row in named if error.path.startswith(row.prefix.rstrip("."))]
        raise error.about(name, requested_symbol or (theirs or [named[0].symbol])[0]) from None


def _symbol(requested_symbol: str | None, row: Any, prefix: str, market: str) -> Symbol:
    """Return the symbol of a row: the one given beside the data, or its ``code``."""
    codes = {f"{prefix}code": row.code}
    if isinstance(row, rows.VendorBrokers):
        for side in ("bid", "ask"):
            codes |= {
                f"{side}[{index}].code": broker.code
                for index, broker in enumerate(getattr(row, side))
            }
    symbol = None if requested_symbol is None else parse_symbol(requested_symbol, market)
    for path, code in codes.items():
        if code is None:
            continue
        try:
            other = parse_symbol(code, market)
        except InvalidInput as error:
            raise InvalidInput(error.code, f"{path}: {error.message}", path=path) from None
        if symbol is None:
            symbol = other
        if other != symbol:
            raise InvalidInput(
                "invalid_symbol",
                f"{path}: {code} is another symbol than {requested_symbol or symbol}; leave one of "
                "them out, or publish each by itself",
                path=path,
            )
    if symbol is None:
        raise no_symbol()
    return symbol


def no_symbol() -> InvalidInput:
    """Return the error for a publication without a symbol."""
    return InvalidInput(
        "invalid_symbol",
        "Name the symbol, over HTTP in the address: ?symbol=AAPL. Only what futu-api hands over "
        "may have it as its code instead",
        path="symbol",
    )


def _books(given: Sequence[_Row], context: _Context) -> Iterator[Publication]:
    for row, prefix, symbol in given:
        variant = word(BOOK_TYPES, row.order_book_type, f"{prefix}order_book_type", "")
        book = data.book(row)
        if context.rules.refuse_crossed and is_crossed(book.bids, book.asks):
            raise crossed(book.bids, book.asks, f"{prefix}Bid[0][0]")
        time = data.book_time(row, symbol, prefix)
        yield Publication(Topic("orderbook", symbol, variant), book, time)


def _quotes(given: Sequence[_Row], _context: _Context) -> Iterator[Publication]:
    for row, prefix, symbol in given:
        time = data.quote_time(row, symbol, prefix)
        quote = data.quote(row, prefix)
        if quote == type(quote)(name=quote.name):
            path = prefix.removesuffix(".")
            raise InvalidInput(
                "invalid_data",
                f"{path or 'The row'}: a quote needs a figure, for instance last_price",
                path=path,
            )
        yield Publication(Topic("quote", symbol), quote, time)


def _trades(given: Sequence[_Row], context: _Context) -> Iterator[Publication]:
    """Yield the trades of each symbol as one publication, as the feed does."""
    tapes: dict[Symbol, list[Trade]] = {}
    times: dict[Symbol, Number | None] = {}
    for row, prefix, symbol in given:
        trade = data.trade(row, symbol, prefix, context.now_ms)
        tapes.setdefault(symbol, []).append(trade)
        times[symbol] = None if row.time is None else trade.timestamp
    for symbol, trades in tapes.items():
        yield Publication(Topic("trades", symbol), Trades(tuple(trades)), times[symbol])


def _candles(given: Sequence[_Row], context: _Context) -> Iterator[Publication]:
    """Yield candles, oldest first; in each series all but the newest are final."""
    series: dict[Topic, dict[Number, Candle]] = {}
    for row, prefix, symbol in given:
        check_prices(row, prefix)
        period = _period(row.k_type, context.period, prefix)
        candle = data.candle(row, symbol, period, prefix, final=False)
        topic = Topic("candles", symbol, period)
        series.setdefault(topic, {})[candle.time] = candle
    for topic, candles in series.items():
        newest = max(candles)
        for time in sorted(candles):
            final = time < newest
            yield Publication(topic, msgspec.structs.replace(candles[time], final=final))


def _period(k_type: str | None, period: str | None, prefix: str) -> Period:
    """Return the period of a candle: that of its row, or the one given beside the data."""
    beside = period and parse_period("candles", K_TYPES.get(period.upper(), period))
    if k_type is None:
        return parse_period("candles", beside)  # type: ignore[return-value] # it is one
    path = f"{prefix}k_type"
    inside = word(K_TYPES, k_type, path, None)
    assert inside is not None
    if beside not in {None, inside}:
        raise InvalidInput(
            "invalid_data", f"{path}: {k_type} in the data, {period} beside it", path=path
        )
    return inside


def _brokers(given: Sequence[_Row], _context: _Context) -> Iterator[Publication]:
    for row, _, symbol in given:
        brokers = Brokers(
            tuple(data.bidder(broker) for broker in row.bid),
            tuple(data.asker(broker) for broker in row.ask),
        )
        yield Publication(Topic("brokers", symbol), brokers)


def _queues(form: Any) -> Any:
    """Return the rows of brokers under ``bid`` and ``ask``, in whichever form they came.

    They may be a list of both tables, or rows of either side, recognised by their columns.
    """
    if not form or (isinstance(form, dict) and not set(_SIDES.values()) & form.keys()):
        return form
    if isinstance(form, dict):
        form = [form]
    if len(form) == len(_SIDES) and all(isinstance(side, list) for side in form):
        return dict(zip(_SIDES, form, strict=True))
    if not all(isinstance(row, dict) for row in form):
        return form
    return {
        side: [row for row in form if _is_of(row, side, column)] for side, column in _SIDES.items()
    }


def _is_of(row: Mapping[str, Any], side: str, column: str) -> bool:
    """Return whether a row belongs to a side. A row of neither side is refused when it is read."""
    return column in row or (side == "bid" and not set(_SIDES.values()) & row.keys())


def _time_points(given: Sequence[_Row], _context: _Context) -> Iterator[Publication]:
    """Yield the minutes that have data."""
    filled = [row for row in given if not row.given.is_blank]
    if not filled:
        raise InvalidInput("invalid_data", "is_blank: there are only minutes without data")
    for row, prefix, symbol in filled:
        yield Publication(Topic("timeframe", symbol), data.time_point(row, symbol, prefix))


_Reader = Callable[[Sequence[_Row], _Context], Iterator[Publication]]
_READERS: Final[Mapping[Channel, _Reader]] = {
    "orderbook": _books,
    "quote": _quotes,
    "trades": _trades,
    "candles": _candles,
    "brokers": _brokers,
    "timeframe": _time_points,
}
