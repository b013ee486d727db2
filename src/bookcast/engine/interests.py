"""Counts who on this node wants a topic. The first interest starts delivery, the last ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Topic

Want = Literal["subscribed", "read"]
"""What wants a topic: subscribers, connected or lost; or only reads over HTTP."""


class Interest:
    """Keeps a topic wanted on this node until it is closed. ``log``: the topic's log."""

    __slots__ = ("_interests", "_is_open", "log", "reads")

    def __init__(self, log: TopicLog, interests: Interests, *, reads: bool) -> None:
        self.log = log
        self.reads = reads
        self._interests = interests
        self._is_open = True

    def share(self) -> Interest:
        """Return another interest in the topic, for the part that continues with it."""
        return self._interests.open(self.log.topic, reads=self.reads)

    def close(self) -> None:
        """End the interest. A second call does nothing.

        A part that takes a topic over opens its interest before the old one is closed, so that the
        demand doesn't end in between.
        """
        if self._is_open:
            self._is_open = False
            self._interests.note_closed(self)


class _Wanted:
    """A wanted topic: its log, and how many interests are open."""

    __slots__ = ("log", "readers", "subscribers")

    def __init__(self, log: TopicLog) -> None:
        self.log = log
        self.readers = self.subscribers = 0

    def want(self) -> Want | None:
        """Return what wants it, or None."""
        if self.subscribers:
            return "subscribed"
        return "read" if self.readers else None


class Interests:
    """Counts the open interests in each topic.

    Args:
        log_of: returns the log of a topic, and makes it where there is none.
        changed: called when what wants a topic changes; with None when nothing wants it any more.
    """

    def __init__(
        self,
        log_of: Callable[[Topic], TopicLog],
        changed: Callable[[Topic, Want | None], None],
    ) -> None:
        self._log_of = log_of
        self._changed = changed
        self._wanted: dict[Topic, _Wanted] = {}

    def open(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Open an interest. ``reads``: it belongs to reads over HTTP, not to a subscriber."""
        wanted = self._wanted.get(topic)
        if wanted is None:
            wanted = self._wanted[topic] = _Wanted(self._log_of(topic))
        self._count(wanted, 1, reads=reads)
        return Interest(wanted.log, self, reads=reads)

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a wanted topic; None where it isn't wanted."""
        wanted = self._wanted.get(topic)
        return wanted.log if wanted is not None else None

    def want(self, topic: Topic) -> Want | None:
        """Return what wants a topic, or None."""
        wanted = self._wanted.get(topic)
        return wanted.want() if wanted is not None else None

    def __contains__(self, topic: Topic) -> bool:
        """Return whether an interest in a topic is open."""
        return topic in self._wanted

    def note_closed(self, interest: Interest) -> None:
        """Stop counting an interest that was closed."""
        self._count(self._wanted[interest.log.topic], -1, reads=interest.reads)

    def _count(self, wanted: _Wanted, change: int, *, reads: bool) -> None:
        before = wanted.want()
        if reads:
            wanted.readers += change
        else:
            wanted.subscribers += change
        after = wanted.want()
        if after == before:
            return
        topic = wanted.log.topic
        if after == "subscribed":
            wanted.log.begin_anew()
        if after is None:
            del self._wanted[topic]
            wanted.log.release()
        self._changed(topic, after)
