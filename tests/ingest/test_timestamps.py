from typing import Any

import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.publication import Rules, parse_publication
from bookcast.ingest.timestamps import MIN_TIME_MS, milliseconds, moment, moment_if_any

SECONDS = 1_767_225_600
CANDLE = {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 0, "period": "1m"}


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (1_700_000_000_123, 1_700_000_000_123),
        ("2023-11-14T22:13:20.123Z", 1_700_000_000_123.0),
        ("2023-11-15T06:13:20.123+08:00", 1_700_000_000_123.0),
        ("2023-11-14 22:13:20", None),
        ("yesterday", None),
        (True, None),
        (None, None),
        (10**400, None),
        (1e300, None),
        (-5, None),
        (1_700_000_000, None),
        (0, None),
    ],
)
def test_a_timestamp_is_understood_where_it_can_be(timestamp: Any, expected: float | None) -> None:
    """A time without an offset could be anybody's."""
    assert milliseconds(timestamp) == expected


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0, "0 is 1970-01-01, before 1990; times are milliseconds"),
        (SECONDS, "1767225600 is 1970-01-21, before 1990; it looks like seconds, and milliseconds"),
        (float(SECONDS), "wanted: 1767225600000"),
        (MIN_TIME_MS - 1, "1989-12-31"),
        ("1970-01-01T00:00:05Z", "'1970-01-01T00:00:05Z' is 1970-01-01, before 1990"),
        ("1960-01-01T00:00:00+00:00", "before 1990"),
    ],
)
def test_a_time_before_1990_is_refused_with_the_reason(value: Any, reason: str) -> None:
    """Where there has to be a time, and where there may be one."""
    for read in (moment, moment_if_any):
        with pytest.raises(InvalidInput) as caught:
            read(value, "bars[2].time")
        assert caught.value.message.startswith("bars[2].time: ")
        assert reason in caught.value.message
        assert caught.value.path == "bars[2].time"


def test_what_is_no_time_is_refused_where_there_has_to_be_one() -> None:
    """Elsewhere it is left alone."""
    assert moment(MIN_TIME_MS, "time") == MIN_TIME_MS
    with pytest.raises(InvalidInput, match="neither milliseconds"):
        moment("noon", "time")
    assert moment_if_any("noon", "timestamp") is None


@pytest.mark.parametrize(
    ("channel", "data", "path"),
    [
        (
            "trades",
            {"trades": [{"price": 1, "size": 1, "timestamp": SECONDS}]},
            "trades[0].timestamp",
        ),
        ("trades", {"trades": [{"price": 1, "size": 1}], "timestamp": SECONDS}, "timestamp"),
        ("candles", CANDLE | {"time": SECONDS}, "time"),
        ("candles", CANDLE | {"time": SECONDS * 1000, "timestamp": 5}, "timestamp"),
        ("timeframe", {"time": SECONDS, "price": 1}, "time"),
        ("quote", {"last": 1, "timestamp": float(SECONDS)}, "timestamp"),
        ("brokers", {"bids": [], "asks": [], "timestamp": 0}, "timestamp"),
    ],
)
def test_seconds_are_refused_in_every_channel(channel: str, data: Any, path: str) -> None:
    """By their place."""
    with pytest.raises(InvalidInput, match="before 1990") as caught:
        parse_publication(channel, "AAPL", data, rules=Rules("US"), now_ms=0)
    assert caught.value.path == path


def test_a_books_timestamp_may_be_anything() -> None:
    """It goes on to base clients, but nobody is told that it is of 1970."""
    book = {"bids": [], "asks": [], "timestamp": SECONDS}
    made = parse_publication("orderbook", "AAPL", book, rules=Rules("US"), now_ms=0)
    assert made.exchange_ms is None
