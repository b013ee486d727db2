"""Outage mode: while Redis is away, a node publishes for its own clients alone.

When Redis is back, the newest states of the outage are published there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from bookcast.engine.base import Head, Notice
from bookcast.engine.interests import Interests
from bookcast.engine.memory import MemoryEngine
from bookcast.model.market_data import is_lossless
from bookcast.model.topic_log import StateLog, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import LOCAL, Position, Publication, PublisherGone, Update


class OutageMode:
    """Publishes to this node's clients, under a new epoch for each outage.

    Its updates go to the same logs as those of Redis. After the outage it still knows which topics
    diverged (their clients were shown updates that no other node has), and for which topics the
    next publication must begin a new epoch in Redis.

    Args:
        node: the id of this process.
        clock: seconds since 1970.
        log_of: returns or makes the log of a topic.
        interests: counts who on this node wants a topic.
        notice: notifies the hub that an update was appended to a log.
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
        # Topics whose logs end with updates that only this node has.
        self._diverged: set[Topic] = set()
        # Redis has this node's states: its newest is the newest for all nodes.
        self._is_caught_up = False
        # Topics with updates that never reached Redis: their next publication begins a new epoch.
        self._broken: set[Topic] = set()
        # Topics published in Redis since the last outage began.
        self._published_since_outage: set[Topic] = set()
        # States that couldn't be published in Redis: they are tried again after the next outage.
        self._kept: dict[Topic, tuple[Update, bool]] = {}
        self._outages = 0

    @property
    def is_active(self) -> bool:
        """Whether Redis is away."""
        return self._engine is not None

    @property
    def diverged(self) -> set[Topic]:
        """The topics whose clients were shown this node's own updates, and none of Redis since."""
        return self._diverged

    def __contains__(self, topic: Topic) -> bool:
        """Return whether the topic was published on this node in this outage."""
        return self._engine is not None and topic in self._engine

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a topic that was published on this node in this outage."""
        return self._engine.log(topic) if self._engine is not None else None

    def begin(self) -> None:
        """Begin an outage: Redis is away from now on."""
        self._outages += 1
        self._is_caught_up = False
        self._published_since_outage.clear()
        engine = self._engine = MemoryEngine(
            epoch=f"{LOCAL}{self._node}-{self._outages}",
            clock=self._clock,
            log_of=self._log_of,
            interests=self._interests,
        )
        engine.attach(notice=self._notice, wanted=lambda _topic: None, unwanted=lambda _topic: None)

    def end(self, is_followed: Callable[[Topic], bool]) -> list[tuple[Update, bool]]:
        """End the outage, and return the newest states, which Redis must get before newer ones.

        Args:
            is_followed: returns whether this node follows a topic.

        Returns:
            Each state with whether it came from the feed.
        """
        engine, self._engine = self._engine, None
        self._diverged = {topic for topic in self._diverged if is_followed(topic)}
        from_feed, self._from_feed = self._from_feed, set()
        left, self._kept = self._kept, {}
        for update in engine.newest() if engine is not None else ():
            if is_lossless(update.data):
                self._broken.add(update.topic)  # events aren't published a second time
            else:
                left[update.topic] = update, update.topic in from_feed
        return list(left.values())

    def keep(self, update: Update, *, from_feed: bool) -> None:
        """Store a state that couldn't be published in Redis, for the end of the next outage."""
        self._kept.setdefault(update.topic, (update, from_feed))

    # During the outage

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
        """Note that this node doesn't follow a topic any more."""
        if topic not in self:
            self._diverged.discard(topic)

    def newest(self, topic: Topic) -> Update | None:
        """Return the newest update that this node published in this outage."""
        log = self.log(topic)
        return log.newest if log is not None else None

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return the updates of a topic that this node published in this outage, oldest first."""
        return await self._engine.past(topic) if self._engine is not None else ()

    def gone(self, topic: Topic) -> PublisherGone | None:
        """Return the note that the publisher of this node's newest update is gone, or None."""
        return self._engine.gone(topic) if self._engine is not None else None

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note that the publisher of the updates at these positions is gone."""
        if self._engine is not None:
            await self._engine.abandon(places, reason)

    async def heads(self) -> Sequence[Head]:
        """Return the newest position of each topic published in this outage."""
        return await self._engine.heads() if self._engine is not None else ()

    # After the outage

    def returning(self, update: Update) -> Update | None:
        """Return an update of Redis as the log takes it; None: not while the topic diverges.

        The first one after the outage is marked ``engine_restored``.
        """
        if update.topic not in self._diverged:
            return update
        if self._engine is not None or self._is_outdated(update):
            return None  # clients see this node's own updates
        self._diverged.discard(update.topic)
        return msgspec.structs.replace(update, engine_restored=True)

    def note_caught_up(self) -> None:
        """Note that this node's states were offered to Redis: what Redis has counts from now on."""
        self._is_caught_up = True

    def _is_outdated(self, update: Update) -> bool:
        """Return whether a state is older than the one that this node's clients see.

        A paused Redis may execute a publication that had timed out before, and that this node's
        clients were shown meanwhile. Where clients want every book, none is left out.
        """
        log = self._log_of(update.topic)
        keeps_all = isinstance(log, StateLog) and log.keeps_all
        if self._is_caught_up or keeps_all or is_lossless(update.data):
            return False
        newest = log.newest
        return newest is not None and update.server_ms < newest.server_ms

    def mended(self, publications: Sequence[Publication]) -> Sequence[Publication]:
        """Return the publications, marked with ``breaks`` where a new epoch must begin in Redis."""
        if not self._broken:
            return publications
        return [self._begin_anew(one) for one in publications]

    def is_first(self, topic: Topic) -> bool:
        """Return whether this would be the topic's first publication in Redis since an outage."""
        return bool(self._outages) and topic not in self._published_since_outage

    def note_published(self, publications: Sequence[Publication]) -> None:
        """Note publications that are sent to Redis."""
        for one in publications if self._kept else ():
            self._kept.pop(one.topic, None)
        if self._outages:
            self._published_since_outage.update(one.topic for one in publications)

    def note_failed(self, publications: Sequence[Publication]) -> None:
        """Note publications that failed: those that begin a new epoch must still do so."""
        self._broken.update(one.topic for one in publications if one.breaks)

    def _begin_anew(self, publication: Publication) -> Publication:
        if publication.topic not in self._broken:
            return publication
        self._broken.discard(publication.topic)
        return publication._replace(breaks=True)
