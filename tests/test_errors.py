from http import HTTPStatus
from typing import Any, Literal

import msgspec
import pytest

from bookcast.errors import (
    CLOSE_REASONS,
    ERRORS,
    CloseCode,
    InvalidInput,
    brief,
    explain,
    quoted,
)


class Inner(msgspec.Struct):
    price: float


class Outer(msgspec.Struct):
    bids: list[Inner]


@pytest.mark.parametrize(
    ("data", "path", "sentence"),
    [
        ({"bids": [{"price": 1}, {"price": "x"}]}, "bids[1].price", "expected a number, got text"),
        ({"bids": [{}]}, "bids[0].price", "bids[0].price is missing"),
        ({}, "bids", "bids is missing"),
        ([], "", "expected an object, got a list"),
    ],
)
def test_a_validation_error_is_explained_in_words(data: Any, path: str, sentence: str) -> None:
    """The path leads to the fault, and the sentence has no type names of a library."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(data, Outer)
    assert explain(caught.value)[0] == path
    assert sentence in explain(caught.value)[1]


def test_every_error_code_has_a_real_http_status() -> None:
    """The table is complete: statuses exist, titles are there."""
    for code, kind in ERRORS.items():
        assert HTTPStatus(kind.status) >= 400
        assert kind.title, code


def test_every_close_code_has_a_reason_that_fits_a_close_frame() -> None:
    """A close frame holds at most 123 bytes of reason."""
    assert set(CLOSE_REASONS) == set(CloseCode)
    assert all(len(reason.reason.encode()) <= 123 for reason in CLOSE_REASONS.values())


class Fill(msgspec.Struct):
    side: Literal["buy", "sell"]


class Fills(msgspec.Struct):
    fills: list[Fill]


@pytest.mark.parametrize(
    ("side", "sentence"),
    [
        ("b", "fills[0].side: 'b' isn't one of buy, sell"),
        (5, "fills[0].side: expected text, got a whole number; it is one of buy, sell"),
        ("it's", "fills[0].side: \"it's\" isn't one of buy, sell"),
        ("x" * 999, f"fills[0].side: '{'x' * 64}…' isn't one of buy, sell"),
    ],
)
def test_a_wrong_word_is_explained_with_the_allowed_ones(side: object, sentence: str) -> None:
    """Where the type that was read is known; what was sent is quoted as far as one reads."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"fills": [{"side": side}]}, Fills)
    assert explain(caught.value, Fills) == ("fills[0].side", sentence)


def test_a_traceback_shows_what_an_error_is_about() -> None:
    """The sentence alone is for answers, which have fields for the rest."""
    error = InvalidInput("invalid_data", "side: no")
    assert str(error) == "side: no"
    assert str(error.about("trades", None)) == "side: no (trades)"
    assert str(error.about(None, "A" * 99)) == f"side: no (trades of {'A' * 64}…)"
    assert error.message == "side: no"


def test_what_somebody_sent_is_quoted_briefly() -> None:
    """Whatever it is."""
    assert quoted("AAPL") == "'AAPL'"
    assert quoted(["x" * 999]) == "['" + "x" * 62 + "…"
    assert brief("x" * 64) == "x" * 64
