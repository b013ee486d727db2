import json
import zlib
from decimal import Decimal
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bookcast
from bookcast.client.book import EMPTY, FRAMES, Book, change_book, checksum
from bookcast.model.market_data import Level
from bookcast.protocol.v1.messages import BookLevel, Sides
from tests.support import ROOT, Replica

BIDS, ASKS = [BookLevel(10, 5), BookLevel(9, 4)], [BookLevel(11, 6, 2), BookLevel(12, 7)]
BOOK = Book(tuple(BIDS), tuple(ASKS))

prices = st.integers(1, 20).map(lambda one: one / 4)
sides = st.lists(st.builds(BookLevel, prices, st.integers(0, 5)), max_size=12)


def test_a_whole_book_changes_an_empty_one() -> None:
    """In whatever order its levels come; those of size 0 are none."""
    data = Sides([*BIDS[::-1], BookLevel(8, 0)], ASKS[::-1])
    assert change_book(EMPTY, data) == BOOK


def test_levels_of_a_book_have_names() -> None:
    """Best first."""
    assert (BOOK.bids[0].price, BOOK.asks[0].size, BOOK.asks[0].orders) == (10, 6, 2)


@given(st.lists(st.builds(Sides, sides, sides), max_size=8))
def test_changes_are_applied_as_another_reader_does(changes: list[Sides]) -> None:
    """The same levels, and the same checksum."""
    book, replica = EMPTY, Replica()
    for data in changes:
        changed = change_book(book, data)
        assert changed is not None
        book = changed
        for side, levels in ((replica.bids, data.bids), (replica.asks, data.asks)):
            for price, size, *_ in levels:
                if size:
                    side[price] = [price, size]
                else:
                    side.pop(price, None)
        bids, asks = replica.sides()
        assert [list(level[:2]) for level in book.bids] == bids
        assert [list(level[:2]) for level in book.asks] == asks
        assert book.checksum() == replica.checksum()


def test_a_size_below_nothing_makes_no_book() -> None:
    """On either side."""
    assert change_book(BOOK, Sides([BookLevel(1, -2)], [])) is None
    assert change_book(BOOK, Sides([], [BookLevel(1, -0.5)])) is None


def test_a_book_is_cut_to_its_best_levels() -> None:
    """One that has no more stays what it is."""
    assert BOOK.cut(1) == Book(BOOK.bids[:1], BOOK.asks[:1])
    assert BOOK.cut(2) is BOOK
    assert BOOK.cut(None) is BOOK


@pytest.mark.parametrize(
    "name", ["pairs", "lists", "levels", "dicts", "floats", "numpy", "decimals", "rows"]
)
def test_a_checksum_takes_levels_in_any_form(name: str) -> None:
    """Numbers count by their value: 134.0 is 134."""
    forms = {
        "pairs": [(134, 5), (133.9, 4)],
        "lists": [[134.0, 5.0], [133.9, 4]],
        "levels": [BookLevel(134, 5), Level(133.9, 4)],
        "dicts": [{"price": 134.0, "size": 5}, {"price": 133.9, "volume": 4.0}],
        "floats": iter([(134.0, 5.0), (133.9, 4.0)]),
        "numpy": np.array([[134.0, 5], [133.9, 4]]),
        "rows": [
            row for _, row in pd.DataFrame({"price": [134, 133.9], "size": [5, 4]}).iterrows()
        ],
        "decimals": [(Decimal("134.00"), Decimal(5)), (Decimal("133.90"), 4)],
    }
    replica = Replica()
    replica.bids = {134: [134, 5], 133.9: [133.9, 4]}
    assert checksum(forms[name], []) == replica.checksum()  # type: ignore[arg-type] # each is iterable


def test_a_checksum_takes_levels_as_they_are() -> None:
    """Those of size 0, and prices that come twice, count as they are written."""
    text = b"10:0;10:5;9:1;11:0;"
    pairs = [(10, 0), (10.0, 5), (9, 1)], [(11, 0.0)]
    assert checksum(*pairs) == zlib.crc32(text)
    sides = [tuple(BookLevel(*pair) for pair in side) for side in pairs]
    assert Book(*sides).checksum() == zlib.crc32(text)


def test_the_checksums_of_the_documents_agree() -> None:
    """Those that other readers are tried on."""
    vectors = json.loads((ROOT / "tests" / "vectors" / "checksum.json").read_text())
    books = vectors["books"] if isinstance(vectors, dict) else vectors
    assert books
    for one in books:
        assert bookcast.checksum(one["bids"], one["asks"]) == one["checksum"]


@pytest.mark.parametrize("package", [one for one in FRAMES if find_spec(one)])
def test_a_frame_has_a_row_for_each_level(package: str) -> None:
    """Of pandas or of polars, whichever is there."""
    levels = [BookLevel(10, 5), BookLevel(9.5, 4.25)]
    frame = Book(tuple(levels), BOOK.asks).frame(package)
    assert type(frame).__module__.startswith(package)
    assert list(frame.columns) == ["side", "level", "price", "size", "orders"]
    assert list(frame["price"]) == [10, 9.5, 11, 12]
    assert list(frame["size"]) == [5, 4.25, 6, 7]
    assert list(frame["side"]) == ["bid", "bid", "ask", "ask"]
    assert list(frame["level"]) == [1, 2, 1, 2]


def test_without_either_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that it doesn't know is refused likewise."""
    monkeypatch.setattr("bookcast.client.book.find_spec", lambda _name: None)
    with pytest.raises(ImportError, match=r"bookcast\[pandas\]"):
        BOOK.frame()
    with pytest.raises(ImportError, match="no 'excel'"):
        BOOK.frame("excel")
