"""What an engine is: it gives positions, keeps the newest state, and knows what is wanted."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import ClassVar

import msgspec

from bookcast.engine.interests import Interest, Want
from bookcast.model.log import TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, PublisherGone, Update
from bookcast.observability.counter import readings

Notice = Callable[[TopicLog], None]
"""Tells this node's hub that something was appended to the log of a topic that is wanted here."""

Wanted = Callable[[Topic], None]
"""Is told that a topic is wanted on this node by somebody, by reads alone, or by nobody."""


Prepare = Callable[[Sequence[Topic]], Awaitable[None]]
"""Reads what is known of topics into their logs."""


NoteUnreadable = Callable[[Topic, Position], None]
"""Tells the hub that the update at a position can't be read by this node."""


class KeyConflictError(Exception):
    """Something else was published before under the key of a publication.

    ``positions``: those of all that were published together, None for such a one, which wasn't.
    """

    def __init__(self, positions: Sequence[Position | None]) -> None:
        super().__init__("something else was published under this key")
        self.positions = positions


def all_published(positions: Sequence[Position | None]) -> list[Position]:
    """Return the positions of what was published together.

    Raises:
        KeyConflictError: when some was left out.
    """
    found = [one for one in positions if one is not None]
    if len(found) != len(positions):
        raise KeyConflictError(positions)
    return found


class EngineStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What ``/health`` says of the engine. ``detail``: one sentence when something is wrong."""

    kind: str
    state: str
    topics: int
    detail: str | None = None


class Head(msgspec.Struct, frozen=True):
    """Where a topic stands. ``server_ms``: when its newest update came, since 1970."""

    topic: Topic
    position: Position
    server_ms: float


class Engine(ABC):
    """Where updates get their positions and snapshots live.

    Positions are given here and nowhere else, so that nodes sharing an engine never number an
    update differently; the snapshot is stored in the same step.
    """

    waits: ClassVar[bool] = True
    """Whether it may wait for something; where it never does, :meth:`publish` needs no task."""

    lag_seconds: ClassVar[float] = 0.0
    """How long this node may not know yet what others do; 0 where there are none."""

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
        """Connect what hears of this node's logs and of its demand, before anything is wanted.

        ``wanted``, ``wanted_to_read`` and ``unwanted`` are told by whom on this node a topic is
        wanted from now on.
        """
        self._removed = removed
        self._note_unreadable = unreadable
        self._notice = notice
        self._wanted = wanted
        self._wanted_to_read = wanted_to_read
        self._unwanted = unwanted

    async def start(self) -> None:  # noqa: B027 - one in memory is there at once
        """Begin. An engine that can't be reached is away, which is no failure."""

    async def stop(self) -> None:  # noqa: B027 - one in memory has nothing to end
        """End."""

    @abstractmethod
    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Number each publication, append it to its topic's log, and notify who wants it.

        One whose key was used before for the same gets the position that it got then, and is left
        out. ``fence``: under which this node runs the feed that these come from.

        Raises:
            InvalidInput: when the engine is away; it says whether nothing was published.
            KeyConflictError: when a key was used before for something else; the rest is published.
            FencedError: when another node runs the feed by now.
        """

    async def prepare(self, topics: Sequence[Topic]) -> None:  # noqa: B027 - it has all at hand
        """Read what is known of topics into their logs, for somebody who asks for them next.

        When that isn't to be had in time it returns all the same, and what is known comes later.
        """

    @abstractmethod
    def open(
        self, topics: Sequence[Topic]
    ) -> Sequence[Interest] | asyncio.Future[Sequence[Interest]]:
        """Want topics from now on, with what is known of each in its log.

        Returns:
            An interest for each, or a future of them where what is known is being read first. When
            that isn't to be had in time, it comes later, as an update would.
        """

    @abstractmethod
    def open_now(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Want a topic from now on; what is known of it may come later.

        ``reads``: it is only read now and then.
        """

    @abstractmethod
    def want(self, topic: Topic) -> Want | None:
        """Return by whom on this node a topic is wanted, None when by nobody."""

    @abstractmethod
    async def snapshot(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic, None if there was none."""

    def gone(self, topic: Topic) -> PublisherGone | None:  # noqa: ARG002 - nobody may have told it
        """Return, as far as is known here, whether the publisher of what is newest is gone."""
        return None

    async def find_gone(self, topic: Topic) -> PublisherGone | None:
        """Return the same also of a topic that isn't followed here."""
        return self.gone(topic)

    @abstractmethod
    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note that the publisher of updates at these places is gone.

        That counts where nobody has published since.
        """

    @abstractmethod
    async def remove(self, topic: Topic) -> bool:
        """Forget a topic at all nodes, as if nobody had ever published it.

        Returns:
            False when nobody had.

        Raises:
            InvalidInput: when the engine is away.
        """

    @abstractmethod
    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return what is known of a topic, oldest first.

        That is its newest update, or, where every update counts, its history.
        """

    def fed_elsewhere(
        self,
        topic: Topic,  # noqa: ARG002 - nobody else may have fed it
    ) -> Sequence[Update] | Awaitable[Sequence[Update]]:
        """Return what feeds of other nodes may have published of a topic, oldest first.

        This node's feed goes on after that. Returns it at once where it is known at once.
        """
        return ()

    async def heads(self) -> list[Head]:
        """Return where every topic stands that has an update, in one list."""
        return [head async for page in self.pages() for head in page]

    @abstractmethod
    def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Return where every topic stands that has an update, a few hundred at a time."""

    @abstractmethod
    async def count_topics(self) -> int:
        """Count the topics that have an update."""

    @abstractmethod
    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of some topics that have no update, as far as can be told."""

    @abstractmethod
    def status(self) -> EngineStatus:
        """Return how the engine is."""

    @property
    def counting(self) -> Sequence[object]:
        """The parts that count something."""
        return ()

    def numbers(self) -> dict[str, float]:
        """Return what its parts count, by the name of the metric without its prefix."""
        return {
            metric.name.removeprefix("bookcast_engine_"): value
            for metric, value in readings(*self.counting)
            if not isinstance(value, Mapping)
        }
