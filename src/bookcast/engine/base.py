"""The engine port: it numbers updates, stores the newest ones and knows which topics are wanted."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import ClassVar

import msgspec

from bookcast.engine.interests import Interest, Want
from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, PublisherGone, Update
from bookcast.observability.counter import readings

Notice = Callable[[TopicLog], None]
"""Notifies this node's hub: an update was appended to the log of a topic wanted on this node."""

Wanted = Callable[[Topic], None]
"""Called when this node's demand for a topic changes."""


Prepare = Callable[[Sequence[Topic]], Awaitable[None]]
"""Loads the known updates of topics into their logs."""


NoteUnreadable = Callable[[Topic, Position], None]
"""Notifies the hub that this node can't decode the update at a position."""


class KeyConflictError(Exception):
    """An idempotency key was used before for a publication with other content.

    Attributes:
        positions: one entry per publication of the call, in order. None where the key conflicts:
            that publication was not published. All others were.
    """

    def __init__(self, positions: Sequence[Position | None]) -> None:
        super().__init__("something else was published under this key")
        self.positions = positions


def all_published(positions: Sequence[Position | None]) -> list[Position]:
    """Return the positions of publications of one call, none of which may be missing.

    Raises:
        KeyConflictError: when a publication has no position because its key conflicts.
    """
    found = [one for one in positions if one is not None]
    if len(found) != len(positions):
        raise KeyConflictError(positions)
    return found


class EngineStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """The engine's part of ``/health``. ``detail``: one sentence when something is wrong."""

    kind: str
    state: str
    topics: int
    detail: str | None = None


class Head(msgspec.Struct, frozen=True):
    """The newest position of a topic. ``server_ms``: when its update arrived, in ms since 1970."""

    topic: Topic
    position: Position
    server_ms: float


class Engine(ABC):
    """Assigns each update its position, and stores it as the topic's snapshot in the same step.

    Nothing else gives positions. So nodes that share an engine never give one update two numbers.
    """

    waits: ClassVar[bool] = True
    """Whether :meth:`publish` may wait for I/O. Where it never does, the caller needs no task."""

    lag_seconds: ClassVar[float] = 0.0
    """How far this node may lag behind other nodes, in seconds. 0 where there are no others."""

    def __init__(self) -> None:
        self._notice: Notice = lambda _log: None
        self._wanted: Wanted = lambda _topic: None
        self._wanted_to_read: Wanted = lambda _topic: None
        self._unwanted: Wanted = lambda _topic: None
        self._note_unreadable: NoteUnreadable = lambda _topic, _position: None
        self._removed: Callable[[Topic], None] = lambda _topic: None

    def attach(
        self,
        *,
        notice: Notice,
        wanted: Wanted,
        unwanted: Wanted,
        wanted_to_read: Wanted = lambda _topic: None,
        unreadable: NoteUnreadable = lambda _topic, _position: None,
        removed: Callable[[Topic], None] = lambda _topic: None,
    ) -> None:
        """Set the callbacks of the hub and the feed. Call it before any topic is wanted.

        Args:
            notice: called when an update was appended to the log of a wanted topic.
            wanted: called when subscribers of this node begin to want a topic.
            unwanted: called when nothing on this node wants a topic any more.
            wanted_to_read: called when only reads on this node want a topic.
            unreadable: called when this node can't decode an update of a wanted topic.
            removed: called when a topic was removed.
        """
        self._removed = removed
        self._note_unreadable = unreadable
        self._notice = notice
        self._wanted = wanted
        self._wanted_to_read = wanted_to_read
        self._unwanted = unwanted

    async def start(self) -> None:  # noqa: B027 - the memory engine has nothing to start
        """Start. An engine that can't be reached counts as away; that is no failure."""

    async def stop(self) -> None:  # noqa: B027 - the memory engine has nothing to stop
        """Stop."""

    @abstractmethod
    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Number each publication, append it to its topic's log, and notify the hub.

        A publication whose key was used before for the same content isn't published again: it
        gets the position of the first one.

        Args:
            publications: in the order in which they are numbered.
            fence: the fencing token of this node's feed; None: they don't come from the feed.

        Raises:
            InvalidInput: when the engine is away. It states whether nothing was published.
            KeyConflictError: when a key was used before for other content; the rest is published.
            FencedError: when another node runs the feed by now.
        """

    async def prepare(self, topics: Sequence[Topic]) -> None:  # noqa: B027 - memory has them all
        """Load the known updates of topics into their logs, before a caller asks for them.

        It returns after a timeout even when they aren't loaded yet; they arrive later then.
        """

    @abstractmethod
    def open(
        self, topics: Sequence[Topic]
    ) -> Sequence[Interest] | asyncio.Future[Sequence[Interest]]:
        """Open an interest in each topic, with the known updates already in its log.

        Returns:
            The interests, or a future of them where the updates are being loaded first. If loading
            takes too long, the future completes without them, and they arrive later as updates.
        """

    @abstractmethod
    def open_now(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Open an interest in a topic at once; its known updates may arrive later.

        ``reads``: the interest belongs to reads over HTTP, not to a subscriber.
        """

    @abstractmethod
    def want(self, topic: Topic) -> Want | None:
        """Return what on this node wants a topic, or None."""

    @abstractmethod
    async def snapshot(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic, None if there was none."""

    def gone(self, topic: Topic) -> PublisherGone | None:  # noqa: ARG002 - it may not know
        """Return whether the publisher of the newest update is gone, as far as this node knows."""
        return None

    async def find_gone(self, topic: Topic) -> PublisherGone | None:
        """Return the same, also for a topic that this node doesn't follow."""
        return self.gone(topic)

    @abstractmethod
    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note that the publisher of the updates at these positions is gone.

        The note is void for a topic that has a newer update.
        """

    @abstractmethod
    async def remove(self, topic: Topic) -> bool:
        """Remove a topic on all nodes, as if it had never been published.

        Returns:
            False when it had never been published.

        Raises:
            InvalidInput: when the engine is away.
        """

    @abstractmethod
    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return the known updates of a topic, oldest first.

        That is the newest update of a state, and the history of an event channel (trades, candles).
        """

    def fed_elsewhere(
        self,
        topic: Topic,  # noqa: ARG002 - there may be no other node
    ) -> Sequence[Update] | Awaitable[Sequence[Update]]:
        """Return the updates that feeds of other nodes may have published, oldest first.

        This node's feed continues after them. The result is awaitable only where they must be read.
        """
        return ()

    async def heads(self) -> list[Head]:
        """Return the newest position of every topic that has an update, in one list."""
        return [head async for page in self.pages() for head in page]

    @abstractmethod
    def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Return the newest position of every topic that has an update, a few hundred at a time."""

    @abstractmethod
    async def count_topics(self) -> int:
        """Return the number of topics that have an update."""

    @abstractmethod
    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of the given topics that are known to have no update."""

    @abstractmethod
    def status(self) -> EngineStatus:
        """Return the engine's state for ``/health``."""

    @property
    def counting(self) -> Sequence[object]:
        """The parts that have counters."""
        return ()

    def numbers(self) -> dict[str, float]:
        """Return the counters of its parts, by the name of the metric without its prefix."""
        return {
            metric.name.removeprefix("bookcast_engine_"): value
            for metric, value in readings(*self.counting)
            if not isinstance(value, Mapping)
        }
