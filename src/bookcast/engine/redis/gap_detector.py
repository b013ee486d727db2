"""What one node knows of the topics it wants: whether it has all of them, in order.

It does no I/O. Messages may be lost, come twice or late; what is missing is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from bookcast.engine.redis.records import Unreadable
from bookcast.model.log import TopicLog
from bookcast.model.market_data import is_lossless
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from bookcast.observability.counter import as_gauge


def is_news(head: Position, place: Position | None) -> bool:
    """Return whether Redis is at a position after which more is known of the topic."""
    return place is None or (head != place and not place.is_past(head))


class KnownTopic(msgspec.Struct, frozen=True):
    """What was read of a topic: its newest update, and history, oldest first.

    The history is what came after the place that was asked for, or the newest of it.
    """

    newest: Update | Unreadable | None
    history: Sequence[Update | Unreadable] = ()


class _Topic:
    """One topic, known up to ``place``; ``newest`` is the last update that could be read.

    ``log`` is what this node shows, which may be something else: see :class:`GapDetector`.
    ``waiting``: what came while the topic was being read; None: it isn't being read.
    """

    __slots__ = ("log", "newest", "place", "waiting")

    def __init__(self, log: TopicLog) -> None:
        self.log = log
        self.newest: Update | None = None
        self.place: Position | None = None
        self.waiting: list[Update | Unreadable] | None = []


class GapDetector:
    """Follows topics, from what is read of them and from what is told.

    It knows how far this node has what Redis has, never by the logs: while Redis is away, a log
    shows what this node published alone, and what Redis was told again it doesn't show twice.

    Args:
        most_waiting: so many updates are kept that come while a topic is being read.
        log_of: finds or makes the log of a topic.
    """

    def __init__(self, most_waiting: int, log_of: Callable[[Topic], TopicLog]) -> None:
        self._most_waiting = most_waiting
        self._log_of = log_of
        self._topics: dict[Topic, _Topic] = {}

    def __contains__(self, topic: Topic) -> bool:
        """Return whether anything is known here of a topic."""
        known = self._topics.get(topic)
        return known is not None and known.waiting is None

    @as_gauge("bookcast_engine_topics_followed", "Topics that this node follows in Redis")
    def __len__(self) -> int:
        return len(self._topics)

    def topics(self) -> list[Topic]:
        """List the topics that are followed."""
        return list(self._topics)

    def follow(self, topic: Topic) -> bool:
        """Begin to follow a topic: it has to be read. False: it is followed already."""
        if topic in self._topics:
            return False
        self._topics[topic] = _Topic(self._log_of(topic))
        return True

    def follows(self, topic: Topic) -> bool:
        """Return whether a topic is followed, whatever is known of it."""
        return topic in self._topics

    def forget(self, topic: Topic) -> None:
        """Follow a topic no more."""
        self._topics.pop(topic, None)

    def remove(self, topic: Topic) -> bool:
        """Know nothing of a topic any more, but follow it. False: nothing was known of it."""
        known = self._topics.get(topic)
        if known is None or known.place is None:
            return False
        known.newest = known.place = None
        known.log.clear()
        return True

    def position(self, topic: Topic) -> Position | None:
        """Return the last position that is known of a topic."""
        known = self._topics.get(topic)
        return known.place if known is not None else None

    def newest(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic that could be read."""
        known = self._topics.get(topic)
        return known.newest if known is not None else None

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a topic that is followed."""
        known = self._topics.get(topic)
        return known.log if known is not None else None

    def hear(
        self, topic: Topic, updates: Sequence[Update | Unreadable]
    ) -> tuple[list[Update | Unreadable], bool]:
        """Take what subscribers are told, consecutive updates. One that can't be read is missing.

        Returns:
            What of it is new, and whether the topic has to be read because something is missing.
            What comes until it has been read waits for that.
        """
        known = self._topics.get(topic)
        if known is None:
            return [], False
        if known.waiting is not None:
            # Of too many, the oldest will most likely be in what is read; else it is read again.
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
            known.waiting = []  # what came before it is read, will be in that
            return [], True
        self._take(known, updates)
        return list(updates), False

    def must_read(self, topic: Topic) -> bool:
        """Note that a topic is to be read; False: it is being read already, or isn't followed."""
        known = self._topics.get(topic)
        if known is None or known.waiting is not None:
            return False
        known.waiting = []
        return True

    def give_up(self, topic: Topic) -> None:
        """Leave a topic as it is: it can't be read. The next update shows what is missing."""
        known = self._topics.get(topic)
        if known is not None:
            known.waiting = None

    def read(self, topic: Topic, found: KnownTopic) -> tuple[list[Update | Unreadable], bool]:
        """Take what was read of a topic after its :meth:`position`, and what came meanwhile.

        What can't be read here either is passed over: there is no other place to read it from.

        Returns:
            What of it is new, and whether it has to be read once more. What Redis was told again
            isn't new, although it has another place.
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
            and _is_told_again(before, news[0])
        ):
            del news[0]
        for update in waiting:
            at = known.place
            if at is not None and at.epoch != update.position.epoch:
                # From before this was read, or after? Whoever reads once more, knows.
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
            return []  # or Redis has lost what came after it
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


def _is_told_again(before: Update, update: Update) -> bool:
    """Return whether an update is the state that was known before, which Redis had lost."""
    return (
        not is_lossless(update.data)
        and update.position.epoch != before.position.epoch
        and update.server_ms == before.server_ms
        and update.data == before.data
    )
