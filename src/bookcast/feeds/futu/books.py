"""The newest book of each symbol, on its way from the vendor's thread to the event loop."""

from __future__ import annotations

import asyncio
import threading

from bookcast.feeds.futu.thread import call_in
from bookcast.model import Publication, Topic


class LatestBooks:
    """Carries books from the vendor's thread to the event loop: per symbol only the newest.

    However long the loop is busy, no more than one book per symbol and one wake-up wait for it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._books: dict[Topic, Publication] = {}
        self._arrived = asyncio.Event()

    def put(self, book: Publication) -> None:
        """Leave a book, from any thread."""
        with self._lock:
            wake = not self._books
            self._books[book.topic] = book
        if wake:
            call_in(self._loop, self._arrived.set)

    async def take(self) -> list[Publication]:
        """Wait until there are books, and take them all."""
        await self._arrived.wait()
        self._arrived.clear()
        with self._lock:
            books, self._books = self._books, {}
        return list(books.values())
