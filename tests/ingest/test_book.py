import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.ingest.book import parse_book
from bookcast.model.market_data import Level


def published(book: Any) -> Any:
    raw = parse_book(book).book.published
    assert raw is not None
    return msgspec.json.decode(raw)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ([189.5, 300], Level(189.5, 300)),
        ((189.5, 300), Level(189.5, 300)),
        ([189.5, 300, 4], Level(189.5, 300, 4)),
        ([189.5, 300, None], Level(189.5, 300)),
        ({"price": 189.5, "size": 300}, Level(189.5, 300)),
        ({"price": 189.5, "volume": 300, "orders": 4}, Level(189.5, 300, 4)),
        ({"price": 189.5, "volume": 0.25, "venue": "X"}, Level(189.5, 0.25)),
        ([-1.5, 300], Level(-1.5, 300)),
        ([-0.0, 300], Level(0, 300)),
    ],
)
def test_publishers_may_write_levels_as_they_like(level: Any, expected: Level) -> None:
    """Lists of two or three, or objects with size or volume; what was published is kept."""
    data = {"bids": [level], "asks": [], "timestamp": "t", "note": {"any": "thing"}}
    assert parse_book(data).book.bids == (expected,)
    assert published(data) == json.loads(json.dumps(data))


@pytest.mark.parametrize(
    ("data", "path"),
    [
        ([], ""),
        ({}, "bids"),
        ({"bids": []}, "asks"),
        ({"bids": None, "asks": []}, "bids"),
        ({"bids": ["x"], "asks": []}, "bids[0]"),
        ({"bids": [[1]], "asks": []}, "bids[0]"),
        ({"bids": [[1, 2, 3, 4]], "asks": []}, "bids[0]"),
        ({"bids": [], "asks": [[1, 2], ["3", 1]]}, "asks[1][0]"),
        ({"bids": [], "asks": [[True, 1]]}, "asks[0][0]"),
        ({"bids": [{"price": 1}], "asks": []}, "bids[0].size"),
        ({"bids": [{"size": 1}], "asks": []}, "bids[0].price"),
        ({"bids": [{"price": 1, "size": None}], "asks": []}, "bids[0].size"),
        ({"bids": [{"price": 1, "volume": "2"}], "asks": []}, "bids[0].volume"),
        ({"bids": [[1, -1]], "asks": []}, "bids[0][1]"),
        ({"bids": [[math.nan, 1]], "asks": []}, "bids[0][0]"),
        ({"bids": [[math.inf, 1]], "asks": []}, "bids[0][0]"),
        ({"bids": [[1, 2**53]], "asks": []}, "bids[0][1]"),
        ({"bids": [[1, 1, -1]], "asks": []}, "bids[0][2]"),
        ({"bids": [[1, 1], [2, 1]], "asks": []}, "bids[1][0]"),
        ({"bids": [], "asks": [[2, 1], [1, 1]]}, "asks[1][0]"),
        ({"bids": [{"price": 1, "size": 1}, {"price": 1, "size": 2}], "asks": []}, "bids[1].price"),
    ],
)
def test_a_wrong_book_is_refused_with_the_path_of_the_fault(data: Any, path: str) -> None:
    """Types, ranges, order and duplicates, each with the place in the body."""
    with pytest.raises(InvalidInput) as caught:
        parse_book(data)
    assert (caught.value.code, caught.value.path) == ("invalid_book", path)


def test_levels_without_size_are_no_levels() -> None:
    """They are dropped, from what base clients get as well."""
    data = {"bids": [[2, 0], [3, 1], [1, 0.0]], "asks": [{"price": 4, "size": 0}], "x": 1}
    assert parse_book(data).book.bids == (Level(3, 1),)
    assert published(data) == {"bids": [[3, 1]], "asks": [], "x": 1}


def test_the_size_of_a_level_stands_before_its_volume() -> None:
    """Also where it is 0: then no client gets the level."""
    data = {"bids": [{"price": 2, "size": 0, "volume": 5}, [1, 1]], "asks": []}
    assert parse_book(data).book.bids == (Level(1, 1),)
    assert published(data)["bids"] == [[1, 1]]


def test_crossed_and_locked_books_are_accepted() -> None:
    """Auctions cross."""
    assert parse_book({"bids": [[5, 1]], "asks": [[4, 1]]}).book.bids == (Level(5, 1),)


@pytest.mark.parametrize(("best_ask", "path"), [(4, "bids[1][0]"), (5, "bids[1][0]"), (6, None)])
def test_crossed_and_locked_books_are_refused_where_that_is_set(
    best_ask: float, path: str | None
) -> None:
    """At the best bid, which comes after levels of size 0."""
    data = {"bids": [[9, 0], [5, 1]], "asks": [[best_ask, 1]]}
    if path is None:
        assert parse_book(data, refuse_crossed=True)
        return
    with pytest.raises(InvalidInput, match="REFUSE_CROSSED_BOOKS") as caught:
        parse_book(data, refuse_crossed=True)
    assert caught.value.path == path


def test_numbers_go_on_digit_by_digit() -> None:
    """Only white space between the words of the text is left out."""
    text = b'{ "bids": [[1.10, 1e2]],\n"asks": [], "id": 12345678901234567890.123456789 }'
    assert parse_book(text).book.published == msgspec.Raw(
        b'{"bids":[[1.10,1e2]],"asks":[],"id":12345678901234567890.123456789}'
    )


def test_numbers_stay_as_they_were_beside_levels_that_are_left_out() -> None:
    """Nothing is read but where one thing ends and the next begins."""
    text = (
        b'{"bids": [[189.90, 300.00], [189.80, 0.0]], '
        b'"asks": [{"price": 190.10, "size": 1e2}], "n": 1.10}'
    )
    assert parse_book(text).book.published == msgspec.Raw(
        b'{"bids":[[189.90,300.00]],"asks":[{"price":190.10,"size":1e2}],"n":1.10}'
    )


def test_what_is_passed_on_unread_must_be_text_as_well() -> None:
    """Else every client of the symbol would be sent a broken message."""
    for extra in (b'"x":"\xff"', b'"\xff":1', b'"x":"\xed\xa0\x80"'):
        with pytest.raises(InvalidInput) as caught:
            parse_book(b'{"bids":[],"asks":[],' + extra + b"}")
        assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    "data",
    [{"bids": [{"price": 1, "\ud800": 1}], "asks": []}, {"bids": [], "asks": [], "x": "\ud800"}],
)
def test_text_that_is_none_is_refused(data: Any) -> None:
    """A program may hand over half a character."""
    with pytest.raises(InvalidInput):
        parse_book(data)


def test_decimals_of_a_program_are_numbers_on_the_wire() -> None:
    """Exactly those."""
    data = {"bids": [[Decimal("189.90"), Decimal(300)]], "asks": []}
    assert parse_book(data).book.published == msgspec.Raw(b'{"bids":[[189.90,300]],"asks":[]}')


def test_what_json_cannot_hold_is_refused() -> None:
    """In process, anything may be handed over."""
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        parse_book({"bids": [], "asks": [], "extra": object()})


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 9999 + b"NaN", b"\xff"])
def test_text_that_is_no_json_is_told_apart_from_a_wrong_book(text: bytes) -> None:
    """It has another code."""
    with pytest.raises(InvalidInput) as caught:
        parse_book(text)
    assert caught.value.code in {"invalid_json", "invalid_book"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_found_where_they_stand(number: str) -> None:
    """Some programs write them anyway."""
    with pytest.raises(InvalidInput) as caught:
        parse_book(f'{{"bids":[[2,1],[{number},1]],"asks":[]}}'.encode())
    assert (caught.value.code, caught.value.path) == ("invalid_book", "bids[1][0]")


def test_text_and_what_a_reader_gives_are_the_same_book() -> None:
    """Levels of size 0 are left out of both."""
    data = {"bids": [[2, 0], [1.5, 3]], "asks": [{"price": 3, "volume": 2.5}], "timestamp": 5}
    assert parse_book(json.dumps(data).encode()) == parse_book(data)


prices = st.lists(
    st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-(10**6), 10**6), unique_by=float
)
sizes = st.floats(0, 1e12) | st.integers(0, 10**12)


@given(prices, prices, sizes)
def test_any_proper_book_is_kept_exactly(bids: list[float], asks: list[float], size: float) -> None:
    """Prices and sizes come out as the numbers that went in."""
    data = {
        "bids": [[price, size] for price in sorted(bids, reverse=True)],
        "asks": [[price, size] for price in sorted(asks)],
    }
    book = parse_book(data).book
    if size == 0:
        assert book.bids == book.asks == ()
    else:
        assert [list(level)[:2] for level in _pairs(book.bids)] == data["bids"]
        assert [list(level)[:2] for level in _pairs(book.asks)] == data["asks"]


def _pairs(levels: tuple[Level, ...]) -> list[tuple[float, float]]:
    return [(level.price, level.size) for level in levels]
