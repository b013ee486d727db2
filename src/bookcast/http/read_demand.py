"""Which topics reads over HTTP want from the feed, besides those of subscribers; for how long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bookcast.engine.base import Engine, Notice
from bookcast.engine.interests import Interest
from bookcast.errors import InvalidInput
from bookcast.limits import RETRY_SECONDS, Seats
from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update

MAX_TOPICS_EACH: Final = 20
"""One reader's reads keep at most this many topics wanted that have no subscriber."""

MAX_TOPICS: Final = 1000
"""All reads together keep at most this many topics wanted that have no subscriber."""

MAX_PAIRS: Final = 50_000
"""At most this many pairs of reader and topic are remembered; the oldest are dropped early."""

MAX_WAITING: Final = 500
MAX_WAITING_EACH: Final = 20
"""At most this many reads wait, of all readers and of one; others are answered at once."""

TURN_SECONDS: Final = 0.25
"""How often a waiting read checks whether it still has to wait. A check takes a fifth of a
millisecond, and hundreds of reads may wait."""


class _Held:
    """A topic that was read lately. ``news`` is set when an update has come since."""

    __slots__ = ("interest", "known", "news", "readers")

    def __init__(self, known: Position | None, interest: Interest) -> None:
        self.known = known
        self.interest = interest
        self.news = asyncio.Event()
        self.readers = 0

    def hear(self, update: Update) -> None:
        """Note an update, unless it was known before the first read."""
        place, known = update.position, self.known
        if known is None or (
            place.seq > known.seq if place.epoch == known.epoch else not known.is_past(place)
        ):
            self.news.set()


class ReadInterests:
    """Keeps topics wanted that were read lately. Topics with subscribers don't count as read.

    Args:
        engine: opens the topics.
        linger_seconds: how long a topic stays wanted after a read.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        linger_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._held: dict[Topic, _Held] = {}
        # When each reader's interest in a topic ends; the soonest first.
        self._pairs: dict[tuple[str, Topic], float] = {}
        self._topics_of: dict[str, set[Topic]] = {}
        self._waiting = Seats(MAX_WAITING_EACH)
        self._waiting_count = 0
        self._closed = False

    def tap(self, notice: Notice) -> Notice:
        """Wrap the hub's notice function, so that reads that wait for a topic are notified too."""
        held = self._held

        def notice_and_tell(log: TopicLog) -> None:
            if held and log.newest is not None and (one := held.get(log.topic)) is not None:
                one.hear(log.newest)
            notice(log)

        return notice_and_tell

    def read(self, topic: Topic, who: str, known: Position | None) -> None:
        """Want a topic for a reader from now on. ``known``: its newest position before that.

        Raises:
            InvalidInput: this reader, or all readers together, read too many topics already.
        """
        pair = who, topic
        if self._pairs.pop(pair, None) is None:
            self._check_room(topic, who)
            self._add(topic, who, known)
        self._pairs[pair] = self._clock() + self._linger_seconds

    def holds(self, topic: Topic) -> bool:
        """Return whether subscribers or reads of this node want a topic."""
        return self._engine.want(topic) is not None

    def has_news(self, topic: Topic) -> bool:
        """Return whether the known data of a read topic came while it was wanted."""
        held = self._held.get(topic)
        return held is not None and (self._is_subscribed(topic) or held.news.is_set())

    async def wait(
        self, topic: Topic, who: str, seconds: float, is_vain: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Wait for the first update of a read topic, unless too many reads wait already.

        ``is_vain`` returns whether waiting has become useless.

        Returns:
            Whether an update came.
        """
        held = self._held.get(topic)
        if held is None or self._waiting_count >= MAX_WAITING or not self._waiting.take(who):
            return False
        self._waiting_count += 1
        held.readers += 1  # the topic stays wanted during the wait, even if its linger time ends
        until = self._clock() + seconds
        try:
            while not (held.news.is_set() or self._closed or await is_vain()):
                left = until - self._clock()
                if left <= 0:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(left, TURN_SECONDS)):
                        await held.news.wait()
            return held.news.is_set()
        finally:
            self._waiting_count -= 1
            self._waiting.leave(who)
            self._leave(topic)

    def check(self) -> None:
        """End the interest in topics whose linger time is over. Call it regularly."""
        now = self._clock()
        while self._pairs:
            pair = next(iter(self._pairs))
            if self._pairs[pair] > now:
                return
            self._remove(pair)

    def close(self) -> None:
        """End all waits: the server ends."""
        self._closed = True

    def _check_room(self, topic: Topic, who: str) -> None:
        """Refuse a topic if the reader, or all readers together, read too many.

        Raises:
            InvalidInput: there is no room.
        """
        if self._is_subscribed(topic):
            return
        own = [one for one in self._topics_of.get(who, ()) if not self._is_subscribed(one)]
        if len(own) >= MAX_TOPICS_EACH:
            soonest = min(self._pairs[who, one] for one in own)
            raise InvalidInput(
                "too_many_reads",
                f"You read {MAX_TOPICS_EACH} topics already that nobody is subscribed to; one is "
                f"free {self._linger_seconds:g} s after it was read last. For more, subscribe",
                retry_after=max(1.0, soonest - self._clock()),
                reason="reads_of_one",
            )
        if topic not in self._held and self._unsubscribed_count() >= MAX_TOPICS:
            raise InvalidInput(
                "too_many_reads",
                f"{MAX_TOPICS} topics are read already that nobody is subscribed to",
                retry_after=RETRY_SECONDS,
                reason="reads_of_all",
            )

    def _add(self, topic: Topic, who: str, known: Position | None) -> None:
        while len(self._pairs) >= MAX_PAIRS:
            self._remove(next(iter(self._pairs)))
        held = self._held.get(topic)
        if held is None:
            held = self._held[topic] = _Held(known, self._engine.open_now(topic, reads=True))
        held.readers += 1
        self._topics_of.setdefault(who, set()).add(topic)

    def _remove(self, pair: tuple[str, Topic]) -> None:
        who, topic = pair
        del self._pairs[pair]
        topics = self._topics_of[who]
        topics.discard(topic)
        if not topics:
            del self._topics_of[who]
        self._leave(topic)

    def _leave(self, topic: Topic) -> None:
        held = self._held[topic]
        held.readers -= 1
        if not held.readers:
            del self._held[topic]
            held.interest.close()

    def _is_subscribed(self, topic: Topic) -> bool:
        return self._engine.want(topic) == "subscribed"

    def _unsubscribed_count(self) -> int:
        if len(self._held) < MAX_TOPICS:
            return 0  # there can't be too many, with or without subscribers
        return sum(not self._is_subscribed(topic) for topic in self._held)
