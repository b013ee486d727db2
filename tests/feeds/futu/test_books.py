import asyncio
import threading

from bookcast.feeds.futu.books import LatestBooks
from bookcast.model import Book, Symbol
from tests.support import PATIENCE

US_AAPL = Symbol("US.AAPL")


async def test_books_wait_one_for_each_symbol() -> None:
    """And wake the loop once."""
    books = LatestBooks(asyncio.get_running_loop())
    first, second = Book((), (), feed_ms=1), Book((), (), feed_ms=2)
    other = Symbol("US.TSLA")

    def vendor() -> None:
        books.put(US_AAPL, first)
        books.put(other, first)
        books.put(US_AAPL, second)

    threading.Thread(target=vendor).start()
    got: dict[Symbol, Book] = {}
    while got.get(US_AAPL) is not second:
        got.update(await asyncio.wait_for(books.take(), PATIENCE))
    assert got == {US_AAPL: second, other: first}
