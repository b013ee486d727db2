from http import HTTPStatus
from typing import Any

import msgspec
import pytest

from bookcast.errors import CLOSE_REASONS, ERRORS, CloseCode, explain


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


def test_the_page_has_the_same_table_of_close_codes() -> None:
    """It is made from ours."""
    from scripts.close_codes import MODULE, source

    assert MODULE.read_text() == source()


def test_every_close_code_has_a_reason_that_fits_a_close_frame() -> None:
    """A close frame holds at most 123 bytes of reason."""
    assert set(CLOSE_REASONS) == set(CloseCode)
    assert all(len(reason.reason.encode()) <= 123 for reason in CLOSE_REASONS.values())
