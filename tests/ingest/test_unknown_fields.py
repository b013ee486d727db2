import json
from typing import Any

import pytest

from bookcast.ingest.unknown_fields import unknown_fields
from bookcast.model.topics import Channel

TRADE = {"price": 1, "size": 2, "side": "buy"}
CANDLE = {"time": 1767225600000, "open": 1, "high": 1, "low": 1, "close": 1, "volume": 0}
BROKER = {"id": 1, "name": "a", "pos": 1}


@pytest.mark.parametrize(
    ("channel", "data", "paths"),
    [
        ("quote", {"last": 1, "pre": {"last": 1}, "option": {"style": "american"}}, []),
        ("quote", {"last": 1, "lst": 2, "Open": None}, ["lst", "Open"]),
        ("quote", {"last": 1, "pre": {"vol": 1}, "option": {"delta": 0, "gama": 1}},
         ["pre.vol", "option.gama"]),
        ("quote", {"last": 1, "pre": None, "x" * 99: 1}, ["x" * 64 + "…"]),
        ("trades", {"trades": [TRADE, TRADE]}, []),
        ("trades", {"trades": [TRADE, TRADE | {"sdie": 1}, TRADE | {"sdie": 1, "q": 1}], "t": 1},
         ["trades[1].sdie", "trades[2].q", "t"]),
        ("candles", CANDLE | {"final": True, "vol": 1}, ["vol"]),
        ("brokers", {"bids": [BROKER], "asks": [BROKER | {"who": 1}]}, ["asks[0].who"]),
        ("timeframe", {"time": 1767225600000, "price": 1, "avg": 1}, ["avg"]),
        # What both forms have is ours, unless something of futu-api's stands beside it.
        ("quote", {"volume": 5, "vol": 1}, ["vol"]),
        # Words and numbers in other spellings are for the reader to judge.
        ("trades", {"trades": [TRADE | {"side": "BUY", "x": 1}]}, ["trades[0].x"]),
        # A book's other fields are kept, and futu-api's rows are taken as they are.
        ("orderbook", {"bids": [], "asks": [], "venue": "x"}, []),
        ("quote", {"code": "HK.00700", "last_price": 1, "volume": 2, "turnover": 3}, []),
        ("trades", [{"code": "HK.00700", "price": 1, "ticker_direction": "BUY"}], []),
    ],
)  # fmt: skip
def test_fields_that_nothing_reads_are_found(channel: Channel, data: Any, paths: list[str]) -> None:
    """Wherever they are; the first of a list stands for all."""
    assert unknown_fields(channel, json.dumps(data).encode(), 10) == paths


def test_no_more_are_named_than_asked_for() -> None:
    """In the order in which they came."""
    data = {"last": 1} | dict.fromkeys(map(str, range(100)))
    assert unknown_fields("quote", json.dumps(data).encode(), 3) == ["0", "1", "2"]
