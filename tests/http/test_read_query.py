"""What may be asked for when something is read."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from bookcast.errors import InvalidInput
from bookcast.http.read_query import PATHS, ReadQuery, parameters, read_query
from bookcast.model.topics import CHANNELS, Channel, Symbol, Topic


def read(channel: Channel, query: str, symbol: str = "AAPL") -> ReadQuery:
    return read_query(channel, symbol, QueryParams(query), "US")


@pytest.mark.parametrize(
    ("channel", "query", "expected"),
    [
        ("orderbook", "", (None, 100, 0.0)),
        ("orderbook", "depth=1000&wait_ms=5000", (1000, 100, 5.0)),
        ("quote", "wait_ms=0", (None, 100, 0.0)),
        ("trades", "limit=1", (None, 1, 0.0)),
        ("trades", "limit=10000", (None, 10_000, 0.0)),
        ("timeframe", "wait_ms=001", (None, 100, 0.001)),
    ],
)
def test_what_is_asked_for_is_read(
    channel: Channel, query: str, expected: tuple[int | None, int, float]
) -> None:
    """Within the ranges, and with the defaults."""
    assert read(channel, query) == ReadQuery(Topic(channel, Symbol("US.AAPL")), *expected)


def test_topics_have_their_variants() -> None:
    """A candle's period, and the book of odd lots."""
    assert read("candles", "period=1M").topic == Topic("candles", Symbol("US.AAPL"), "1M")
    assert read("orderbook", "variant=odd").topic == Topic("orderbook", Symbol("US.AAPL"), "odd")


@pytest.mark.parametrize(
    ("channel", "query", "path", "word"),
    [
        ("orderbook", "depht=5", "depht", "depth, variant, wait_ms"),
        ("orderbook", "limit=5", "limit", "depth, variant, wait_ms"),
        ("quote", "depth=5", "depth", "there are wait_ms"),
        ("quote", "symbol=TSLA", "symbol", "there are wait_ms"),
        ("trades", "Limit=5", "Limit", "limit, wait_ms"),
        ("brokers", "=", "", "wait_ms"),
        ("orderbook", "depth=0", "depth", "from 1 to 1000"),
        ("orderbook", "depth=1001", "depth", "from 1 to 1000"),
        ("orderbook", "depth=-1", "depth", "from 1 to 1000"),
        ("orderbook", "depth=", "depth", "from 1 to 1000"),
        ("orderbook", "depth=5.0", "depth", "from 1 to 1000"),
        ("orderbook", "depth=%D9%A5", "depth", "from 1 to 1000"),
        ("orderbook", "depth=5&depth=6", "depth", "2 times"),
        ("trades", "limit=10001", "limit", "from 1 to 10000"),
        ("candles", "period=1m&limit=0", "limit", "from 1 to 10000"),
        ("quote", "wait_ms=5001", "wait_ms", "from 0 to 5000"),
        ("quote", "wait_ms=1e3", "wait_ms", "from 0 to 5000"),
        ("quote", "wait_ms=99999999999", "wait_ms", "from 0 to 5000"),
        ("candles", "", "period", "1m, 3m"),
        ("candles", "period=1x", "period", "1m, 3m"),
        ("candles", "period=", "period", "1m, 3m"),
        ("orderbook", "variant=even", "variant", "odd"),
        ("candles", "period=1m&variant=odd", "variant", "period, limit, wait_ms"),
    ],
)
def test_what_is_wrong_is_named(channel: Channel, query: str, path: str, word: str) -> None:
    """With what there is instead."""
    with pytest.raises(InvalidInput) as refused:
        read(channel, query)
    assert (refused.value.path, word in refused.value.message) == (path, True)
    assert refused.value.code in {"invalid_data", "invalid_message"}


def test_every_channel_has_its_path() -> None:
    """And all reads may wait."""
    assert sorted(PATHS.values()) == sorted(CHANNELS)
    assert all("wait_ms" in parameters(channel) for channel in CHANNELS)


def test_a_symbol_that_can_be_none_is_refused() -> None:
    """As everywhere."""
    with pytest.raises(InvalidInput, match="names a market but no code"):
        read("quote", "", "US.")
