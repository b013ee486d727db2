"""A feed to begin with: it connects to a source, subscribes what is wanted, and publishes books.

The source speaks lines of JSON over TCP. Replace that by what yours speaks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

import msgspec

from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.model.market_data import Book, Level
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What FEED_OPTIONS may have."""

    host: str = "127.0.0.1"
    port: int = 9009


class SourceBook(msgspec.Struct, frozen=True):
    """A line of the source."""

    symbol: str
    time: float
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]


def make_feed(publish: Publish, options: Mapping[str, str]) -> Feed:
    """Make the feed: FEED_FACTORY names this function."""
    return TemplateFeed(publish, msgspec.convert(options, Options, strict=False))


class TemplateFeed(Feed):
    """Publishes the books of those symbols that somebody wants."""

    name = "template"

    def __init__(self, publish: Publish, options: Options) -> None:
        super().__init__(publish)
        self._options = options
        self._wanted: dict[Symbol, Topic] = {}
        self._source: asyncio.StreamWriter | None = None

    def serves(self, topic: Topic) -> bool:
        """Return whether the topic is a plain order book: the source has nothing else."""
        return topic.channel == "orderbook" and not topic.variant

    def want(self, topic: Topic) -> None:
        """Subscribe a topic. This may come while the source is away."""
        if self.serves(topic):
            self._wanted[topic.symbol] = topic
            self._ask("subscribe", topic.symbol)

    def release(self, topic: Topic) -> None:
        """Stop supplying a topic."""
        if self._wanted.pop(topic.symbol, None) is not None:
            self._ask("unsubscribe", topic.symbol)

    def status(self) -> FeedStatus:
        """Return what /health says of the feed."""
        is_there = self._source is not None
        return FeedStatus(self.name, "connected" if is_there else "starting", len(self._wanted))

    async def run(self) -> None:
        """Publish until cancelled. An exception makes bookcast start the feed again, after a while.

        Raises:
            ConnectionError: when the source is gone.
        """
        lines, source = await asyncio.open_connection(self._options.host, self._options.port)
        self._source = source
        try:
            for symbol in self._wanted:
                self._ask("subscribe", symbol)
            while line := await lines.readline():
                if (publication := self._read(line)) is not None:
                    await self.publish([publication])
            raise ConnectionError("the source has closed the connection")
        finally:
            self._source = None
            source.close()

    def _read(self, line: bytes) -> Publication | None:
        told = msgspec.json.decode(line, type=SourceBook)
        topic = self._wanted.get(Symbol(told.symbol))
        if topic is None:  # it was let go while this was on its way
            return None
        book = Book.of(told.bids, told.asks)
        return Publication(topic, book, exchange_ms=told.time, feed_ms=time.time() * 1000)

    def _ask(self, action: str, symbol: Symbol) -> None:
        if self._source is not None:
            self._source.write(msgspec.json.encode({action: symbol}) + b"\n")
