"""What the simulated OpenD knows of the market: the newest of everything that was pushed."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
Rows = list[list[Any]]

KEPT = 1000
"""Trades and candles kept of each code: as many as OpenD gives at once."""


class Store:
    """Dicts as the control channel brings them, by code."""

    def __init__(self) -> None:
        self.books: dict[tuple[str, int], Json] = {}
        self.quotes: dict[str, Json] = {}
        self.brokers: dict[str, Json] = {}
        self.trades: dict[str, deque[Json]] = defaultdict(lambda: deque(maxlen=KEPT))
        self.candles: dict[tuple[str, str], dict[float, Json]] = defaultdict(dict)
        self.points: dict[str, dict[float, Json]] = defaultdict(dict)
        self.securities: dict[str, Json] = {}
        self.snapshots: dict[str, Json] = {}

    def add_candles(self, code: str, period: str, candles: Iterable[Json]) -> None:
        """Take candles; one of the same time is replaced."""
        by_time = self.candles[code, period]
        by_time.update((candle["time"], candle) for candle in candles)
        for time in sorted(by_time)[:-KEPT]:
            del by_time[time]

    def last_candles(self, code: str, period: str, number: int) -> list[Json]:
        """Return the newest candles, sorted by time."""
        return _last(self.candles.get((code, period), {}), number)

    def last_points(self, code: str, number: int = KEPT) -> list[Json]:
        """Return the newest points, sorted by time."""
        return _last(self.points.get(code, {}), number)

    def last_trades(self, code: str, number: int) -> list[Json]:
        """Return the newest trades in their order of arrival."""
        trades = list(self.trades.get(code, ()))
        return trades[max(0, len(trades) - number) :]

    def name(self, code: str) -> str | None:
        """Return the name that a code was defined with."""
        name: str | None = self.securities.get(code, {}).get("name")
        return name

    def spread(self, code: str, said: Json) -> float:
        """Return the price step: from the given data, or else from the security's definition."""
        spread: float = {"spread": 0.01, **self.securities.get(code, {}), **said}["spread"]
        return spread

    def snapshot(self, code: str) -> Json | None:
        """Return a code's snapshot; without a stored one, make it of the quote and the book."""
        if code in self.snapshots:
            return self.snapshots[code]
        if code not in self.quotes and code not in self.securities:
            return None
        made = dict(self.quotes.get(code, {"code": code}))
        book = self.books.get((code, 0), {})
        for side, levels in (("bid", book.get("bids")), ("ask", book.get("asks"))):
            if levels:
                made[side], made[f"{side}_size"] = levels[0][:2]
        return made


def _last(by_time: dict[float, Json], number: int) -> list[Json]:
    times = sorted(by_time)
    return [by_time[time] for time in times[max(0, len(times) - number) :]]
