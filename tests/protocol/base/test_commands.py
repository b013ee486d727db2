import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.protocol.base import messages
from bookcast.protocol.base.commands import decode_command


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
    assert decode_command(text) == command


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
        decode_command(text)
    assert sentence in caught.value.message


def test_an_unknown_action_has_the_frozen_wording() -> None:
    """Front ends compare with it."""
    with pytest.raises(InvalidInput) as caught:
        decode_command('{"action":"dance"}')
    assert caught.value.message == "Unknown action"


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_a_command_or_a_clear_error(data: bytes) -> None:
    """Nothing else ever comes out of reading."""
    try:
        command = decode_command(data)
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
        decode_command(json.dumps(data))
    except InvalidInput as error:
        assert error.message
