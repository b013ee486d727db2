"""A simulated market, the same for the same seed: books, quotes, trades, candles, brokers.

Books are published for all symbols, other channels only for wanted topics.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.simulated_book import DEPTH, Sentiment, SimulatedBook
from bookcast.feeds.simulated_tape import SimulatedTape
from bookcast.model.numbers import with_whole
from bookcast.model.topics import Symbol, Topic, parse_symbol
from bookcast.model.updates import Publication

MAX_BATCH: Final = 256
"""So many books are made before other tasks get a turn on the event loop."""

SHORTEST_SLEEP: Final = 0.001
MAX_LAG: Final = 1.0
"""If the market falls behind its rate by more seconds than this, it doesn't catch up."""


def parse_symbols(names: Sequence[str], default_market: str) -> list[Symbol]:
    """Return the symbols that ``SIMULATOR_SYMBOLS`` means: a list, or N symbols from US.S0001 on.

    Raises:
        InvalidInput: for an invalid symbol.
    """
    if len(names) == 1 and names[0].isdecimal():
        count = int(names[0])
        width = max(4, len(names[0]))
        return [Symbol(f"US.S{number:0{width}}") for number in range(1, count + 1)]
    return list(dict.fromkeys(parse_symbol(name, default_market) for name in names))


class _Symbol:
    """One symbol of the market: its book, and its other wanted topics."""

    def __init__(self, symbol: Symbol, seed: int, depth: int) -> None:
        self.topic = Topic("orderbook", symbol)
        self.book = SimulatedBook(symbol, seed, depth)
        self.tape = SimulatedTape(symbol, seed, self.book.best()[0])

    def step(self, market: float, now_ms: float) -> list[Publication]:
        """Add orders to the book, and return the resulting publications."""
        self.book.step(market)
        self.tape.note(self.book.fills, self.book.best(), now_ms)
        return [
            Publication(self.topic, self.book.book(), None, now_ms),
            *(
                Publication(topic, with_whole(data), None, now_ms)
                for topic, data in self.tape.publish(now_ms)
            ),
        ]


class Simulator(Feed):
    """Publishes books of all its symbols in turn, ``rate`` per second and symbol.

    ``clock`` returns monotonic seconds, ``now`` seconds since 1970.

    Raises:
        InvalidInput: for an invalid symbol.
    """

    name = "simulator"
    names_all = True

    def __init__(
        self,
        publish: Publish,
        *,
        symbols: Sequence[str],
        rate: float,
        seed: int,
        depth: int = DEPTH,
        default_market: str = "US",
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(publish)
        self._symbols = {
            symbol: _Symbol(symbol, seed, depth)
            for symbol in parse_symbols(symbols, default_market)
        }
        self._turns = list(self._symbols.values())
        self._market = Sentiment(Random(seed), pull=0.03, noise=0.35)
        self._rate = rate
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._made = 0
        self._running = False

    def symbols(self) -> Sequence[Symbol]:
        """Return all symbols of the simulated market."""
        return list(self._symbols)

    def serves(self, topic: Topic) -> bool:
        """Return whether the simulated market has the topic's symbol."""
        return topic.symbol in self._symbols

    def want(self, topic: Topic) -> None:
        """Publish a topic from now on. Books are published in any case."""
        if topic.symbol in self._symbols:
            self._symbols[topic.symbol].tape.want(topic)

    def release(self, topic: Topic) -> None:
        """Stop publishing a topic."""
        if topic.symbol in self._symbols:
            self._symbols[topic.symbol].tape.release(topic)

    def status(self) -> FeedStatus:
        """Return the feed's state: connected while it runs."""
        return FeedStatus(self.name, "connected" if self._running else "starting", len(self._turns))

    async def run(self) -> None:
        """Publish until cancelled. It starts with one book of every symbol."""
        self._running = True
        try:
            await self.publish(self.make(len(self._turns)))
            per_second = self._rate * len(self._turns)
            begun = self._clock() - self._made / per_second
            while True:
                due = int((self._clock() - begun) * per_second) - self._made
                if due > MAX_LAG * per_second + MAX_BATCH:
                    begun = self._clock() - self._made / per_second
                    continue
                if due > 0:
                    await self.publish(self.make(min(due, MAX_BATCH)))
                await self._sleep(
                    0 if due > MAX_BATCH else max(SHORTEST_SLEEP, min(1 / per_second, 0.05))
                )
        finally:
            self._running = False

    def make(self, count: int) -> list[Publication]:
        """Return the next books, symbol by symbol, and other wanted topics of these symbols.

        The sequence is the same for the same seed.
        """
        now_ms = round(self._now() * 1000, 3)
        publications: list[Publication] = []
        for _ in range(count):
            index = self._made % len(self._turns)
            if index == 0:
                self._market.step()
            publications += self._turns[index].step(self._market.value, now_ms)
            self._made += 1
        return publications
