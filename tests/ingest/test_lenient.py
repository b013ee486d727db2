from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from bookcast.errors import InvalidInput
from bookcast.ingest.json_input import read as read_json
from bookcast.ingest.lenient import Words, mended
from bookcast.ingest.schemas import PublishedBook, PublishedBrokers, PublishedTrades
from bookcast.model.topics import CHANNELS, PERIODS
from bookcast.protocol.v1 import messages as v1


class Inner(msgspec.Struct):
    count: int | None = None
    small: Annotated[int, Meta(ge=0, le=9)] = 0
    word: Literal["one", "Two"] = "one"


class Form(msgspec.Struct):
    count: int | None = None
    small: Annotated[int, Meta(ge=0, le=9)] = 0
    number: int | float = 0
    word: Literal["one", "Two"] = "one"
    name: str = ""
    key: str | int = 0
    inner: Inner | None = None
    many: list[Inner] = []


decoder = msgspec.json.Decoder(Form)


def read(data: Any) -> Form:
    """Read from text, and the same as a JSON reader gives it."""
    found = read_json(decoder, json.dumps(data).encode(), "invalid_data", "It")
    assert repr(read_json(decoder, data, "invalid_data", "It")) == repr(found)
    return found


@pytest.mark.parametrize(
    ("data", "form"),
    [
        ({"count": 1.0}, Form(count=1)),
        ({"count": -0.0, "small": 9.0}, Form(count=0, small=9)),
        ({"count": 1e22}, Form(count=10**22)),
        ({"key": 7.0}, Form(key=7)),
        ({"key": "7.0", "word": "TWO"}, Form(key="7.0", word="Two")),
        ({"word": "ONE", "number": 2.0, "name": "ONE"}, Form(word="one", number=2.0, name="ONE")),
        (
            {"inner": {"count": 2.0}, "many": [{}, {"word": "two", "unknown": {"a": [1.50]}}]},
            Form(inner=Inner(count=2), many=[Inner(), Inner(word="Two")]),
        ),
    ],
)
def test_counts_and_words_are_taken_where_they_belong(data: Any, form: Form) -> None:
    """At any depth; numbers that may have a fraction, and names, stay as they are."""
    assert repr(read(data)) == repr(form)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"count": 1.5}, "count: expected a whole number or null, got one with a fraction"),
        ({"small": 9.5}, "small: expected a whole number, got one with a fraction"),
        ({"small": 1e300}, "small: expected a whole number <= 9"),
        ({"small": "1"}, "small: expected a whole number, got text"),
        ({"word": "three", "count": 1.0}, "word: 'three' isn't one of one, Two"),
        (
            {"many": [{"count": 1.0}, {"small": -1.0}]},
            "many[1].small: expected a whole number >= 0",
        ),
    ],
)
def test_what_isnt_meant_so_is_refused_with_its_place(data: Any, sentence: str) -> None:
    """What could be mended isn't what is told."""
    with pytest.raises(InvalidInput) as caught:
        read(data)
    assert caught.value.message.startswith(sentence)


def test_decimals_are_counts_too() -> None:
    """A program may hand them over in process."""
    form = {"count": Decimal("3.0"), "small": Decimal(9)}
    assert read_json(decoder, form, "invalid_data", "It") == Form(count=3, small=9)


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        ("3.5", "small: expected a whole number, got a decimal"),
        ("1e40", "small: expected a whole number <= 9"),
        ("1e5000000", "small: expected a whole number, got a decimal"),
    ],
)
def test_decimals_that_are_no_counts_are_refused(count: str, sentence: str) -> None:
    """However large they are."""
    with pytest.raises(InvalidInput) as caught:
        read_json(decoder, {"small": Decimal(count)}, "invalid_data", "It")
    assert caught.value.message == sentence


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"count":1.0', b"[" * 9000, b"\xff", b'{"count":1.0}x']
)
def test_what_isnt_json_stays_as_it_is(text: bytes) -> None:
    """The strict reader says what is wrong."""
    assert mended(Form, text) in {text, b'{"count":1}'}
    with pytest.raises(InvalidInput):
        read_json(decoder, text, "invalid_data", "It")


def test_no_digit_of_anything_else_changes() -> None:
    """What is published goes on digit by digit."""
    text = b'{"action":"PUBLISH","channel":"quote","symbol":"A","data":{"last":1.50},"id":1.0}'
    command = msgspec.json.decode(mended(v1.Command, text), type=v1.Command)
    assert isinstance(command, v1.Publish)
    assert (bytes(command.data), repr(command.id)) == (b'{"last":1.50}', "1.0")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        *[(period, period) for period in PERIODS],
        *[("1H", "1h"), ("4H", "4h"), ("1D", "1d"), ("1W", "1w"), ("1q", "1Q"), ("1y", "1Y")],
        *[("3M", "3M"), ("15M", "15M"), ("1min", "1min"), ("", ""), ("1\u212a", "1\u212a")],
    ],
)
def test_a_month_is_no_minute(word: str, meant: str) -> None:
    """Where the case of a letter tells two words apart, it counts in all of them."""
    assert Words(PERIODS).meant(word) == meant


@given(st.sampled_from(CHANNELS), st.data())
def test_other_words_are_known_in_any_case(word: str, drawn: st.DataObject) -> None:
    """Each letter by itself."""
    upper = drawn.draw(st.lists(st.booleans(), min_size=len(word), max_size=len(word)))
    text = "".join(letter.upper() if up else letter for letter, up in zip(word, upper, strict=True))
    assert Words(CHANNELS).meant(text) == word


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (
            PublishedBook,
            {"bids": [[1.5, 2, 3.0], {"price": 1, "size": 2, "orders": 1e0}], "asks": []},
        ),
        (PublishedTrades, {"trades": [{"price": 1, "size": 2, "side": "Sell", "id": 3.0}]}),
        (PublishedTrades, {"trades": [{"price": 1, "size": 2, "condition_sign": -1.0}]}),
        (
            PublishedBrokers,
            {"bids": [{"id": 1.0, "name": "a", "pos": 2.0, "order": 3.0}], "asks": []},
        ),
    ],
)
def test_publishers_counts_and_words_are_taken(kind: type[msgspec.Struct], data: Any) -> None:
    """In levels of both shapes, trades and queues."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(data, kind)
    msgspec.convert(mended(kind, data), kind)
    msgspec.json.decode(mended(kind, json.dumps(data).encode()), type=kind)
