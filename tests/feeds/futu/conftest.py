"""A simulated OpenD, and a feed connected to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import pytest

from bookcast.feeds.futu.client import FutuFeed
from bookcast.model import Book, Publication
from tests.fakes.opend import Controller


@pytest.fixture
def opend() -> Iterator[Controller]:
    """Give a simulated OpenD that lets go of subscriptions at once."""
    controller = Controller()
    yield controller
    controller.close()


class Running:
    """A feed that runs, and what it published: the newest book of each symbol."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.newest: dict[str, Publication] = {}
        self.published = 0
        self.feed = FutuFeed(self._publish, host=host, port=port, min_subscription_seconds=0.2)
        self.task: asyncio.Task[None] | None = None

    async def _publish(self, publications: Sequence[Publication]) -> None:
        for publication in publications:
            self.newest[publication.topic.symbol] = publication
            self.published += 1

    def book(self, symbol: str) -> Book:
        """Give the newest book of a symbol."""
        book = self.newest[symbol].data
        assert isinstance(book, Book)
        return book


RunFeed = Callable[..., contextlib.AbstractAsyncContextManager[Running]]


@pytest.fixture
def run_feed() -> RunFeed:
    """Give a way to run a feed for the length of a block."""

    @asynccontextmanager
    async def run(port: int, host: str = "127.0.0.1") -> AsyncIterator[Running]:
        running = Running(port, host)
        running.task = asyncio.create_task(running.feed.run())
        try:
            yield running
        finally:
            running.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running.task

    return run
