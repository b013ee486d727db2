"""Simulated limit order books, the same for the same seed.

Each symbol has a book of queues. Every step a few orders arrive: most join or leave queues near the
best price, some take liquidity. Whether they buy or sell depends on a sentiment that all symbols
share and on one of the symbol's own, so that prices move, and move together.
"""

from __future__ import annotations

import math
from random import Random
from typing import Final, Literal, NamedTuple

from bookcast.model.market_data import Book, Level
from bookcast.model.topics import Symbol

DEPTH: Final = 20
"""The default number of published levels on each side."""

TAKING: Final = 0.12
JOINING: Final = 0.53
"""The probabilities that an order takes or adds liquidity. All others withdraw some."""

CLOSING_IN: Final = 0.8
"""The probability that an order that adds liquidity goes into the gap between the sides."""

EMPTY_PRICE: Final = 0.1
"""The probability that a price far from the best one has no orders."""

MAX_SWEPT: Final = 2
"""The maximum number of queues that one order trades against."""

# Tick sizes as (below this price, the tick). Hong Kong's ticks grow with the price.
_TICKS: Final[dict[str, tuple[tuple[float, float], ...]]] = {
    "HK": (
        (10, 0.01),
        (20, 0.02),
        (100, 0.05),
        (200, 0.1),
        (500, 0.2),
        (1000, 0.5),
        (math.inf, 1.0),
    ),
    "JP": ((3000, 1.0), (math.inf, 5.0)),
}
_TICK: Final = ((math.inf, 0.01),)

_PRICES: Final = {"JP": (800.0, 15_000.0)}
_PRICE: Final = (20.0, 500.0)
"""The range of first prices: hundreds of ticks above zero, which prices must never reach."""


class _Queue:
    """The orders at one price, which is a number of ticks."""

    __slots__ = ("orders", "price", "size")

    def __init__(self, price: int, size: int, orders: int) -> None:
        self.price = price
        self.size = size
        self.orders = orders


class Fill(NamedTuple):
    """One trade. ``side``: the side that took liquidity."""

    price: float
    size: int
    side: Literal["buy", "sell"]


class Sentiment:
    """A mean-reverting walk around 0: above it there are more buyers, below it more sellers."""

    def __init__(self, random: Random, *, pull: float, noise: float) -> None:
        self._random = random
        self._pull = pull
        self._noise = noise
        self.value = 0.0

    def step(self) -> float:
        """Make one step, and return the new value."""
        self.value += self._random.gauss(0, self._noise) - self._pull * self.value
        return self.value


class SimulatedBook:
    """The limit order book of one symbol. ``depth`` levels of each side are published.

    ``fills`` are the trades of the last step. Internally, prices count ticks and sizes count lots.
    """

    def __init__(self, symbol: Symbol, seed: int, depth: int = DEPTH) -> None:
        self._random = Random(f"{seed}/{symbol}")
        self._depth = depth
        market = symbol.partition(".")[0]
        lowest, highest = _PRICES.get(market, _PRICE)
        price = math.exp(self._random.uniform(math.log(lowest), math.log(highest)))
        self._tick = next(tick for below, tick in _TICKS.get(market, _TICK) if price < below)
        self._decimals = max(0, -math.floor(math.log10(self._tick)))
        self._lot = self._random.choice((100, 100, 200, 500)) if market == "HK" else 1
        self._mood = Sentiment(self._random, pull=0.05, noise=0.05)
        middle = round(price / self._tick)
        self.bids = [_Queue(middle, self._size(), 1)]
        self.asks = [_Queue(middle + 1, self._size(), 1)]
        self.fills: list[Fill] = []
        self._fill()

    def step(self, market: float) -> None:
        """Add a few orders. The sentiment of market and symbol decides how many buy."""
        self.fills = []
        lean = 0.4 * math.tanh(market + self._mood.step())
        for _ in range(1 + int(self._random.expovariate(0.7))):
            buys = self._random.random() < 0.5 + lean
            roll = self._random.random()
            if roll < TAKING:
                self._take(buys=buys)
            elif roll < TAKING + JOINING:
                self._join(buys)
            else:
                self._leave(self.asks if buys else self.bids)
            self._fill()

    def book(self) -> Book:
        """Return the best levels of both sides."""
        return Book.of(self._levels(self.bids), self._levels(self.asks))

    def best(self) -> tuple[float, float]:
        """Return the best bid and the best ask."""
        return self._price(self.bids[0]), self._price(self.asks[0])

    def _levels(self, side: list[_Queue]) -> tuple[Level, ...]:
        return tuple(
            Level(self._price(queue), queue.size * self._lot, queue.orders)
            for queue in side[: self._depth]
        )

    def _price(self, queue: _Queue) -> float:
        return round(queue.price * self._tick, self._decimals)

    def _size(self) -> int:
        return 1 + int(self._random.paretovariate(1.3) * 20)

    def _fill(self) -> None:
        """Fill both sides up to the published depth."""
        for side, direction in ((self.bids, -1), (self.asks, +1)):
            while len(side) < self._depth:
                gap = 1 + (self._random.random() < EMPTY_PRICE)
                price = side[-1].price + direction * gap
                if price < 1:
                    break
                orders = 1 + int(self._random.expovariate(0.25))
                side.append(_Queue(price, sum(self._size() for _ in range(orders)), orders))

    def _take(self, *, buys: bool) -> None:
        """Trade against the best queues, :data:`MAX_SWEPT` at most."""
        side = self.asks if buys else self.bids
        wanted = self._size() * self._random.randint(1, 3)
        for _ in range(MAX_SWEPT):
            traded = min(wanted, side[0].size)
            wanted -= traded
            self.fills.append(
                Fill(self._price(side[0]), traded * self._lot, "buy" if buys else "sell")
            )
            self._shrink(side, 0, traded)
            if not wanted:
                break

    def _leave(self, side: list[_Queue]) -> None:
        """Withdraw an order, more likely near the best price."""
        index = min(int(self._random.expovariate(0.25)), len(side) - 1)
        queue = side[index]
        self._shrink(side, index, max(1, queue.size // queue.orders))

    def _shrink(self, side: list[_Queue], index: int, size: int) -> None:
        queue = side[index]
        queue.size -= size
        queue.orders = max(1, min(queue.orders - 1, queue.size))
        if queue.size <= 0 and (len(side) > 1):
            del side[index]
        elif queue.size <= 0:
            queue.size = self._size()

    def _join(self, buys: bool) -> None:  # noqa: FBT001 - the order's side
        """Add an order, to the gap between the sides or to a queue, mostly near the best price."""
        side, other, direction = (self.bids, self.asks, -1) if buys else (self.asks, self.bids, +1)
        gap = abs(side[0].price - other[0].price) - 1
        if gap > 0 and self._random.random() < CLOSING_IN:
            # An order in the gap goes close to the other side, which is how prices move.
            away = 1 + min(int(self._random.expovariate(0.8)), gap - 1)
            side.insert(0, _Queue(other[0].price + direction * away, self._size(), 1))
            del side[2 * self._depth :]
            return
        wanted = side[0].price + direction * min(int(self._random.expovariate(0.3)), self._depth)
        if wanted < 1:
            return
        for index, queue in enumerate(side):
            if queue.price == wanted:
                queue.size += self._size()
                queue.orders += 1
                return
            if (queue.price - wanted) * direction > 0:
                side.insert(index, _Queue(wanted, self._size(), 1))
                del side[2 * self._depth :]
                return
