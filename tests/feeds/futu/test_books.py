import asyncio
import threading

from bookcast.feeds.futu.books import LatestBooks
from bookcast.model import Book, Publication, Topic
from tests.support import AAPL, PATIENCE, TSLA


async def test_books_wait_one_for_each_symbol() -> None:
    """And wake the loop once."""
    books = LatestBooks(asyncio.get_running_loop())
    first, second, other = (
        Publication(topic, Book((), ()), feed_ms=number)
        for number, topic in enumerate((AAPL, AAPL, TSLA))
    )

    def vendor() -> None:
        for book in (first, other, second):
            books.put(book)

    threading.Thread(target=vendor).start()
    got: dict[Topic, Publication] = {}
    while got.get(AAPL) is not second:
        got.update({book.topic: book for book in await asyncio.wait_for(books.take(), PATIENCE)})
    assert got == {AAPL: second, TSLA: other}
