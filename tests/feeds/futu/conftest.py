"""A simulated OpenD, and a feed connected to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bookcast.feeds.futu.client import FutuFeed
from bookcast.feeds.futu.endpoints import Endpoint
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.market_data import Book
from bookcast.model.updates import Publication
from tests.fakes.opend import Controller


@pytest.fixture
def opend() -> Iterator[Controller]:
    """Give a simulated OpenD that lets go of subscriptions at once."""
    controller = Controller()
    yield controller
    controller.close()


SOON_CLOSED = FutuTimes(first_push_seconds=0.5)
"""Less is waited for the first push of what may be closed."""


class Running:
    """A feed that runs, and what it published: all, and the newest of each symbol."""

    def __init__(self, ports: Sequence[int], host: str, **more: Any) -> None:
        self.newest: dict[str, Publication] = {}
        self.published: list[Publication] = []
        self.feed = FutuFeed(
            self._publish,
            endpoints=[Endpoint(host, port) for port in ports],
            **({"min_subscription_seconds": 0.2} | more),
        )
        self.task: asyncio.Task[None] | None = None

    async def _publish(self, publications: Sequence[Publication]) -> None:
        for publication in publications:
            self.newest[publication.topic.symbol] = publication
            self.published.append(publication)

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
    async def run(*ports: int, host: str = "127.0.0.1", **more: Any) -> AsyncIterator[Running]:
        running = Running(ports, host, **more)
        running.task = asyncio.create_task(running.feed.run())
        try:
            yield running
        finally:
            running.task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running.task

    return run
