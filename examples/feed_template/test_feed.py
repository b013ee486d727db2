"""What every feed must do, against a source on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from bookcast.feeds.base import Feed
from bookcast.model.market_data import Book
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication

from .feed import make_feed
from .source import source

TOPIC = Topic("orderbook", Symbol("US.AAPL"))
BID = 99.5
"""The best bid of the source's books."""

SECONDS = 30.0
"""So long a test may take on a busy machine."""


class Published:
    """What the feed publishes, in order."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Publication] = asyncio.Queue()

    async def __call__(self, publications: Sequence[Publication]) -> None:
        """Take publications, as the engine does."""
        for publication in publications:
            self.queue.put_nowait(publication)

    async def next(self) -> Publication:
        """Return the next one."""
        return await asyncio.wait_for(self.queue.get(), SECONDS)


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    """Run a feed for the length of a block."""
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, ConnectionError):
            await task


def test_a_wanted_book_arrives() -> None:
    """Under its topic, with the levels of the source."""

    async def play() -> None:
        published = Published()
        async with source() as port:
            feed = make_feed(published, {"port": str(port)})
            feed.want(TOPIC)  # before there is a connection
            async with running(feed):
                publication = await published.next()
                assert publication.topic == TOPIC
                assert isinstance(publication.data, Book)
                assert publication.data.bids[0].price == BID
                assert feed.status().state == "connected"

    asyncio.run(play())


def test_what_nobody_wants_any_more_is_not_published() -> None:
    """Another symbol goes on."""
    other = Topic("orderbook", Symbol("US.TSLA"))

    async def play() -> None:
        published = Published()
        async with source() as port:
            feed = make_feed(published, {"port": str(port)})
            async with running(feed):
                feed.want(TOPIC)
                await published.next()
                feed.release(TOPIC)
                feed.want(other)
                while not published.queue.empty():  # what had come before
                    published.queue.get_nowait()
                assert {(await published.next()).topic for _ in range(3)} == {other}

    asyncio.run(play())


def test_a_source_that_goes_away_ends_the_run() -> None:
    """So that bookcast starts the feed again."""

    async def play() -> None:
        gone = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with gone:
            port = gone.sockets[0].getsockname()[1]
            feed = make_feed(Published(), {"port": str(port)})
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(feed.run(), SECONDS)
            assert feed.status().state == "starting"

    asyncio.run(play())


def test_an_option_that_there_is_not_is_refused() -> None:
    """By its name."""
    with pytest.raises(ValueError, match="prot"):
        make_feed(Published(), {"prot": "9009"})
