import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.model import Book, Level, Position, Update
from bookcast.protocol import codec, messages
from tests.support import AAPL


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"action":"subscribe","symbol":"AAPL"}', messages.Subscribe("AAPL")),
        ('{"symbol":"AAPL", "action":"unsubscribe"}', messages.Unsubscribe("AAPL")),
        ('{"action":"ping"}', messages.Ping()),
        ('{"action":"ping","symbol":5,"more":[1]}', messages.Ping()),
    ],
)
def test_a_command_is_read_in_any_order_and_with_more_fields(
    text: str, command: messages.Command
) -> None:
    """What the protocol doesn't know in a command is let be."""
    assert codec.decode_command(text) == command


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", "Not valid JSON"),
        (b"{", "Not valid JSON"),
        (b"hello", "Not valid JSON"),
        (b'{"action":"ping"} trailing', "Not valid JSON"),
        (b"[" * 60_000, "list"),
        (b'{"a":' * 10_000, "nested too deeply"),
        (b"[]", "The message: expected an object, got a list"),
        (b"null", "expected an object, got null"),
        (b"{}", "action is missing"),
        (b'{"action":1}', "action: expected text, got a whole number"),
        (b'{"action":"subscribe"}', "symbol is missing"),
        (b'{"action":"subscribe","symbol":5}', "symbol: expected text, got a whole number"),
        (b'{"action":"subscribe","symbol":null}', "symbol: expected text, got null"),
    ],
)
def test_a_bad_command_is_explained_in_a_sentence(text: bytes, sentence: str) -> None:
    """The sentence names the place and what was expected there."""
    with pytest.raises(InvalidInput) as caught:
        codec.decode_command(text)
    assert sentence in caught.value.message


def test_an_unknown_action_has_the_frozen_wording() -> None:
    """Front ends compare with it."""
    with pytest.raises(InvalidInput) as caught:
        codec.decode_command('{"action":"dance"}')
    assert caught.value.message == "Unknown action"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_a_command_or_a_clear_error(data: bytes) -> None:
    """Nothing else ever comes out of reading."""
    try:
        command = codec.decode_command(data)
    except InvalidInput as error:
        assert error.message
    else:
        assert isinstance(command, messages.Command)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["action", "symbol", "x"]), json_values))
def test_any_object_is_a_command_or_a_clear_error(data: object) -> None:
    """Fields of any type are met with a sentence."""
    try:
        codec.decode_command(json.dumps(data))
    except InvalidInput as error:
        assert error.message


def test_a_book_of_our_own_feeds_has_futus_level_shape() -> None:
    """Price, volume, orders; and the moment the exchange saw it."""
    book = Book((Level(189.5, 300, 4),), (Level(189.6, 2.5),))
    times: dict[str, Any] = {
        "server_ms": 1_700_000_000_456,
        "exchange_ms": 1_700_000_000_123,
    }
    shown = Update(AAPL, Position("e", 1), book, **times)
    assert json.loads(codec.encode_update("AAPL", shown)) == {
        "type": "orderbook_update",
        "symbol": "AAPL",
        "data": {
            "bids": [{"price": 189.5, "volume": 300, "orders": 4}],
            "asks": [{"price": 189.6, "volume": 2.5}],
            "timestamp": "2023-11-14T22:13:20.123Z",
        },
        "timestamp": "2023-11-14T22:13:20.456Z",
    }


def test_a_published_book_goes_out_as_it_came() -> None:
    """Its bytes are those of the publication."""
    raw = msgspec.Raw(b'{"bids":[],"asks":[],"mine":1}')
    shown = Update(AAPL, Position("e", 1), Book((), (), published=raw), server_ms=0)
    assert b'"data":{"bids":[],"asks":[],"mine":1}' in codec.encode_update("AAPL", shown)


def test_what_cannot_be_read_is_refused_with_the_place_of_the_fault() -> None:
    """Text that isn't JSON at all has a code of its own."""
    decoder = msgspec.json.Decoder(messages.Subscribe)
    assert codec.read(decoder, b'{"action":"subscribe","symbol":"A"}', "c", "It").symbol == "A"
    for source, code, path in (
        (b"{'symbol':1}", "invalid_json", ""),
        (b'{"action":"subscribe","symbol":NaN}', "c", "symbol"),
        ({"action": "subscribe", "symbol": 1}, "c", "symbol"),
    ):
        with pytest.raises(InvalidInput) as caught:
            codec.read(decoder, source, code if code == "c" else "x", "It")
        assert (caught.value.code, caught.value.path) == (code, path)
