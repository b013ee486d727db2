"""A moving market, for trying things by hand: every subscribed channel of it."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from tests.fakes.opend.payloads import local_time
from tests.fakes.opend.store import Json, Rows
from tests.fakes.opend.wire import (
    PERIOD_OF_SUBTYPE,
    Key,
    SubType,
)

if TYPE_CHECKING:
    from tests.fakes.opend.server import OpenD

DAY = 86_400
PERIOD_SECONDS = {
    "1m": 60,
    "3m": 180,
    "5m": 300,
    "10m": 600,
    "15m": 900,
    "30m": 1800,
    "1h": 3600,
    "2h": 7200,
    "3h": 10_800,
    "4h": 14_400,
    "1d": DAY,
    "1w": 7 * DAY,
    "1M": 30 * DAY,
    "1Q": 91 * DAY,
    "1Y": 365 * DAY,
}
HISTORY = 120
"""Candles and points that there are of a code from the beginning."""
BROKERS = ("Tortoise", "Heron", "Otter", "Badger", "Lynx", "Magpie")
WELL_KNOWN = {
    "US.AAPL": "Apple",
    "US.TSLA": "Tesla",
    "US.NVDA": "NVIDIA",
    "HK.00700": "TENCENT",
    "HK.09988": "BABA-W",
    "SH.600519": "Kweichow Moutai",
}


class Walk:
    """One code: where its price is, and the day so far."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.random = Random(code)
        self.prev_close = self.last = round(self.random.uniform(20, 400), 2)
        self.open = self.high = self.low = self.last
        self.volume = 0
        self.turnover = 0.0
        self.size = 0

    def step(self) -> None:
        """Simulate one trade."""
        tick = max(0.01, round(self.last / 10_000, 2))
        self.last = max(0.05, round(self.last + self.random.randint(-2, 2) * tick, 2))
        self.high, self.low = max(self.high, self.last), min(self.low, self.last)
        self.size = self.random.randint(1, 9) * 100
        self.volume += self.size
        self.turnover += self.size * self.last

    def quote(self, now: float) -> Json:
        """Return the quote."""
        return {
            "code": self.code,
            "time": now,
            "last": self.last,
            "open": self.open,
            "high": self.high,
            "low": self.low,
            "prev_close": self.prev_close,
            "volume": self.volume,
            "turnover": round(self.turnover, 2),
        }

    def book(self, now: float, kind: int) -> Json:
        """Return ten levels a side around the price."""
        bids, asks = (
            [
                [
                    round(self.last + away * step, 2),
                    self.random.randint(1, 99) * (1 if kind else 100),
                    self.random.randint(1, 9),
                ]
                for away in range(1, 11)
            ]
            for step in (-0.01, 0.01)
        )
        return {"code": self.code, "bids": bids, "asks": asks, "time": now, "type": kind}

    def trade(self, now: float) -> Json:
        """Return the last trade."""
        return {
            "sequence": int(now * 1_000_000),
            "time": now,
            "price": self.last,
            "size": self.size,
            "dir": self.random.randint(1, 3),
        }

    def brokers(self) -> Rows:
        """Return the broker queue of one side."""
        names = self.random.sample(BROKERS, 4)
        return [[BROKERS.index(name), name, pos] for pos, name in enumerate(names, 1)]

    def past(self) -> list[float]:
        """Return a series of past prices that ends with the present one."""
        prices = [self.last]
        while len(prices) <= HISTORY:
            prices.append(round(prices[-1] * self.random.uniform(0.998, 1.002), 2))
        return prices[::-1]


class Market:
    """A market that moves each subscribed security ``rate`` times a second."""

    def __init__(self, opend: OpenD, rate: float) -> None:
        self._opend = opend
        self._rate = rate
        self._walks: dict[str, Walk] = {}
        opend.invent = self.invent
        for code, name in WELL_KNOWN.items():
            self.invent(code)
            opend.store.securities[code]["name"] = name

    def invent(self, code: str) -> None:
        """Make up a security for an unknown code."""
        if code not in self._walks:
            walk = self._walks[code] = Walk(code)
            market, _, name = code.partition(".")
            lot = 100 if market in {"HK", "SH", "SZ"} else 1
            self._opend.store.securities[code] = {"code": code, "name": name, "lot": lot}
            self._opend.store.quotes[code] = walk.quote(time.time())

    async def run(self) -> None:
        """Move the market until cancelled."""
        while True:
            await asyncio.sleep(1 / self._rate)
            now = time.time()
            moved: set[str] = set()
            for code, subtype in sorted(self._opend.account.used(self._opend.clock())):
                self.invent(code)
                if code not in moved:
                    moved.add(code)
                    self._walks[code].step()
                self._move(self._walks[code], (code, subtype), now)

    def _move(self, walk: Walk, key: Key, now: float) -> None:
        code, subtype = key
        pushes = self._opend.pushes
        match subtype:
            case SubType.ORDER_BOOK | SubType.ORDER_BOOK_ODD:
                pushes.book(walk.book(now, int(subtype == SubType.ORDER_BOOK_ODD)))
            case SubType.QUOTE:
                pushes.quote(walk.quote(now))
            case SubType.TICKER:
                pushes.trades(code, [walk.trade(now)])
            case SubType.BROKER:
                pushes.brokers(code, walk.brokers(), walk.brokers())
            case SubType.RT:
                self._move_point(walk, now)
            case _:
                self._move_candle(walk, PERIOD_OF_SUBTYPE[subtype], now)

    def _move_point(self, walk: Walk, now: float) -> None:
        minute, store = now // 60 * 60, self._opend.store

        def point(at: float, price: float) -> Json:
            average = round(walk.turnover / walk.volume, 3) if walk.volume else price
            return {
                "time": at,
                "price": price,
                "average": average,
                "prev_close": walk.prev_close,
                "volume": walk.size,
            }

        if walk.code not in store.points:
            for back, price in enumerate(reversed(walk.past()[:-1]), 1):
                store.points[walk.code][minute - back * 60] = point(minute - back * 60, price)
        self._opend.pushes.points(walk.code, [point(minute, walk.last)])

    def _move_candle(self, walk: Walk, period: str, now: float) -> None:
        """Change the candle of now."""
        seconds, store = PERIOD_SECONDS[period], self._opend.store
        moment = _candle_time(walk.code, period, now)
        if not store.candles[walk.code, period]:
            prices = walk.past()
            store.add_candles(
                walk.code,
                period,
                [
                    _candle(
                        _candle_time(walk.code, period, now - back * seconds),
                        *(prices[-back - 1], prices[-back], 1000),
                    )
                    for back in range(HISTORY - 1, 0, -1)
                ],
            )
        old = store.candles[walk.code, period].get(moment)
        new = old or _candle(moment, walk.last, walk.last, 0)
        self._opend.pushes.candles(
            walk.code,
            period,
            [
                new
                | {
                    "close": walk.last,
                    "high": max(new["high"], walk.last),
                    "low": min(new["low"], walk.last),
                    "volume": new["volume"] + walk.size,
                }
            ],
        )


def _candle_time(code: str, period: str, now: float) -> float:
    """Return the time that names a candle: its end, or its first day if it is a day or longer."""
    seconds = PERIOD_SECONDS[period]
    if seconds < DAY:
        return now // seconds * seconds + seconds
    day = local_time(code, now).replace(hour=0, minute=0, second=0, microsecond=0)
    match period:
        case "1w":
            day -= timedelta(days=day.weekday())
        case "1M":
            day = day.replace(day=1)
        case "1Q":
            day = day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
        case "1Y":
            day = day.replace(day=1, month=1)
    return day.timestamp()


def _candle(moment: float, opened: float, closed: float, volume: int) -> Json:
    return {
        "time": moment,
        "open": opened,
        "high": max(opened, closed),
        "low": min(opened, closed),
        "close": closed,
        "volume": volume,
    }
