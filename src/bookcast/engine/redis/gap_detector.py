"""Compares the positions of updates with what this node has, and detects gaps. Does no I/O.

Pub/sub messages may be lost, duplicated or late. A topic with a gap is read again from Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from bookcast.engine.redis.records import Unreadable
from bookcast.model.market_data import is_lossless
from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from bookcast.observability.counter import as_gauge


def is_news(head: Position, place: Position | None) -> bool:
    """Return whether ``head``, Redis's position, has updates that a node at ``place`` lacks."""
    return place is None or (head != place and not place.is_past(head))


class KnownTopic(msgspec.Struct, frozen=True):
    """A topic as read from Redis: its newest update, and its history, oldest first.

    The history begins after the position that was asked for, or is the newest part.
    """

    newest: Update | Unreadable | None
    history: Sequence[Update | Unreadable] = ()


class _Topic:
    """A followed topic.

    ``place`` is the last position that this node has of Redis, ``newest`` the last update that it
    could decode. ``log`` is what clients are shown, which may differ: see :class:`GapDetector`.
    ``waiting``: updates that arrive while the topic is being read; None: it isn't being read.
    """

    __slots__ = ("log", "newest", "place", "waiting")

    def __init__(self, log: TopicLog) -> None:
        self.log = log
        self.newest: Update | None = None
        self.place: Position | None = None
        self.waiting: list[Update | Unreadable] | None = []


class GapDetector:
    """Tracks up to which position this node has each topic, from pub/sub messages and from reads.

    It never uses the log for that. While Redis is away, the log has this node's own updates; and a
    state that was published again in Redis isn't appended twice.

    Args:
        most_waiting: so many updates are kept while a topic is being read.
        log_of: returns or makes the log of a topic.
    """

    def __init__(self, most_waiting: int, log_of: Callable[[Topic], TopicLog]) -> None:
        self._most_waiting = most_waiting
        self._log_of = log_of
        self._topics: dict[Topic, _Topic] = {}

    def __contains__(self, topic: Topic) -> bool:
        """Return whether a topic is followed, and isn't being read now."""
        known = self._topics.get(topic)
        return known is not None and known.waiting is None

    @as_gauge("bookcast_engine_topics_followed", "Topics that this node follows in Redis")
    def __len__(self) -> int:
        return len(self._topics)

    def topics(self) -> list[Topic]:
        """Return the followed topics."""
        return list(self._topics)

    def follow(self, topic: Topic) -> bool:
        """Begin to follow a topic; the caller must read it then. False: it is followed already."""
        if topic in self._topics:
            return False
        self._topics[topic] = _Topic(self._log_of(topic))
        return True

    def follows(self, topic: Topic) -> bool:
        """Return whether a topic is followed, read already or not."""
        return topic in self._topics

    def forget(self, topic: Topic) -> None:
        """Stop following a topic."""
        self._topics.pop(topic, None)

    def remove(self, topic: Topic) -> bool:
        """Clear a removed topic, but keep following it. False: it had no position."""
        known = self._topics.get(topic)
        if known is None or known.place is None:
            return False
        known.newest = known.place = None
        known.log.clear()
        return True

    def position(self, topic: Topic) -> Position | None:
        """Return the last position of Redis that this node has of a topic."""
        known = self._topics.get(topic)
        return known.place if known is not None else None

    def newest(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic that could be decoded."""
        known = self._topics.get(topic)
        return known.newest if known is not None else None

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a followed topic."""
        known = self._topics.get(topic)
        return known.log if known is not None else None

    def hear(
        self, topic: Topic, updates: Sequence[Update | Unreadable]
    ) -> tuple[list[Update | Unreadable], bool]:
        """Process consecutive updates of a pub/sub message. An unreadable one counts as missing.

        Returns:
            The new updates, and whether the caller must read the topic because of a gap. Updates
            that arrive before it has been read wait for that.
        """
        known = self._topics.get(topic)
        if known is None:
            return [], False
        if known.waiting is not None:
            # Past the bound the oldest are dropped: the read most likely has them, else it repeats.
            known.waiting = [*known.waiting, *updates][-self._most_waiting :]
            return [], False
        place = known.place
        first = updates[0].position
        if place is None:
            continues = first.seq == 1
        elif place.epoch != first.epoch:
            continues = False
        else:
            updates = [update for update in updates if update.position.seq > place.seq]
            if not updates:
                return [], False
            continues = updates[0].position.seq == place.seq + 1
        if not continues or any(isinstance(update, Unreadable) for update in updates):
            known.waiting = []  # the read will contain these updates
            return [], True
        self._take(known, updates)
        return list(updates), False

    def must_read(self, topic: Topic) -> bool:
        """Mark a topic as being read. False: it is being read already, or isn't followed."""
        known = self._topics.get(topic)
        if known is None or known.waiting is not None:
            return False
        known.waiting = []
        return True

    def give_up(self, topic: Topic) -> None:
        """Note that reading a topic failed. Its next update will reveal the gap."""
        known = self._topics.get(topic)
        if known is not None:
            known.waiting = None

    def read(self, topic: Topic, found: KnownTopic) -> tuple[list[Update | Unreadable], bool]:
        """Process a topic as read after its :meth:`position`, then the updates that waited for it.

        Updates that can't be decoded here either are skipped: there is no other source for them.

        Returns:
            The new updates, and whether the topic must be read once more. A state that was
            published again in Redis isn't new, although its position is.
        """
        known = self._topics.get(topic)
        if known is None:
            return [], False
        waiting, known.waiting = known.waiting or [], None
        before = known.newest
        news = self._newer(known, found)
        self._take(known, news)
        if (
            news
            and before is not None
            and isinstance(news[0], Update)
            and _is_republished(before, news[0])
        ):
            del news[0]
        for update in waiting:
            at = known.place
            if at is not None and at.epoch != update.position.epoch:
                # It may be older or newer than the read: another read shows which.
                known.waiting = []
                return news, True
            more, missing = self.hear(topic, [update])
            news += more
            if missing:
                return news, True
        return news, False

    def _newer(self, known: _Topic, found: KnownTopic) -> list[Update | Unreadable]:
        newest, at = found.newest, known.place
        if newest is None or not is_news(newest.position, at):
            return []  # nothing newer, or Redis lost updates that this node has
        if at is not None and at.epoch == newest.position.epoch:
            past = [update for update in found.history if update.position.seq > at.seq]
        else:
            past = list(found.history)
        if not past or past[-1].position != newest.position:
            past.append(newest)
        return past

    def _take(self, known: _Topic, updates: Sequence[Update | Unreadable]) -> None:
        for update in updates:
            known.place = update.position
            if isinstance(update, Update):
                known.newest = update


def _is_republished(before: Update, update: Update) -> bool:
    """Return whether an update is the state known before, published again because Redis lost it."""
    return (
        not is_lossless(update.data)
        and update.position.epoch != before.position.epoch
        and update.server_ms == before.server_ms
        and update.data == before.data
    )
