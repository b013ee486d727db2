"""The base of feeds: sources of market data that publish, and get the demand for their topics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Literal

import msgspec

from bookcast.model.feed_state import FeedState, Security
from bookcast.model.market_data import Data
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication

Publish = Callable[[Sequence[Publication]], Awaitable[object]]
"""Passes publications to the engine, in order. Call it only on the event loop's thread."""


class FeedStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """A feed's state in ``/health``. ``detail``: one sentence when something is wrong."""

    name: str
    state: Literal["starting", "connected", "disconnected", "stopped"]
    symbols: int
    detail: str | None = None


class Feed(ABC):
    """A source of market data. It gets ``publish`` when it is made, and runs until cancelled.

    ``want``, ``want_to_read`` and ``release`` are called on the event loop, at any time after
    construction, also while the feed is disconnected. They only note the demand and return at once.
    """

    name: str

    names_all: ClassVar[bool] = False
    """Whether :meth:`symbols` is complete: the feed has no other symbols."""

    def __init__(self, publish: Publish) -> None:
        self.publish = publish

    @abstractmethod
    async def run(self) -> None:
        """Publish until cancelled. An exception makes the supervisor start the feed again."""

    @abstractmethod
    def status(self) -> FeedStatus:
        """Return the feed's state."""

    def want(self, topic: Topic) -> None:  # noqa: B027 - a feed may publish all it has
        """Note that subscribers want this topic from now on."""

    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want this topic from now on.

        Either it was wanted by nobody before, or its last subscriber has left. A feed with a quota
        gives reads only what subscribers don't need; other feeds treat them alike.
        """
        self.want(topic)

    def release(self, topic: Topic) -> None:  # noqa: B027 - a feed may publish all it has
        """Note that nothing wants this topic any more."""

    def go_on_after(self, topic: Topic, past: Sequence[Data]) -> None:  # noqa: B027 - a feed may have none
        """Note what another node's feed published of a topic, oldest first.

        It is called for trades and candles before the topic is wanted here, so that this feed
        neither repeats nor skips an update when it takes over.
        """

    def serves(self, topic: Topic) -> bool:  # noqa: ARG002 - a feed may have everything
        """Return whether this feed may supply a topic, as far as it knows."""
        return True

    def supply(self, topic: Topic) -> FeedState:  # noqa: ARG002 - the same for all
        """Return how this feed can supply a topic for which :meth:`serves` is true."""
        status = self.status()
        if status.state in {"starting", "connected"}:
            return FeedState(self.name)
        return FeedState(self.name, "feed_down", status.detail or "the feed isn't connected")

    def symbols(self) -> Sequence[Symbol]:
        """Return the symbols that this feed has; empty where it doesn't know."""
        return ()

    async def search(self, text: str) -> Sequence[Security]:
        """Return securities whose symbol contains a text; an empty text finds all."""
        wanted = text.upper()
        return [Security(symbol) for symbol in self.symbols() if wanted in symbol.upper()]
