from typing import Any

import msgspec
import pytest

from bookcast.ingest.futu_api.recognise import in_vendor_form, without_absent
from bookcast.model.topics import CHANNELS, Channel

OURS: list[tuple[Channel, Any]] = [
    ("orderbook", {"bids": [], "asks": [], "Bid": [], "code": "HK.00700"}),
    ("quote", {"last": 1, "name": "code", "code": "HK.00700"}),
    ("quote", {"volume": 1}),
    ("trades", {"trades": [{"price": 1, "size": 1}], "code": "x"}),
    ("candles", {"time": 0, "code": "x", "open": 1}),
    ("brokers", {"bids": [], "asks": [], "bid": []}),
    ("timeframe", {"time": 0, "price": 1, "code": "x"}),
    ("quote", "text"),
    ("quote", 5),
]
THEIRS: list[tuple[Channel, Any]] = [
    ("orderbook", {"Bid": [], "Ask": []}),
    ("quote", {"code": "HK.00700", "last_price": 1, "name": "N/A", "volume": 3}),
    ("quote", [{"last_price": 1}]),
    ("trades", {"price": 1, "volume": 2}),
    ("candles", {"time_key": "2026-01-05 09:31:00"}),
    ("brokers", {"bid": [], "ask": []}),
    ("brokers", [[], []]),
    ("timeframe", {"time": "2026-01-05 09:31:00", "cur_price": 1}),
]


@pytest.mark.parametrize(("channel", "source"), OURS)
def test_what_is_in_our_form_is_left_alone(channel: Channel, source: Any) -> None:
    """Whatever else is in it; as text, and as objects."""
    assert in_vendor_form(channel, source) is None
    assert in_vendor_form(channel, msgspec.json.encode(source)) is None


@pytest.mark.parametrize(("channel", "source"), THEIRS)
def test_what_futu_api_hands_over_is_known_by_its_fields(channel: Channel, source: Any) -> None:
    """As text with spaces around it, and as objects."""
    assert in_vendor_form(channel, source) == source
    assert in_vendor_form(channel, b" \n" * 50 + msgspec.json.encode(source)) == source


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("text", [b"", b"[", b'{"code"', b'{"Bid": NaN, "bid": 1, "code": 2}'])
def test_what_is_no_json_is_left_to_the_usual_reader(channel: Channel, text: bytes) -> None:
    """It says what is wrong."""
    assert in_vendor_form(channel, text) is None


def test_what_is_not_known_is_absent() -> None:
    """In rows; in a level, where the place counts, it is None."""
    rows = [{"a": "N/A", "b": "", "c": None, "d": 0, "e": False, "f": [1.5, "N/A", ("",)]}]
    assert without_absent(rows) == [{"d": 0, "e": False, "f": [1.5, None, [None]]}]
