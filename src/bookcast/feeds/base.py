"""What a feed is: a source of market data that publishes, and is told which topics are wanted."""

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
"""Hands publications to the engine, in order. Call it on the event loop's thread only."""


class FeedStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``/health`` says of a feed. ``detail`` is one sentence when something is wrong."""

    name: str
    state: Literal["starting", "connected", "disconnected", "stopped"]
    symbols: int
    detail: str | None = None


class Feed(ABC):
    """A source of market data. It gets ``publish`` when it is made and runs until cancelled.

    ``want`` and ``release`` arrive on the event loop, at any time after construction, also while
    the feed is disconnected; they only note the demand and return at once.
    """

    name: str

    names_all: ClassVar[bool] = False
    """Whether what :meth:`symbols` doesn't name isn't to be had here."""

    def __init__(self, publish: Publish) -> None:
        self.publish = publish

    @abstractmethod
    async def run(self) -> None:
        """Publish until cancelled. An exception makes the supervisor start the feed again."""

    @abstractmethod
    def status(self) -> FeedStatus:
        """Return how the feed is."""

    def want(self, topic: Topic) -> None:  # noqa: B027 - a feed may publish all it has
        """Somebody wants this topic now."""

    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want this topic now: what it takes is what nobody else needs.

        That is new, or the last subscriber has left. A feed that has plenty makes no difference.
        """
        self.want(topic)

    def release(self, topic: Topic) -> None:  # noqa: B027 - a feed may publish all it has
        """Nobody wants this topic any more."""

    def go_on_after(self, topic: Topic, past: Sequence[Data]) -> None:  # noqa: B027 - a feed may have none
        """Take note of what the feed of another node published of a topic, oldest first.

        That is told of trades and candles before the topic is wanted here, so that nothing is told
        twice or left out when this feed takes over.
        """

    def serves(self, topic: Topic) -> bool:  # noqa: ARG002 - a feed may have everything
        """Return whether this topic comes from this feed, as far as it knows."""
        return True

    def supply(self, topic: Topic) -> FeedState:  # noqa: ARG002 - most have the same word for all
        """Return how this feed can supply a topic that it serves."""
        status = self.status()
        if status.state in {"starting", "connected"}:
            return FeedState(self.name)
        return FeedState(self.name, "feed_down", status.detail or "the feed isn't connected")

    def symbols(self) -> Sequence[Symbol]:
        """The symbols this feed is known to have; empty where it can't tell."""
        return ()

    async def search(self, text: str) -> Sequence[Security]:
        """Find what can be subscribed here by a part of its symbol; empty text finds all."""
        wanted = text.upper()
        return [Security(symbol) for symbol in self.symbols() if wanted in symbol.upper()]
