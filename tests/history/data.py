"""The published data: every book and trade contains its number, from which its content follows."""

from __future__ import annotations

from functools import lru_cache
from random import Random
from typing import Any

LEVELS = 6
TICKS = 10
"""So many prices on each side, of which a book has some: so levels come and go."""

PERIOD = "1m"
"""Of all candles."""

STATES = 4
"""So many times each candle is published: the last one is final."""

FIRST_MINUTE = 1_767_225_600_000


@lru_cache(maxsize=4096)
def _sides(symbol: str, number: int) -> tuple[tuple[tuple[float, int], ...], ...]:
    random = Random(f"{symbol} {number}")
    sides = []
    for sign in (-1, 1):
        ticks = sorted(random.sample(range(1, TICKS + 1), LEVELS))
        sides.append(
            tuple((round(100 + sign * tick / 100, 2), random.randrange(1, 50)) for tick in ticks)
        )
    (best, _), *others = sides[0]
    return ((best, number), *others), sides[1]


def book_of(symbol: str, number: int) -> dict[str, Any]:
    """Make the book with this number, which counts from 1; it is the best bid's size too."""
    bids, asks = _sides(symbol, number)
    return {
        "bids": [list(level) for level in bids],
        "asks": [list(level) for level in asks],
        "n": number,
    }


def trade_of(id_: str) -> dict[str, Any]:
    """Make the trade with this id, which ends in its number: ``p1-17``."""
    return {"id": id_, "price": 100.5, "size": int(id_.rpartition("-")[2]), "side": "buy"}


def candle_of(number: int) -> dict[str, Any]:
    """Make the state of a candle with this number, which counts from 1; it is its volume too."""
    return {
        "time": FIRST_MINUTE + (number - 1) // STATES * 60_000,
        "open": 100.5,
        "high": 101.5,
        "low": 99.5,
        "close": 100 + number % 3 / 2,
        "volume": number,
        "final": is_final(number),
    }


def is_final(number: int) -> bool:
    """Return whether a candle is over with the state of this number."""
    return number % STATES == 0
