"""What all scenarios share: their list, and data that tell their number."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from bookcast.model.updates import Publication
from tests.engine.nodes import books
from tests.engine.nodes import trade as trades_of
from tests.golden.world import World
from tests.support import AAPL, TRADES

Script = Callable[[World], Awaitable[None]]


class Scenario(NamedTuple):
    """A script, which is given a world of its own."""

    title: str
    script: Script
    needs_redis: bool


SCENARIOS: dict[str, Scenario] = {}
"""All scenarios by name, which is that of their file."""


def scenario(script: Script) -> Script:
    """Add a script, under its name, to those that run on the engine in memory."""
    return _add(script, needs_redis=False)


def redis_scenario(script: Script) -> Script:
    """Add a script to those that have a Redis."""
    return _add(script, needs_redis=True)


def _add(script: Script, *, needs_redis: bool) -> Script:
    name: str = getattr(script, "__name__")  # noqa: B009 - a Callable has none for type checkers
    assert name not in SCENARIOS, name
    SCENARIOS[name] = Scenario(inspect.getdoc(script) or name, script, needs_redis)
    return script


def book(number: int, levels: int = 2) -> dict[str, Any]:
    """Make a book whose best bid has the size ``number``, and each side so many levels."""
    return {
        "bids": [[100 - level, number + level] for level in range(levels)],
        "asks": [[101 + level, 10 + level] for level in range(levels)],
    }


def trade(number: int) -> dict[str, Any]:
    """Make a trade of the size ``number``."""
    moment = 1_767_364_000_000 + number
    one = {"price": 100.5, "size": number, "side": "buy", "timestamp": moment, "id": number}
    return {"trades": [one]}


def candle(minute: int, volume: int, *, final: bool = False) -> dict[str, Any]:
    """Make the candle of a minute in the state in which it has this volume."""
    begin = 1_767_364_200_000 + minute * 60_000
    figures = {"open": 100, "high": 102, "low": 99.5, "close": 101, "volume": volume}
    return {"time": begin, **figures, "final": final}


def quote(volume: int) -> dict[str, Any]:
    """Make a quote of this volume."""
    return {"last": 100.5, "bid": 100, "ask": 101, "volume": volume}


def brokers(number: int) -> dict[str, Any]:
    """Make a queue of brokers that tells its number."""
    return {"bids": [{"id": number, "name": f"Broker {number}", "pos": 1}], "asks": []}


def timeframe(minute: int) -> dict[str, Any]:
    """Make a minute of the day's line."""
    begin = 1_767_364_200_000 + minute * 60_000
    return {"time": begin, "price": 100 + minute, "volume": 10}


def sold(*sizes: int) -> list[Publication]:
    """Make trades as a feed publishes them, each by itself."""
    return trades_of(TRADES, *sizes)


def quoted(*sizes: int) -> list[Publication]:
    """Make books as a feed publishes them."""
    return books(AAPL, *sizes)
