"""One look, from anywhere."""

import asyncio
from typing import Any

import pytest

import bookcast
from bookcast.client import Book, BookcastClientError, GappedCandle, Quote, Trades

CANDLE = {"time": 1_767_225_600_000, "open": 1, "high": 2, "low": 1, "close": 2, "volume": 5}


@pytest.fixture
def url(bookcast_server: bookcast.ServerThread) -> str:
    """Give the address of a server that knows something."""
    publish: Any = bookcast_server.publish
    publish("A", {"bids": [[10, 5], [9, 1]], "asks": [[11, 6]]})
    publish("A", {"last": 10.5}, channel="quote")
    for price in (1, 2, 3):
        publish("A", {"trades": [{"price": price, "size": 1}]}, channel="trades")
    for final in (True, False):
        publish("A", CANDLE | {"final": final, "volume": 5 + final}, channel="candles", period="1m")
    return bookcast_server.http_url


def test_a_snapshot_is_what_a_subscription_shows(url: str) -> None:
    """Of each channel."""
    book = bookcast.snapshot("A", channel="orderbook", url=url, timeout=30, depth=1)
    assert isinstance(book, Book)
    assert (book.bids[0].price, len(book.bids)) == (10, 1)
    quote = bookcast.snapshot("A", "quote", url=url, timeout=30)
    assert isinstance(quote, Quote)
    assert quote.last == 10.5
    trades = bookcast.snapshot("A", "trades", url=url, timeout=30)
    assert isinstance(trades, Trades)
    assert trades.trades[-1].price == 3
    candle = bookcast.snapshot("A", "candles", period="1m", url=url, timeout=30)
    assert isinstance(candle, GappedCandle)
    assert candle.close == 2


async def test_it_may_be_taken_where_a_loop_runs(url: str) -> None:
    """As in a cell of a notebook; the loop goes on afterwards."""
    loop = asyncio.get_running_loop()
    assert bookcast.snapshot("A", url=url, timeout=30).bids[0].price == 10
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0)


def test_where_nothing_comes_it_says_why(url: str) -> None:
    """Within the time that it was given."""
    with pytest.raises(BookcastClientError, match=r"0\.5 s: pending: ") as error:
        bookcast.snapshot("NOBODY", url=url, timeout=0.5)
    assert (error.value.code, error.value.symbol) == ("no_data", "NOBODY")
    with pytest.raises(BookcastClientError, match=r"connecting: .*[Rr]efused"):
        bookcast.snapshot("A", url="ws://127.0.0.1:9", timeout=0.2)


def test_what_makes_no_sense_is_refused_at_once() -> None:
    """A channel, an option, an address."""
    wrong: Any = bookcast.snapshot
    with pytest.raises(ValueError, match="channel: one of orderbook"):
        wrong("A", "books")
    with pytest.raises(ValueError, match="depth"):
        wrong("A", depth=0)
    with pytest.raises(ValueError, match="Name the server"):
        wrong("A", url="host")
