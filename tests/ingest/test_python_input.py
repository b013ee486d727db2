import enum
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.publication import Rules, parse_publication
from bookcast.ingest.python_input import plain
from bookcast.model.market_data import Candle, Quote, TimePoint, Trades

NOON = datetime(2026, 1, 5, 12, 0, 0, 250_000, tzinfo=UTC)
NOON_MS = 1_767_614_400_250


class Word(enum.StrEnum):
    BUY = "buy"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(189.9), 189.9),
        (np.float16(0.5), 0.5),
        (np.longdouble(2.5), 2.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([[1.5, 2], [3, 4]]), [[1.5, 2.0], [3.0, 4.0]]),
        (np.array([189.9, 1], dtype="f4"), [189.9, 1.0]),
        (np.array(7), 7),
        (
            np.array([(1.5, 2)], dtype=[("price", "f8"), ("size", "i4")]),
            [{"price": 1.5, "size": 2}],
        ),
        (np.datetime64("2026-01-05T12:00:00"), "2026-01-05T12:00:00"),
        (Decimal("1.50"), Decimal("1.50")),
        (Decimal(300), 300),
        (Fraction(1, 2), 0.5),
        (NOON, "2026-01-05T12:00:00.250000+00:00"),
        (date(2026, 1, 5), "2026-01-05"),
        (pd.Timestamp(NOON), "2026-01-05T12:00:00.250000+00:00"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series({"last": 1.5}), {"last": 1.5}),
        (pd.Series([1.5, 2.5]), [1.5, 2.5]),
        (pd.DatetimeIndex([NOON]), ["2026-01-05T12:00:00.250000+00:00"]),
        (pd.DataFrame({"price": [1.5], "size": [2]}), [{"price": 1.5, "size": 2}]),
        (
            pd.DataFrame({"last": [1]}, index=pd.Index(["US.AAPL"], name="code")),
            [{"code": "US.AAPL", "last": 1}],
        ),
        (Word.BUY, "buy"),
        (deque([(1, 2)]), [[1, 2]]),
        (OrderedDict(a=np.int8(1)), {"a": 1}),
        ((item for item in (1, 2)), [1, 2]),
        (b"{}", b"{}"),
    ],
)
def test_what_programs_have_is_read_as_json_would_be(value: Any, expected: Any) -> None:
    """By itself, and within something else."""
    read = plain({"x": [value]}, "invalid_data")["x"][0]
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (float("nan"), "NaN"),
        (np.float64("nan"), "NaN"),
        (np.array([1.0, np.nan])[1], "NaN"),
        (np.float32("inf"), "Infinity"),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (float("-inf"), "-Infinity"),
    ],
)
def test_a_number_that_is_none_is_named(value: Any, name: str) -> None:
    """With its place."""
    with pytest.raises(InvalidInput, match=f"^bids\\[1\\].price: {name} isn't") as caught:
        plain({"bids": [{"price": 1}, {"price": value}]}, "invalid_book")
    assert (caught.value.code, caught.value.path) == ("invalid_book", "bids[1].price")


def test_data_that_contain_themselves_are_refused() -> None:
    """Instead of failing."""
    data: list[Any] = []
    data.append(data)
    with pytest.raises(InvalidInput, match="contain themselves"):
        plain(data, "invalid_data")


def test_what_nobody_knows_stays_for_the_reader_to_refuse() -> None:
    """It names the type."""
    thing = timedelta(1)
    assert plain([thing], "invalid_data") == [thing]


@pytest.mark.parametrize(
    "when", [NOON, pd.Timestamp(NOON), NOON.astimezone(timezone(timedelta(hours=8)))]
)
def test_every_channel_takes_them(when: Any) -> None:
    """Numbers, times and tables."""

    def parse(channel: str, data: Any) -> Any:
        given = plain(data, "invalid_data")
        return parse_publication(channel, "A", given, rules=Rules("US"), now_ms=0).data

    side = pd.DataFrame({"price": [np.float64(1.5)], "size": [Decimal(2)]})
    book = parse("orderbook", {"bids": side, "asks": np.array([[2.5, 1.0]])})
    assert (book.bids[0].price, book.asks[0].size) == (1.5, 1)
    trades = parse(
        "trades", {"trades": pd.DataFrame({"price": [1], "size": [2], "timestamp": when})}
    )
    assert isinstance(trades, Trades)
    assert trades.trades[0].timestamp == NOON_MS
    quote = parse("quote", pd.Series({"last": Decimal("1.5"), "volume": np.int64(3)}))
    assert quote == Quote(last=1.5, volume=3)
    prices = dict.fromkeys(["open", "high", "low", "close", "volume"], np.float32(1.5))
    candle = parse("candles", {"time": when, "period": "1m", **prices})
    assert isinstance(candle, Candle)
    assert (candle.time, candle.high) == (NOON_MS, 1.5)
    point = parse("timeframe", {"time": when, "price": np.int16(3)})
    assert point == TimePoint(time=NOON_MS, price=3)
    row = {"id": np.int64(5), "name": np.str_("One"), "pos": np.int8(1)}
    assert parse("brokers", {"bids": [row], "asks": pd.DataFrame([row])}).asks[0].id == 5
