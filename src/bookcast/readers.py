"""What reads over HTTP want of the feed, beside what subscribers want, and for how long."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bookcast.engine.base import Deliver, Engine
from bookcast.errors import InvalidInput
from bookcast.limits import RETRY_SECONDS, Seats
from bookcast.model import Position, Topic, Update

MAX_TOPICS_EACH: Final = 20
"""So many topics may somebody's reads hold that nobody is subscribed to."""

MAX_TOPICS: Final = 1000
"""So many may all reads hold together."""

MAX_PAIRS: Final = 50_000
"""Of so many readers and topics it is known who reads what; past that, the longest ago go early."""

MAX_WAITING: Final = 500
MAX_WAITING_EACH: Final = 20
"""So many reads may wait, of all and of one; others are answered at once."""

TURN_SECONDS: Final = 0.25
"""How often somebody who waits looks for a reason not to. A look takes a fifth of a millisecond,
and hundreds may wait."""


class _Held:
    """A topic that somebody has read lately. ``news`` is set once something came of it since."""

    __slots__ = ("known", "news", "readers")

    def __init__(self, known: Position | None) -> None:
        self.known = known
        self.news = asyncio.Event()
        self.readers = 0

    def hear(self, update: Update) -> None:
        """Take note of an update, unless it was known before anybody read."""
        place, known = update.position, self.known
        if known is None or (
            place.seq > known.seq if place.epoch == known.epoch else not known.is_past(place)
        ):
            self.news.set()


class Readers:
    """Stands between the hub and the engine, and adds what was read lately to what is subscribed.

    A topic that both want is the subscribers'.

    Args:
        engine: is asked for topics.
        linger_seconds: how long a topic is wanted after it was read.
        clock: monotonic seconds.
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
        self._subscribed: set[Topic] = set()
        self._held: dict[Topic, _Held] = {}
        # Who reads what, and until when that counts: the soonest first.
        self._pairs: dict[tuple[str, Topic], float] = {}
        self._topics_of: dict[str, set[Topic]] = {}
        self._waiting = Seats(MAX_WAITING_EACH)
        self._waiting_count = 0
        self._closed = False

    # From the hub, and to it

    def want(self, topic: Topic) -> None:
        """Somebody is subscribed to a topic: it is theirs, whoever reads it."""
        self._subscribed.add(topic)
        self._engine.want(topic)

    def release(self, topic: Topic) -> None:
        """Nobody is subscribed any more; perhaps it is still read."""
        self._subscribed.discard(topic)
        if topic in self._held:
            self._engine.want_to_read(topic)
        else:
            self._engine.release(topic)

    def tap(self, deliver: Deliver) -> Deliver:
        """Return a way to deliver that those hear of who wait for a topic."""
        held = self._held

        def deliver_and_tell(update: Update) -> None:
            if held and (one := held.get(update.topic)) is not None:
                one.hear(update)
            deliver(update)

        return deliver_and_tell

    # From reads

    def read(self, topic: Topic, who: str, known: Position | None) -> None:
        """Somebody reads a topic, which is wanted from now on. ``known``: where it stands.

        Raises:
            InvalidInput: when they read enough topics already, or all together do.
        """
        pair = who, topic
        if self._pairs.pop(pair, None) is None:
            self._check_room(topic, who)
            self._add(topic, who, known)
        self._pairs[pair] = self._clock() + self._linger_seconds

    def holds(self, topic: Topic) -> bool:
        """Return whether a topic is wanted here, by subscribers or by reads."""
        return topic in self._subscribed or topic in self._held

    def has_news(self, topic: Topic) -> bool:
        """Return whether what is known of a topic that is read came while it was wanted."""
        held = self._held.get(topic)
        return held is not None and (topic in self._subscribed or held.news.is_set())

    async def wait(
        self, topic: Topic, who: str, seconds: float, is_vain: Callable[[], Awaitable[bool]]
    ) -> bool:
        """Wait for the first update of a topic that is read, unless too many wait already.

        ``is_vain`` tells that there is no use in it any more.

        Returns:
            Whether it came.
        """
        held = self._held.get(topic)
        if held is None or self._waiting_count >= MAX_WAITING or not self._waiting.take(who):
            return False
        self._waiting_count += 1
        held.readers += 1  # it is wanted meanwhile, however short it lingers
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
        """What was read too long ago is wanted no more; call it regularly."""
        now = self._clock()
        while self._pairs:
            pair = next(iter(self._pairs))
            if self._pairs[pair] > now:
                return
            self._remove(pair)

    def close(self) -> None:
        """Nobody waits any more: the server ends."""
        self._closed = True

    def _check_room(self, topic: Topic, who: str) -> None:
        """Refuse one topic too many.

        Raises:
            InvalidInput: when it is.
        """
        if topic in self._subscribed:
            return
        own = [one for one in self._topics_of.get(who, ()) if one not in self._subscribed]
        if len(own) >= MAX_TOPICS_EACH:
            soonest = min(self._pairs[who, one] for one in own)
            raise InvalidInput(
                "too_many_reads",
                f"You read {MAX_TOPICS_EACH} topics already that nobody is subscribed to; one is "
                f"free {self._linger_seconds:g} s after it was read last. For more, subscribe",
                retry_after=max(1.0, soonest - self._clock()),
                reason="reads_of_one",
            )
        if topic not in self._held and len(self._held.keys() - self._subscribed) >= MAX_TOPICS:
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
            held = self._held[topic] = _Held(known)
            if topic not in self._subscribed:
                self._engine.want_to_read(topic)
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
            if topic not in self._subscribed:
                self._engine.release(topic)
