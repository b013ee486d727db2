import asyncio
import statistics
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest

from bookcast.feeds.simulated_book import DEPTH
from bookcast.feeds.simulator import MAX_BATCH, Simulator, parse_symbols
from bookcast.model.market_data import Book
from bookcast.model.topics import Channel, Symbol, Topic
from bookcast.model.updates import Publication
from tests.support import eventually, published_book


async def nowhere(_publications: Sequence[Publication]) -> None:
    """Take what is published and forget it."""


def market(*symbols: str, seed: int = 1) -> Simulator:
    return Simulator(nowhere, symbols=symbols, rate=10, seed=seed, now=lambda: 1.0)


def books(simulator: Simulator, count: int) -> list[Book]:
    return [published_book(publication) for publication in simulator.make(count)]


def test_symbols_are_a_list_or_a_number() -> None:
    """A number N makes US.S0001 and on, N of them."""
    assert parse_symbols(["AAPL", "HK.00700", "US.AAPL"], "US") == ["US.AAPL", "HK.00700"]
    assert parse_symbols(["3"], "HK") == ["US.S0001", "US.S0002", "US.S0003"]
    assert len(set(parse_symbols(["12345"], "US"))) == 12345


def test_the_same_seed_makes_the_same_market() -> None:
    """However the books are asked for; another seed makes another one."""
    whole = market("AAPL", "TSLA").make(600)
    piecemeal = market("AAPL", "TSLA")
    assert whole == [book for _ in range(200) for book in piecemeal.make(3)]
    assert whole != market("AAPL", "TSLA", seed=2).make(600)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("symbol", ["US.AAPL", "HK.00700", "JP.7203"])
def test_every_book_looks_like_one(symbol: str, seed: int) -> None:
    """Uncrossed, best first, deep on both sides, on the tick grid, queues of real size."""
    for book in books(market(symbol, seed=seed), 1000):
        assert len(book.bids) == len(book.asks) == DEPTH >= 10
        bids, asks = ([level.price for level in side] for side in (book.bids, book.asks))
        assert bids == sorted(set(bids), reverse=True)
        assert asks == sorted(set(asks))
        assert bids[0] < asks[0]
        assert bids[-1] > 0
        for level in book.bids + book.asks:
            assert isinstance(level.size, int)
            assert level.size > 0
            assert level.orders is not None
            assert level.orders > 0
            assert round(level.price, 4) == level.price


def test_prices_walk_and_the_spread_stays_narrow() -> None:
    """A market that moves, with few ticks between the sides."""
    made = books(market("US.AAPL"), 5000)
    middles = [(book.bids[0].price + book.asks[0].price) / 2 for book in made]
    spreads = [book.asks[0].price - book.bids[0].price for book in made]
    assert max(middles) - min(middles) > 0.2
    assert statistics.median(spreads) <= 0.05


@pytest.mark.no_cover
def test_prices_walk_together() -> None:
    """A sentiment of the whole market moves all symbols."""
    made = books(market("A", "B", "C"), 3 * 6000)
    changes = []
    for first in range(3):
        middles = [(book.bids[0].price + book.asks[0].price) / 2 for book in made[first :: 3 * 100]]
        changes.append([after / before - 1 for before, after in pairwise(middles)])
    together = [
        statistics.correlation(changes[0], changes[1]),
        statistics.correlation(changes[1], changes[2]),
        statistics.correlation(changes[0], changes[2]),
    ]
    assert statistics.mean(together) > 0.1


def test_other_channels_come_where_they_are_wanted() -> None:
    """After the book that they follow from, until they are wanted no more."""
    simulator = market("A", "B")
    symbol = Symbol("US.A")
    topics = [
        Topic("trades", symbol),
        Topic("quote", symbol),
        Topic("brokers", symbol),
        Topic("candles", symbol, "1m"),
    ]
    for topic in (*topics, Topic("quote", Symbol("US.X"))):
        simulator.want(topic)
    made = [publication.topic for publication in simulator.make(400)]
    assert set(made) == {*topics, *(Topic("orderbook", symbol) for symbol in simulator.symbols())}
    assert made.count(topics[1]) == 200
    for topic in (*topics, Topic("quote", Symbol("US.X"))):
        simulator.release(topic)
    assert {publication.topic.channel for publication in simulator.make(400)} == {"orderbook"}


def test_it_serves_the_symbols_it_has() -> None:
    """And no others."""
    simulator = market("A")
    assert simulator.serves(Topic("quote", Symbol("US.A")))
    assert not simulator.serves(Topic("quote", Symbol("US.B")))


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jump = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.jump
        await asyncio.sleep(0)


@pytest.mark.parametrize(("symbols", "rate"), [("2", 5.0), ("100", 100.0)])
async def test_books_come_at_the_rate_asked_for(symbols: str, rate: float) -> None:
    """Per second and symbol, beginning with every symbol once."""
    clock = Clock()
    made: list[Publication] = []

    async def publish(publications: Sequence[Publication]) -> None:
        made.extend(publications)

    simulator = Simulator(
        publish, symbols=[symbols], rate=rate, seed=1, clock=lambda: clock.now, sleep=clock.sleep
    )
    assert simulator.status().state == "starting"
    task = asyncio.create_task(simulator.run())
    await eventually(lambda: clock.now >= 1, "a second")
    assert simulator.status().state == "connected"
    task.cancel()
    expected = int(symbols) * (1 + rate * clock.now)
    assert len(made) == pytest.approx(expected, rel=0.05, abs=MAX_BATCH)
    assert {publication.topic.symbol for publication in made[: int(symbols)]} == set(
        simulator.symbols()
    )


async def test_a_market_that_cannot_keep_up_does_not_try_to_catch_up_for_ever() -> None:
    """What is missed by more than a second stays missed."""
    clock = Clock()
    clock.jump = 10.0
    sizes: list[int] = []

    async def publish(publications: Sequence[Publication]) -> None:
        sizes.append(len(publications))

    simulator = Simulator(
        publish, symbols=["10"], rate=1000, seed=1, clock=lambda: clock.now, sleep=clock.sleep
    )
    task = asyncio.create_task(simulator.run())
    await eventually(lambda: clock.now >= 100, "time to pass")
    task.cancel()
    assert max(sizes) <= MAX_BATCH


def test_whole_numbers_of_its_channels_are_integers() -> None:
    """A book knows how base clients get it."""
    simulated = market("JP.7203")
    wanted: list[tuple[Channel, str]] = [
        ("trades", ""),
        ("quote", ""),
        ("candles", "1m"),
        ("brokers", ""),
    ]
    for channel, variant in wanted:
        simulated.want(Topic(channel, Symbol("JP.7203"), variant))
    made = simulated.make(300)
    assert {publication.topic.channel for publication in made} == {
        "orderbook",
        "trades",
        "quote",
        "candles",
        "brokers",
    }
    for publication in made:
        data = publication.data
        if isinstance(data, Book):
            assert data.written is not None
            assert all(type(level.price) is int for level in (*data.bids, *data.asks))
            assert all(type(level.price) is float for level in data.written.bids)
        else:
            assert ".0," not in msgspec.json.encode(data).decode()
