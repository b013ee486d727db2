"""What a node does while Redis is away: it goes on for its own clients, and hands in states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from bookcast.engine.base import Head, Notice
from bookcast.engine.interests import Interests
from bookcast.engine.memory import MemoryEngine
from bookcast.model.log import TopicLog
from bookcast.model.market_data import is_lossless
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, PublisherGone, Update


class OutageMode:
    """Publishes for this node's clients, under an epoch of its own for each outage.

    It knows as well what that means afterwards: which topics' clients were shown what nobody else
    was, and whose next publication doesn't continue what Redis has.

    What it publishes goes to the same logs as what Redis says, which are what this node shows.

    Args:
        node: this process.
        clock: seconds since 1970.
        log_of: finds or makes the log of a topic.
        interests: who on this node wants a topic.
        notice: tells the hub that something was appended to a log.
    """

    def __init__(
        self,
        node: str,
        *,
        clock: Callable[[], float],
        log_of: Callable[[Topic], TopicLog],
        interests: Interests,
        notice: Notice,
    ) -> None:
        self._node = node
        self._clock = clock
        self._log_of = log_of
        self._interests = interests
        self._notice = notice
        self._engine: MemoryEngine | None = None
        self._from_feed: set[Topic] = set()
        # Topics of which this node shows what it published alone.
        self._diverged: set[Topic] = set()
        # What was published here never came to Redis: the next of it begins anew there.
        self._broken: set[Topic] = set()
        # Topics that were published in Redis since the last outage.
        self._published_since_outage: set[Topic] = set()
        # What couldn't be handed in: it has its turn after the next outage.
        self._kept: dict[Topic, tuple[Update, bool]] = {}
        self._outages = 0

    @property
    def is_active(self) -> bool:
        """Whether Redis is away."""
        return self._engine is not None

    @property
    def diverged(self) -> set[Topic]:
        """The topics of which this node shows what it published alone, and nothing newer since."""
        return self._diverged

    def __contains__(self, topic: Topic) -> bool:
        """Return whether something was published here in this outage."""
        return self._engine is not None and topic in self._engine

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a topic that was published here in this outage."""
        return self._engine.log(topic) if self._engine is not None else None

    def begin(self) -> None:
        """Redis is away from now on."""
        self._outages += 1
        self._published_since_outage.clear()
        engine = self._engine = MemoryEngine(
            epoch=f"local-{self._node}-{self._outages}",
            clock=self._clock,
            log_of=self._log_of,
            interests=self._interests,
        )
        engine.attach(notice=self._notice, wanted=lambda _topic: None, unwanted=lambda _topic: None)

    def end(self, is_followed: Callable[[Topic], bool]) -> list[tuple[Update, bool]]:
        """Go on with Redis, and return the newest states: they are published there before others.

        Each with whether it came from the feed. ``is_followed``: whether this node shows a topic.
        """
        engine, self._engine = self._engine, None
        self._diverged = {topic for topic in self._diverged if is_followed(topic)}
        from_feed, self._from_feed = self._from_feed, set()
        left, self._kept = self._kept, {}
        for update in engine.newest() if engine is not None else ():
            if is_lossless(update.data):
                self._broken.add(update.topic)  # these are not told twice
            else:
                left[update.topic] = update, update.topic in from_feed
        return list(left.values())

    def keep(self, update: Update, *, from_feed: bool) -> None:
        """Take back a state that couldn't be handed in, for the end of the next outage."""
        self._kept.setdefault(update.topic, (update, from_feed))

    # Meanwhile

    async def publish(
        self, publications: Sequence[Publication], *, from_feed: bool
    ) -> list[Position]:
        """Publish for this node's clients."""
        assert self._engine is not None
        topics = [one.topic for one in publications]
        if from_feed:
            self._from_feed.update(topics)
        self._diverged.update(topics)
        return await self._engine.publish(publications)

    def forget(self, topic: Topic) -> None:
        """Take note that this node doesn't show a topic any more."""
        if topic not in self:
            self._diverged.discard(topic)

    def newest(self, topic: Topic) -> Update | None:
        """Return the newest update that was published here."""
        log = self.log(topic)
        return log.newest if log is not None else None

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return what was published here of a topic, oldest first."""
        return await self._engine.past(topic) if self._engine is not None else ()

    def gone(self, topic: Topic) -> PublisherGone | None:
        """Return whether the publisher of what is newest here is gone."""
        return self._engine.gone(topic) if self._engine is not None else None

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note whose publisher is gone."""
        if self._engine is not None:
            await self._engine.abandon(places, reason)

    async def heads(self) -> Sequence[Head]:
        """Return the position of each topic that was published here."""
        return await self._engine.heads() if self._engine is not None else ()

    # Afterwards

    def returning(self, update: Update) -> Update | None:
        """Return an update of Redis as this node may show it; None: it may not now."""
        if update.topic not in self._diverged:
            return update
        if self._engine is not None:
            return None  # what this node says is shown
        self._diverged.discard(update.topic)
        return msgspec.structs.replace(update, engine_restored=True)

    def mended(self, publications: Sequence[Publication]) -> Sequence[Publication]:
        """Mark where a topic begins anew in Redis."""
        if not self._broken:
            return publications
        return [self._begin_anew(one) for one in publications]

    def is_first(self, topic: Topic) -> bool:
        """Return whether a topic was not published in Redis since the last outage."""
        return bool(self._outages) and topic not in self._published_since_outage

    def note_published(self, publications: Sequence[Publication]) -> None:
        """Note what was published in Redis."""
        for one in publications if self._kept else ():
            self._kept.pop(one.topic, None)
        if self._outages:
            self._published_since_outage.update(one.topic for one in publications)

    def note_failed(self, publications: Sequence[Publication]) -> None:
        """Note what couldn't be published in Redis: what was to begin anew has still to."""
        self._broken.update(one.topic for one in publications if one.breaks)

    def _begin_anew(self, publication: Publication) -> Publication:
        if publication.topic not in self._broken:
            return publication
        self._broken.discard(publication.topic)
        return publication._replace(breaks=True)
