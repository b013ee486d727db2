import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.model import Level
from bookcast.protocol.published import parse_book, parse_orderbook


def published(book: Any) -> Any:
    raw = parse_book(book).published
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
    assert parse_book(data).bids == (expected,)
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
    assert parse_book(data).bids == (Level(3, 1),)
    assert published(data) == {"bids": [[3, 1]], "asks": [], "x": 1}


def test_crossed_and_locked_books_are_accepted() -> None:
    """Auctions cross."""
    assert parse_book({"bids": [[5, 1]], "asks": [[4, 1]]}).bids == (Level(5, 1),)


@pytest.mark.parametrize(
    ("timestamp", "exchange_ms"),
    [
        (1_700_000_000_123, 1_700_000_000_123.0),
        ("2023-11-14T22:13:20.123Z", 1_700_000_000_123.0),
        ("2023-11-15T06:13:20.123+08:00", 1_700_000_000_123.0),
        ("2023-11-14 22:13:20", None),
        ("yesterday", None),
        (True, None),
        (None, None),
        (10**400, None),
        (1e300, None),
        (-5, None),
    ],
)
def test_a_timestamp_is_understood_where_it_can_be(
    timestamp: Any, exchange_ms: float | None
) -> None:
    """And kept as published wherever it can't."""
    data = {"bids": [], "asks": [], "timestamp": timestamp}
    assert parse_book(data).exchange_ms == exchange_ms
    assert published(data)["timestamp"] == timestamp


def test_numbers_go_on_digit_by_digit() -> None:
    """Only white space between the words of the text is left out."""
    text = b'{ "bids": [[1.10, 1e2]],\n"asks": [], "id": 12345678901234567890.123456789 }'
    book = parse_book(json.loads(text), text)
    assert book.published == msgspec.Raw(
        b'{"bids":[[1.10,1e2]],"asks":[],"id":12345678901234567890.123456789}'
    )


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
    assert parse_book(data).published == msgspec.Raw(b'{"bids":[[189.90,300]],"asks":[]}')


def test_what_json_cannot_hold_is_refused() -> None:
    """In process, anything may be handed over."""
    with pytest.raises(InvalidInput, match="can't be written as JSON"):
        parse_book({"bids": [], "asks": [], "extra": object()})


def test_a_publication_names_its_topic() -> None:
    """The symbol is canonical from here on."""
    assert str(parse_orderbook("AAPL", {"bids": [], "asks": []}, "US").topic) == "orderbook:US.AAPL"


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
    book = parse_book(data)
    if size == 0:
        assert book.bids == book.asks == ()
    else:
        assert [list(level)[:2] for level in _pairs(book.bids)] == data["bids"]
        assert [list(level)[:2] for level in _pairs(book.asks)] == data["asks"]


def _pairs(levels: tuple[Level, ...]) -> list[tuple[float, float]]:
    return [(level.price, level.size) for level in levels]
