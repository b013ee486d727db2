"""What the feed makes of a message is made of what futu-api hands over of the same message."""

from typing import Any

import msgspec
import pytest

from bookcast.errors import InvalidInput
from bookcast.feeds.futu import decode, quotes
from bookcast.feeds.futu.candles import CandleSeries
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.tape import Tape
from bookcast.ingest.futu_api import data, rows
from bookcast.ingest.futu_api.read import read_vendor_form
from bookcast.ingest.futu_api.words import market_time
from bookcast.ingest.publication import Rules
from bookcast.model.market_data import (
    Candle,
    DetailedLevel,
    ExtendedQuote,
    Level,
    Order,
    Quote,
    Trades,
)
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.ingest.futu_api.handover import KINDS

HK, US = Symbol("HK.00700"), Symbol("US.AAPL")


def message(handed_over: dict[str, Any], kind: str) -> Any:
    response = messages(KINDS[kind][0]).Response()
    response.ParseFromString(bytes.fromhex(handed_over[kind]["message"]))
    return response.s2c


def published(handed_over: dict[str, Any], kind: str) -> list[Publication]:
    handed = handed_over[kind]["handed"][-1]
    made = read_vendor_form(
        kind, None, msgspec.json.encode(handed), rules=Rules("US"), now_ms=0, period=None
    )
    assert made is not None
    return made


def test_a_book_is_the_feeds(handed_over: dict[str, Any]) -> None:
    """With the orders of its levels and Futu's time."""
    s2c = message(handed_over, "orderbook")
    [made] = published(handed_over, "orderbook")
    assert made == Publication(Topic("orderbook", HK), decode.book(s2c), decode.book_time(s2c))


def test_quotes_are_the_feeds(handed_over: dict[str, Any]) -> None:
    """Each of its own symbol, also the figures of an option and of the hours before."""
    s2c = message(handed_over, "quote")
    made = published(handed_over, "quote")
    assert [publication.data for publication in made] == [
        quotes.quote(basic, None) for basic in s2c.basicQotList
    ]
    assert [(one.topic.symbol, one.exchange_ms) for one in made] == [
        (HK, 1_767_577_500_000),
        (US, 1_767_624_300_000),
    ]


def test_trades_are_the_feeds(handed_over: dict[str, Any]) -> None:
    """Together, with sequences that a JSON reader would round as text."""
    s2c = message(handed_over, "trades")
    [told] = Tape(Topic("trades", US)).push(s2c.tickerList, 0)
    [made] = published(handed_over, "trades")
    assert made.exchange_ms == told.exchange_ms
    assert isinstance(made.data, Trades)
    assert isinstance(told.data, Trades)
    assert made.data.trades[0].id == "7400000000000000001"
    assert [made.data.trades[1].updates_last, made.data.trades[1].backfill] == [False, True]
    unsigned = [msgspec.structs.replace(trade, condition_sign=None) for trade in told.data.trades]
    assert list(made.data.trades) == unsigned


def test_candles_are_the_feeds(handed_over: dict[str, Any]) -> None:
    """The earlier one is final, the newest is forming, and both begin where they begin."""
    s2c = message(handed_over, "candles")
    told = CandleSeries(Topic("candles", HK, "15m")).push(s2c.klList, 0)
    made = published(handed_over, "candles")
    assert [(one.topic, one.data) for one in made] == [(one.topic, one.data) for one in told]
    assert [one.data.final for one in made if isinstance(one.data, Candle)] == [True, False]


def test_brokers_are_the_feeds(handed_over: dict[str, Any]) -> None:
    """Both tables in a list, as its handler hands them over."""
    [made] = published(handed_over, "brokers")
    assert made.data == decode.brokers(message(handed_over, "brokers"))


def test_minutes_of_the_day_are_the_feeds(handed_over: dict[str, Any]) -> None:
    """By their beginning."""
    s2c = message(handed_over, "timeframe")
    [made] = published(handed_over, "timeframe")
    assert made.data == decode.time_point(s2c.rtList[0], HK)


def test_a_side_is_put_in_order() -> None:
    """Levels without a size or a price are none, and those of one price are joined."""
    given = rows.VendorBook(
        bids=[
            rows.VendorLevel(1, 10.0, 1),
            rows.VendorLevel(2, 5),
            rows.VendorLevel(2, 6, 2),
            rows.VendorLevel(0, 5),
            rows.VendorLevel(3, 0),
        ],
        asks=[rows.VendorLevel(4.0, 1, None, {"7": 1.0, "x": 2})],
    )
    book = data.book(given)
    assert book.bids == (Level(2, 11, 2), Level(1, 10, 1))
    assert book.asks == (DetailedLevel(4.0, 1, None, (Order(7, 1), Order("x", 2))),)
    assert book.published is None


@pytest.mark.parametrize(
    ("fields", "quote"),
    [
        ({"last_price": 0, "volume": 0}, Quote(volume=0)),
        ({"sec_status": "SUSPENDED"}, Quote(suspended=True, security_status="suspended")),
        (
            {"sec_status": "dark_trading", "suspension": False},
            Quote(suspended=False, security_status="grey_market", dark="trading"),
        ),
        (
            {"after_price": 0.0, "after_volume": 5, "after_change_rate": -100.0},
            Quote(after=ExtendedQuote(volume=5)),
        ),
        ({"bid_price": 1.5, "ask_price": 2.0}, Quote(bid=1.5, ask=2)),
    ],
)
def test_a_quote_means_what_the_feeds_means(fields: dict[str, Any], quote: Quote) -> None:
    """A price of 0 is none, and a status tells whether it is traded."""
    assert data.quote(rows.VendorQuote(**fields), "") == quote


def test_a_future_has_its_figures() -> None:
    """The days left are told of options and futures in one column."""
    future = data.quote(
        rows.VendorQuote(last_settle_price=20_000.0, position=5, expiry_date_distance=9), ""
    ).future
    assert future is not None
    assert (future.prev_settle, future.oi, future.days_left) == (20_000, 5, 9)


@pytest.mark.parametrize(
    ("time_key", "symbol", "period", "begin"),
    [
        ("2026-01-05 09:31:00", HK, "1m", "2026-01-05 09:30:00"),
        ("2026-01-05 13:30:00", HK, "1h", "2026-01-05 11:30:00"),
        ("2026-01-05 10:30:00", US, "1h", "2026-01-05 09:30:00"),
        ("2026-01-07 00:00:00", HK, "1w", "2026-01-05 00:00:00"),
        ("2026-02-27", US, "1M", "2026-02-01 00:00:00"),
    ],
)
def test_a_candle_begins_where_the_feeds_begins(
    time_key: str, symbol: Symbol, period: Any, begin: str
) -> None:
    """Its label is the end, and a break doesn't count; of days and longer it is a day of it."""
    given = rows.VendorCandle(time_key, 1, 1, 1, 1, 0)
    candle = data.candle(given, symbol, period, "", final=False)
    assert candle.time == market_time(begin, symbol, "begin")


def test_a_trade_without_a_time_happened_now() -> None:
    """Its other columns may be absent too."""
    trade = data.trade(rows.VendorTicker(price=1, volume=2), HK, "", 99)
    assert (trade.timestamp, trade.side, trade.id, trade.updates_last) == (
        99,
        "neutral",
        None,
        True,
    )


def test_a_book_with_a_wrong_time_is_refused() -> None:
    """By the column."""
    given = rows.VendorBook(bids=[], asks=[], svr_recv_time_ask="soon")
    with pytest.raises(InvalidInput, match="svr_recv_time_ask"):
        data.book_time(given, HK, "")
