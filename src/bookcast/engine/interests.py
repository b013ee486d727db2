"""Who on this node wants a topic, counted: the first begins its delivery, the last ends it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from bookcast.model.log import TopicLog
from bookcast.model.topics import Topic

Want = Literal["subscribed", "read"]
"""By whom a topic is wanted: by subscribers, connected or not; or by reads alone."""


class Interest:
    """Somebody on this node wants a topic until this is closed. ``log``: what is shown of it."""

    __slots__ = ("_interests", "_is_open", "log", "reads")

    def __init__(self, log: TopicLog, interests: Interests, *, reads: bool) -> None:
        self.log = log
        self.reads = reads
        self._interests = interests
        self._is_open = True

    def share(self) -> Interest:
        """Return another interest in the topic, for somebody who goes on with it."""
        return self._interests.open(self.log.topic, reads=self.reads)

    def close(self) -> None:
        """Want the topic no more; once more does nothing.

        Whoever goes on with a topic opens the new interest before they close the old one.
        """
        if self._is_open:
            self._is_open = False
            self._interests.note_closed(self)


class _Wanted:
    """A topic that somebody wants: its log, and by how many."""

    __slots__ = ("log", "readers", "subscribers")

    def __init__(self, log: TopicLog) -> None:
        self.log = log
        self.readers = self.subscribers = 0

    def want(self) -> Want | None:
        """Return by whom it is wanted, None when by nobody."""
        if self.subscribers:
            return "subscribed"
        return "read" if self.readers else None


class Interests:
    """Counts the interests in each topic.

    Args:
        log_of: finds or makes the log of a topic.
        changed: called when a topic begins to be wanted, is wanted by others than before, or isn't
            wanted any more (None).
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
        """Want a topic. ``reads``: it is only read now and then."""
        wanted = self._wanted.get(topic)
        if wanted is None:
            wanted = self._wanted[topic] = _Wanted(self._log_of(topic))
        self._count(wanted, 1, reads=reads)
        return Interest(wanted.log, self, reads=reads)

    def log(self, topic: Topic) -> TopicLog | None:
        """Return the log of a topic that somebody wants."""
        wanted = self._wanted.get(topic)
        return wanted.log if wanted is not None else None

    def want(self, topic: Topic) -> Want | None:
        """Return by whom a topic is wanted, None when by nobody."""
        wanted = self._wanted.get(topic)
        return wanted.want() if wanted is not None else None

    def __contains__(self, topic: Topic) -> bool:
        """Return whether somebody wants a topic."""
        return topic in self._wanted

    def note_closed(self, interest: Interest) -> None:
        """Count an interest that was closed no more."""
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
