from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from bookcast.feeds.futu import inbox as inboxes
from bookcast.feeds.futu.candles import KINDS, CandleSeries
from bookcast.feeds.futu.inbox import Inbox
from bookcast.feeds.futu.markets import MarketState
from bookcast.feeds.futu.pushes import Pushes
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.tape import Tape
from bookcast.model.market_data import (
    Book,
    Broker,
    Brokers,
    Candle,
    Level,
    Quote,
    TimePoint,
    Trades,
)
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.support import AAPL, CANDLES, QUOTE, TRADES

SECONDS = 1_700_000_000.5
MS = 1_700_000_000_500
QUOTES, KLINES, TIMES, TICKERS, BOOKS, BROKERS = 3005, 3007, 3009, 3011, 3013, 3015
NAMES = {
    QUOTES: "Qot_UpdateBasicQot",
    KLINES: "Qot_UpdateKL",
    TIMES: "Qot_UpdateRT",
    TICKERS: "Qot_UpdateTicker",
    BOOKS: "Qot_UpdateOrderBook",
    BROKERS: "Qot_UpdateBroker",
}
PRICES = {"curPrice": 10.5, "openPrice": 10.0, "highPrice": 11.0, "lowPrice": 9.0}


class World:
    """Pushes with clocks that stand still, and the inbox behind them."""

    def __init__(self) -> None:
        self.seconds = 50.0
        self.now = SECONDS + 1
        self.states = {AAPL.symbol: MarketState(session="regular")}
        self.inbox = Inbox()
        self.pushes = Pushes(
            self.inbox,
            lambda symbol: self.states.get(symbol, MarketState()),
            now=lambda: self.now,
            clock=lambda: self.seconds,
        )

    def push(self, protocol: int, s2c: Any) -> None:
        self.pushes.take(protocol, body(protocol, s2c))

    async def taken(self) -> list[Publication]:
        """Take what is there, nothing if nothing is."""
        waiting = asyncio.ensure_future(self.inbox.take())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if not waiting.done():
            waiting.cancel()
            return []
        return await waiting


@pytest.fixture
def world() -> World:
    """Give pushes and their inbox."""
    return World()


def s2c_of(protocol: int, market: int = 11, code: str = "AAPL", **more: Any) -> Any:
    s2c = messages(NAMES[protocol]).S2C(**more)
    if protocol != QUOTES:
        s2c.security.market, s2c.security.code = market, code
    return s2c


def more_of(protocol: int) -> dict[str, Any]:
    return {"klType": 1} if protocol == KLINES else {}


def body(protocol: int, s2c: Any, error: str = "") -> bytes:
    response = messages(NAMES[protocol]).Response(retType=-1 if error else 0, retMsg=error)
    response.s2c.CopyFrom(s2c)
    return bytes(response.SerializePartialToString())


def pushed_book(price: float = 10.0, **more: Any) -> Any:
    s2c = s2c_of(BOOKS, svrRecvTimeBidTimestamp=SECONDS, **more)
    s2c.orderBookBidList.add(price=price, volume=5, orederCount=1)
    return s2c


def pushed_quotes(*codes: str, **more: Any) -> Any:
    s2c = s2c_of(QUOTES)
    for code in codes:
        basic = s2c.basicQotList.add(**({"updateTimestamp": SECONDS} | PRICES | more))
        basic.security.market, basic.security.code = 11, code
    return s2c


def pushed_trades(*sequences: int) -> Any:
    s2c = s2c_of(TICKERS)
    for sequence in sequences:
        s2c.tickerList.add(sequence=sequence, price=10.5, volume=1, dir=1, timestamp=SECONDS)
    return s2c


def pushed_candle(minute: int, period: int = 1, volume: int = 1) -> Any:
    s2c = s2c_of(KLINES, klType=period, rehabType=1)
    s2c.klList.add(timestamp=1_700_000_040 + minute * 60, closePrice=10.5, volume=volume)
    return s2c


async def test_a_book_is_published(world: World) -> None:
    """With the times of the exchange and of its arrival."""
    world.push(BOOKS, pushed_book())
    book = Book.of((Level(10.0, 5, 1),), ())
    assert await world.taken() == [Publication(AAPL, book, MS, MS + 1000)]


async def test_books_of_odd_lots_stand_beside_the_usual_ones(world: World) -> None:
    """They come in the same kind of message."""
    world.push(BOOKS, pushed_book(10))
    world.push(BOOKS, pushed_book(11, orderBookType=1))
    assert [publication.topic for publication in await world.taken()] == [
        AAPL,
        Topic("orderbook", AAPL.symbol, "odd"),
    ]


async def test_quotes_come_several_at_once(world: World) -> None:
    """Each with its market's session."""
    world.push(QUOTES, pushed_quotes("AAPL", "TSLA"))
    first, second = await world.taken()
    assert first.topic == QUOTE
    assert isinstance(first.data, Quote)
    assert isinstance(second.data, Quote)
    assert (first.data.last, first.data.session, first.exchange_ms) == (10.5, "regular", MS)
    assert (second.topic.symbol, second.data.session) == (Symbol("US.TSLA"), None)


async def test_a_quote_tells_whether_trading_is_suspended(world: World) -> None:
    """Until the next one says otherwise."""
    for suspended in (True, False):
        world.push(QUOTES, pushed_quotes("AAPL", isSuspended=suspended))
        await world.taken()
        assert world.pushes.halt(AAPL.symbol) == ("its trading is suspended" if suspended else None)


async def test_a_quote_tells_why_its_symbol_is_not_traded(world: World) -> None:
    """By its status."""
    world.push(QUOTES, pushed_quotes("AAPL", secStatus=19))
    await world.taken()
    halt = world.pushes.halt(AAPL.symbol)
    assert halt == "a circuit breaker has stopped its trading for the day"


async def test_an_empty_quote_replaces_nothing(world: World) -> None:
    """Neither what waits nor what was said of the symbol."""
    world.push(QUOTES, pushed_quotes("AAPL", isSuspended=True))
    world.push(QUOTES, pushed_quotes("AAPL", **dict.fromkeys(PRICES, 0.0), updateTimestamp=0.0))
    [published] = await world.taken()
    assert isinstance(published.data, Quote)
    assert published.data.last == 10.5
    assert world.pushes.halt(AAPL.symbol)
    world.push(QUOTES, pushed_quotes("TSLA", **dict.fromkeys(PRICES, 0.0), updateTimestamp=0.0))
    assert await world.taken() == []


async def test_brokers_are_published(world: World) -> None:
    """In the order of their queues."""
    s2c = s2c_of(BROKERS)
    s2c.brokerBidList.add(id=1, name="One", pos=1)
    world.push(BROKERS, s2c)
    brokers = Brokers((Broker(1, "One", 1),), ())
    topic = Topic("brokers", AAPL.symbol)
    assert await world.taken() == [Publication(topic, brokers, None, MS + 1000)]


async def test_of_a_time_frame_the_newest_point_counts_that_holds_something(world: World) -> None:
    """Blank ones stand for minutes to come."""
    s2c = s2c_of(TIMES)
    for minute, blank in ((0, False), (1, False), (2, True)):
        s2c.rtList.add(timestamp=SECONDS + minute, isBlank=blank, price=10.0 + minute)
    world.push(TIMES, s2c)
    [published] = await world.taken()
    assert isinstance(published.data, TimePoint)
    assert (published.data.price, published.data.time) == (11, MS + 1000 - 60_000)
    assert published.exchange_ms is None
    assert published.topic == Topic("timeframe", AAPL.symbol)


async def test_a_time_frame_of_nothing_is_not_published(world: World) -> None:
    """Neither an empty one nor one of blank points, which leaves what waits alone."""
    s2c = s2c_of(TIMES)
    world.push(TIMES, s2c)
    assert await world.taken() == []
    s2c.rtList.add(timestamp=SECONDS, isBlank=True)
    world.push(TIMES, s2c)
    assert await world.taken() == []


async def test_trades_are_published_once(world: World) -> None:
    """Though OpenD repeats some."""
    world.push(TICKERS, pushed_trades(1, 2))
    world.push(TICKERS, pushed_trades(2, 3))
    published = await world.taken()
    assert [
        trade.id for p in published if isinstance(p.data, Trades) for trade in p.data.trades
    ] == [
        1,
        2,
        3,
    ]
    assert {publication.topic for publication in published} == {TRADES}


@pytest.mark.parametrize("period", KINDS)
async def test_candles_are_published_under_their_period(world: World, period: Any) -> None:
    """Each period is a topic of its own."""
    world.push(KLINES, pushed_candle(1, KINDS[period]))
    [published] = await world.taken()
    assert published.topic == CANDLES._replace(variant=period)
    assert isinstance(published.data, Candle)
    assert published.data.close == 10.5


async def test_the_last_candle_of_a_session_is_final_when_it_has_ended(world: World) -> None:
    """Of what is held: nobody knows how what was let go of went on."""
    released = CANDLES._replace(symbol=Symbol("US.TSLA"))
    world.now = 1_700_000_100.0
    world.push(KLINES, pushed_candle(1))
    s2c = pushed_candle(1)
    s2c.security.code = "TSLA"
    world.push(KLINES, s2c)
    await world.taken()
    world.pushes.end_sessions({CANDLES})
    world.states = dict.fromkeys((AAPL.symbol, released.symbol), MarketState("closed", None))
    for seconds in (1, 9):
        world.now += seconds
        world.pushes.end_sessions({CANDLES, TRADES})
        assert await world.taken() == []
    world.now += 1
    world.pushes.end_sessions({CANDLES, TRADES})
    [published] = await world.taken()
    assert (published.topic, published.feed_ms) == (CANDLES, world.now * 1000)
    assert isinstance(published.data, Candle)
    assert published.data.final
    world.now += 60
    world.pushes.end_sessions({CANDLES})
    assert await world.taken() == []


async def test_hours_of_us_stocks_are_those_that_are_subscribed() -> None:
    """A candle of the first hours begins no sooner than they do."""
    pushes = Pushes(Inbox(), lambda _: MarketState(), us_session=1)
    series = pushes.series(CANDLES._replace(variant="4h"))
    assert isinstance(series, CandleSeries)
    assert len(series.calendar.hours.sessions[0]) == 1


async def test_what_is_not_known_is_left_alone(world: World) -> None:
    """Other messages, other periods, other markets."""
    world.pushes.take(1004, b"anything")
    world.push(KLINES, pushed_candle(1, 99))
    for protocol in (KLINES, TIMES, TICKERS, BOOKS, BROKERS):
        world.push(protocol, s2c_of(protocol, market=999, **more_of(protocol)))
    quotes = pushed_quotes("AAPL")
    quotes.basicQotList[0].security.market = 999
    world.push(QUOTES, quotes)
    assert await world.taken() == []
    assert world.pushes.rhythm.heard_at(AAPL) is None


async def test_an_error_that_is_pushed_is_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """And nothing is published."""
    world.pushes.take(BOOKS, body(BOOKS, pushed_book(), error="no right"))
    assert "OpenD pushed an error: no right (-1)" in caplog.text
    assert await world.taken() == []


async def test_when_something_came_is_known(world: World) -> None:
    """Of each topic."""
    world.push(BOOKS, pushed_book())
    world.seconds = 60
    world.push(QUOTES, pushed_quotes("AAPL"))
    rhythm = world.pushes.rhythm
    assert (rhythm.heard_at(AAPL), rhythm.heard_at(QUOTE)) == (50, 60)
    assert rhythm.heard_at(TRADES) is None


async def test_the_past_is_published_before_what_was_pushed_meanwhile(world: World) -> None:
    """Trades that were asked for, then those that waited."""
    series = world.pushes.series(TRADES)
    assert isinstance(series, Tape)
    series.begin()
    world.push(TICKERS, pushed_trades(3))
    assert await world.taken() == []
    world.pushes.fill(TRADES, pushed_trades(1, 2).tickerList)
    assert [
        (p.backfill, p.data.trades[0].id) for p in await world.taken() if isinstance(p.data, Trades)
    ] == [
        (True, 1),
        (True, 2),
        (False, 3),
    ]


async def test_each_topic_has_one_series(world: World) -> None:
    """Of trades or of candles."""
    assert world.pushes.series(TRADES) is world.pushes.series(TRADES)
    assert isinstance(world.pushes.series(CANDLES), CandleSeries)


async def test_a_past_that_cannot_be_understood_holds_nothing_up(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What was pushed meanwhile is published."""
    caplog.set_level(logging.ERROR)
    world.push(TICKERS, pushed_trades(1))
    world.pushes.series(TRADES).begin()
    world.push(TICKERS, pushed_trades(2))
    world.pushes.fill(TRADES, [object()])
    assert "the past of trades:US.AAPL can't be understood" in caplog.text
    published = await world.taken()
    assert [
        trade.id for p in published if isinstance(p.data, Trades) for trade in p.data.trades
    ] == [
        1,
        2,
    ]
    assert published[-1].breaks


async def test_what_the_engine_is_too_slow_for_is_given_up_with_a_word(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next trade, and the next candle, begin anew."""
    monkeypatch.setattr(inboxes, "MAX_EVENTS", 2)
    world.push(TICKERS, pushed_trades(1))
    world.push(KLINES, pushed_candle(1))
    world.push(TICKERS, pushed_trades(2))
    world.push(KLINES, pushed_candle(1, volume=2))
    assert "1 trades or candles are given up" in caplog.text
    assert [publication.breaks for publication in await world.taken()] == [False, False]
    world.push(TICKERS, pushed_trades(3))
    world.push(KLINES, pushed_candle(1, volume=3))
    assert [publication.breaks for publication in await world.taken()] == [True, True]


def snapshot(**more: Any) -> Any:
    made = messages("Qot_GetSecuritySnapshot").Snapshot()
    basic = messages("Qot_GetSecuritySnapshot").SnapshotBasicData(
        updateTimestamp=SECONDS, bidPrice=10.4, bidVol=7, **(PRICES | more)
    )
    basic.security.market, basic.security.code = 11, "AAPL"
    made.basic.CopyFrom(basic)
    return made


async def test_a_snapshot_stands_in_for_a_quote_or_a_book(world: World) -> None:
    """It has the best level only."""
    world.pushes.publish_snapshot(AAPL, snapshot())
    world.pushes.publish_snapshot(QUOTE, snapshot())
    book, quote = await world.taken()
    assert book == Publication(AAPL, Book((Level(10.4, 7),), ()), MS, MS + 1000)
    assert isinstance(quote.data, Quote)
    assert (quote.topic, quote.data.bid, quote.data.session) == (QUOTE, 10.4, "regular")


async def test_a_snapshot_tells_whether_trading_is_suspended(world: World) -> None:
    """Published or only looked at; one of an unknown market tells nothing."""
    world.pushes.publish_snapshot(QUOTE, snapshot(isSuspend=True))
    assert world.pushes.halt(AAPL.symbol)
    unknown = snapshot(isSuspend=True)
    unknown.basic.security.market = 999
    world.pushes.note_halt(unknown.basic)
    world.pushes.note_halt(snapshot(isSuspend=False).basic)
    assert world.pushes.halt(AAPL.symbol) is None
    world.pushes.note_halt(snapshot(secStatus=13).basic)
    assert world.pushes.halt(AAPL.symbol) == "it is delisted"


async def test_what_is_pushed_ends_a_suspension_that_was_only_looked_at(world: World) -> None:
    """Nobody looks at a symbol that isn't quiet; its quote, if there is one, knows better."""
    world.pushes.note_halt(snapshot(isSuspend=True).basic)
    world.push(BOOKS, pushed_book())
    assert world.pushes.halt(AAPL.symbol) is None
    world.push(QUOTES, pushed_quotes("AAPL", isSuspended=True))
    await world.taken()
    world.push(BOOKS, pushed_book())
    assert world.pushes.halt(AAPL.symbol)


async def test_a_body_that_cannot_be_read_may_have_been_anybodys_trades(world: World) -> None:
    """So the next of each begins anew."""
    world.push(TICKERS, pushed_trades(1))
    with pytest.raises(Exception, match=r"(?i)pars"):
        world.pushes.take(TICKERS, b"\xff\xff")
    world.push(TICKERS, pushed_trades(2))
    assert [publication.breaks for publication in await world.taken()] == [False, True]


async def test_a_topic_that_is_refused_costs_nothing(world: World) -> None:
    """Unless something of it is known."""
    world.pushes.series(TRADES).begin()
    world.pushes.forget(TRADES)
    assert not world.pushes._series
    world.push(TICKERS, pushed_trades(1))
    world.pushes.forget(TRADES)
    assert list(world.pushes._series) == [TRADES]
