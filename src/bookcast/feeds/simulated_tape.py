"""Derives trades, quotes, candles and broker queues from the trades of a simulated book."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import msgspec

from bookcast.feeds.simulated_book import Fill
from bookcast.model.market_data import Broker, Brokers, Candle, Data, Quote, Trade, Trades
from bookcast.model.topics import Symbol, Topic

_BROKERS: Final = (
    "Harbour Securities",
    "Lion Rock Capital",
    "Peak Brokerage",
    "Star Ferry Partners",
    "Victoria Markets",
    "Queen's Road Trading",
)
BROKER_STEPS: Final = 20
"""Broker queues are published once in so many steps."""

QUEUE: Final = 5
"""So many brokers are published on each side."""

_MONTHS: Final = {"M": 1, "Q": 3, "Y": 12}


def period_start(moment_ms: float, period: str) -> float:
    """Return the beginning of a moment's period, in UTC. Both are milliseconds since 1970."""
    count, unit = int(period[:-1]), period[-1]
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit in _MONTHS:
        months = count * _MONTHS[unit]
        month = (moment.month - 1) // months * months + 1
        start = midnight.replace(month=month, day=1)
    elif unit == "w":
        start = midnight - timedelta(days=moment.weekday())
    elif unit == "d":
        start = midnight
    else:
        seconds = count * {"m": 60, "h": 3600}[unit]
        start = midnight + (moment - midnight) // timedelta(seconds=seconds) * timedelta(
            seconds=seconds
        )
    return int(start.timestamp() * 1000)


class SimulatedTape:
    """The trades of one symbol since the simulation began, and its wanted topics.

    ``reference``: the simulated close of the session before.
    """

    def __init__(self, symbol: Symbol, seed: int, reference: float) -> None:
        self._random = Random(f"{seed}/{symbol}/tape")
        self._wanted: dict[Topic, None] = {}
        self._candles: dict[Topic, Candle] = {}
        self._reference = reference
        self._open = self._high = self._low = self._last = reference
        self._bid = self._ask = reference
        self._volume = 0
        self._turnover = 0.0
        self._trades = 0
        self._steps = 0
        self._new: list[Trade] = []

    def want(self, topic: Topic) -> None:
        """Publish a topic from now on."""
        if topic.channel != "orderbook":
            self._wanted[topic] = None

    def release(self, topic: Topic) -> None:
        """Stop publishing a topic."""
        self._wanted.pop(topic, None)
        self._candles.pop(topic, None)

    def note(self, fills: Sequence[Fill], best: tuple[float, float], now_ms: float) -> None:
        """Process the trades of one step, and the best prices after it."""
        self._steps += 1
        self._bid, self._ask = best
        self._new = []
        for fill in fills:
            self._trades += 1
            self._new.append(Trade(fill.price, fill.size, fill.side, now_ms, self._trades))
            self._last = fill.price
            self._high, self._low = max(self._high, fill.price), min(self._low, fill.price)
            self._volume += fill.size
            self._turnover += fill.price * fill.size

    def publish(self, now_ms: float) -> Iterator[tuple[Topic, Data]]:
        """Yield the data of the last step for each wanted topic."""
        for topic in self._wanted:
            match topic.channel:
                case "trades" if self._new:
                    yield topic, Trades(tuple(self._new))
                case "quote":
                    yield topic, self._quote()
                case "candles":
                    for candle in self._candle(topic, now_ms):
                        yield topic, candle
                case "brokers" if self._steps % BROKER_STEPS == 1:
                    yield topic, Brokers(self._queue(), self._queue())
                case _:
                    pass

    def _quote(self) -> Quote:
        return Quote(
            last=self._last,
            open=self._open,
            high=self._high,
            low=self._low,
            prev_close=self._reference,
            volume=self._volume,
            turnover=round(self._turnover, 2),
            bid=self._bid,
            ask=self._ask,
            suspended=False,
        )

    def _candle(self, topic: Topic, now_ms: float) -> Iterator[Candle]:
        """Yield the candle that has just ended, if any, then the forming one if it changed."""
        start = period_start(now_ms, topic.variant)
        before = self._candles.get(topic)
        if before is not None and before.time < start:
            yield _with(before, final=True)
            before = None
        candle = before or Candle(
            time=start,
            open=self._last,
            high=self._last,
            low=self._last,
            close=self._last,
            volume=0,
            turnover=0.0,
            final=False,
        )
        for trade in self._new:
            candle = _with(
                candle,
                high=max(candle.high, trade.price),
                low=min(candle.low, trade.price),
                close=trade.price,
                volume=candle.volume + trade.size,
                turnover=round((candle.turnover or 0) + trade.price * trade.size, 2),
            )
        if candle is not before:
            self._candles[topic] = candle
            yield candle

    def _queue(self) -> tuple[Broker, ...]:
        return tuple(
            Broker(1 + _BROKERS.index(name), name, 1 + position // 2)
            for position, name in enumerate(self._random.sample(_BROKERS, QUEUE))
        )


def _with(candle: Candle, **changed: object) -> Candle:
    return msgspec.structs.replace(candle, **changed)
