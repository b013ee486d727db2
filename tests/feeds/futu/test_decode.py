import math
from types import SimpleNamespace
from typing import Any

import pytest

from bookcast.feeds.futu.decode import MARKET_PREFIXES, decode_order_book
from bookcast.model import MARKETS as KNOWN
from bookcast.model import Book, Level, Publication
from tests.support import AAPL


class Message:
    """A level as protobuf gives it: optional fields tell whether they are there."""

    def __init__(self, price: float, volume: int, orders: int, precise: float | None) -> None:
        self.price = price
        self.volume = volume
        self.orederCount = orders
        self.hpVolume = precise or 0.0
        self._precise = precise is not None

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's name
        assert name == "hpVolume"
        return self._precise


def level(price: float, volume: int, orders: int = 1, precise: float | None = None) -> Message:
    return Message(price, volume, orders, precise)


def push(bids: list[Message], asks: list[Message], **more: Any) -> SimpleNamespace:
    fields = {
        "security": SimpleNamespace(market=11, code="AAPL"),
        "orderBookBidList": bids,
        "orderBookAskList": asks,
        "orderBookType": 0,
        "svrRecvTimeBidTimestamp": 0.0,
        "svrRecvTimeAskTimestamp": 0.0,
        **more,
    }
    return SimpleNamespace(**fields)


def decode(s2c: object) -> Book:
    decoded = decode_order_book(s2c, 0)
    assert decoded is not None
    assert isinstance(decoded.data, Book)
    return decoded.data


def test_a_book_is_decoded_with_its_times() -> None:
    """The exchange's time is the newer of both sides'."""
    decoded = decode_order_book(
        push(
            [level(10.1, 300, 4)],
            [level(10.2, 100, 2)],
            svrRecvTimeBidTimestamp=1.5,
            svrRecvTimeAskTimestamp=2.5,
        ),
        received_ms=3000,
    )
    book = Book((Level(10.1, 300, 4),), (Level(10.2, 100, 2),))
    assert decoded == Publication(AAPL, book, exchange_ms=2500, feed_ms=3000)


def test_an_unknown_time_is_unknown() -> None:
    """OpenD says 0 then."""
    decoded = decode_order_book(push([], []), 0)
    assert decoded is not None
    assert decoded.exchange_ms is None


@pytest.mark.parametrize(
    ("volume", "precise", "size"), [(2, None, 2), (2, 2.5, 2.5), (0, 0.125, 0.125), (2, 3.0, 3)]
)
def test_the_precise_volume_counts_where_there_is_one(
    volume: int, precise: float | None, size: float
) -> None:
    """Fractional shares are exact, whole ones are ints."""
    book = decode(push([level(1, volume, precise=precise)], []))
    assert book.bids[0].size == size
    assert type(book.bids[0].size) is type(size)


def test_levels_without_size_are_dropped_and_sides_are_in_order() -> None:
    """Whatever OpenD sends, a book is a book."""
    book = decode(push([level(1, 5), level(2, 5), level(3, 0)], [level(6, 5), level(5, 5)]))
    assert [item.price for item in book.bids] == [2, 1]
    assert [item.price for item in book.asks] == [5, 6]


def test_levels_of_one_price_are_joined() -> None:
    """No reader could make sense of two of them."""
    book = decode(push([level(2, 5, 1), level(2, 7, 3), level(1, 1)], []))
    assert book.bids == (Level(2, 12, 4), Level(1, 1, 1))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2.0**53])
def test_numbers_that_json_cannot_carry_are_dropped(bad: float) -> None:
    """As prices and as sizes."""
    book = decode(push([level(bad, 5), level(1, 5)], [level(2, 5, precise=bad)]))
    assert book.bids == (Level(1, 5, 1),)
    assert book.asks == ()


def test_odd_lots_and_unknown_markets_are_no_books_of_ours() -> None:
    """They are passed over."""
    assert decode_order_book(push([], [], orderBookType=1), 0) is None
    unknown = SimpleNamespace(market=999, code="X")
    assert decode_order_book(push([], [], security=unknown), 0) is None


def test_every_market_is_one_that_symbols_may_name() -> None:
    """A book is found again under the symbol that was subscribed."""
    assert set(MARKET_PREFIXES.values()) == KNOWN
