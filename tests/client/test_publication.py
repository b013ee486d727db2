import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bookcast.client import Refused
from bookcast.client.publication import command_of, command_of_update

NOON = dt.datetime(2026, 1, 2, 12, tzinfo=dt.UTC)


def data_of(command: dict[str, Any]) -> Any:
    """Return the data as the server reads them."""
    return json.loads(bytes(command["data"]))


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ({"last": np.float64(1.5)}, {"last": 1.5}),
        ({"last": np.float32(189.9)}, {"last": 189.9}),
        ({"last": Decimal("1.50")}, {"last": 1.5}),
        ({"last": 1, "timestamp": NOON}, {"last": 1, "timestamp": "2026-01-02T12:00:00+00:00"}),
        (pd.DataFrame({"last": [1.5]}), [{"last": 1.5}]),
        ('{"last": 1.50}', {"last": 1.5}),
        (b'{"last": 1}', {"last": 1}),
        (bytearray(b'{"last": 1}'), {"last": 1}),
    ],
)
def test_data_are_what_a_program_has(data: Any, sent: Any) -> None:
    """Numbers, dates and tables of others, and JSON text."""
    assert data_of(command_of("A", data, "quote", None, None)) == sent


def test_a_symbol_may_be_in_the_data() -> None:
    """As the code that futu-api hands over, in one place or in each row."""
    rows = pd.DataFrame({"code": ["HK.00700", "HK.00700"], "price": [1, 2]})
    for data in ({"code": "HK.00700"}, rows, '[{"code": "HK.00700"}]'):
        assert command_of(None, data, "trades", None, None)["symbol"] == "HK.00700"
    for data in ({"last": 1}, [], [{"code": "A"}, {"code": "B"}], {"code": 700}, "7"):
        with pytest.raises(Refused, match="Name a symbol") as refused:
            command_of(None, data, "trades", None, None)
        assert refused.value.code == "invalid_symbol"


def test_what_isnt_given_isnt_sent() -> None:
    """The server has values of its own."""
    command = command_of("HK.00700", {}, "candles", "1m", "key")
    assert {name: value for name, value in command.items() if name != "data"} == {
        "action": "publish",
        "symbol": "HK.00700",
        "channel": "candles",
        "period": "1m",
        "idempotency_key": "key",
    }


@pytest.mark.parametrize(
    ("data", "channel", "code", "place"),
    [
        (
            {"trades": [{"price": float("nan")}]},
            "trades",
            "invalid_data",
            r"trades\[0\].price: NaN",
        ),
        ({"bids": [[float("inf"), 1]], "asks": []}, "orderbook", "invalid_book", r"bids\[0\]\[0\]"),
        ({"last": object()}, "quote", "invalid_data", "JSON"),
        ("{last: 1}", "quote", "invalid_json", "JSON"),
        (b"\xff", "quote", "invalid_json", "JSON"),
        ({"last": 1}, "qoute", "unknown_channel", "'qoute' isn't one of orderbook"),
    ],
)
def test_what_json_has_no_words_for_is_refused_with_its_place(
    data: Any, channel: Any, code: str, place: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(Refused, match=place) as refused:
        command_of("A", data, channel, None, None)
    assert (refused.value.code, refused.value.final) == (code, True)
    assert refused.value.symbol == "A"


@pytest.mark.parametrize(
    ("update", "says"),
    [
        (("A", {"last": 1}), "an update is a dict with a symbol and data, not tuple"),
        ("A", "not str"),
        ({"symbol": "A"}, "an update has data"),
        ({"symbol": "A", "data": {}, "chanel": "quote"}, "an update has no chanel; it has symbol"),
        ({"symbol": "A", "data": {"last": float("inf")}, "channel": "quote"}, "last: Infinity"),
    ],
)
def test_an_update_that_is_none_is_refused_by_its_name(update: Any, says: str) -> None:
    """A misspelt word isn't passed over: a quote would be published as a book."""
    with pytest.raises(Refused, match=says) as refused:
        command_of_update(update)
    assert refused.value.final


def test_text_that_cant_be_sent_is_refused() -> None:
    """Half a character in the data, the symbol or the key."""
    wrong: list[Any] = [
        ("A", {"name": "\ud800"}, None),
        ("\ud800", {"last": 1}, None),
        ("A", {"last": 1}, "\ud800"),
        ("A", '{"name": "\ud800"}', None),
    ]
    for symbol, data, key in wrong:
        with pytest.raises(Refused, match="UTF-8"):
            command_of(symbol, data, "quote", None, key)
