"""Decides what to subscribe at OpenD and what to let go. Pure: it does nothing itself.

The caller takes one action at a time, performs it and reports how it went::

    if planner.is_outdated(now):
        ...                                  # ask OpenD what is left of the quota; planner.told()
    while action := planner.next_action(now):
        ...                                  # ask OpenD
        planner.done(action, now)            # or planner.refused(action, reason, now)
    # then sleep until planner.next_time(now), or until demand changes

Times are seconds of any one clock that never goes back. A topic costs one unit of the account's
quota, unless some connection of the account has it already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Final, NamedTuple

from bookcast import backoff
from bookcast.model import Quota, Topic

MAX_BATCH: Final = 100
"""Topics in one request."""

FIRST_RETRY: Final = 5.0
LAST_RETRY: Final = 120.0
"""A refused topic is tried again after this long, from the first to the last, with jitter."""

RELEASE_RETRY_SECONDS: Final = 5.0
"""An unsubscription that was refused, usually as too early, is tried again after this long."""


class Subscribe(NamedTuple):
    """Ask OpenD for these topics, which go into one request."""

    topics: tuple[Topic, ...]


class Unsubscribe(NamedTuple):
    """Tell OpenD that these topics, which go into one request, are no longer needed."""

    topics: tuple[Topic, ...]


Action = Subscribe | Unsubscribe


class Refusal(NamedTuple):
    """Why OpenD won't give a topic, in its own words, how often it said so, and when to ask again.

    ``retry_at``: None while the topic's turn to be asked for again has come.
    """

    reason: str
    times: int
    retry_at: float | None


class _Held(NamedTuple):
    since: float
    unwanted_since: float | None


class SubscriptionPlanner:
    """Brings what is held at OpenD in line with what is wanted, within OpenD's rules.

    An unwanted topic is let go ``linger_seconds`` after it was last wanted, and no sooner than
    ``min_subscription_seconds`` after it was subscribed, since OpenD refuses earlier; wanted again
    meanwhile, it just stays. When the quota is full, lingering ones go first, longest unwanted
    first. What is wanted stays, except that ``pinned`` topics, which are always wanted, take the
    place of the newest that aren't.

    Args:
        min_subscription_seconds: OpenD's rule.
        linger_seconds: a page that is loaded again within this finds its data flowing.
        pinned: topics that are subscribed whoever wants them, first of all.
        group: topics of one group go into one request.
        random: 0 to 1, for jitter.
    """

    def __init__(
        self,
        min_subscription_seconds: float,
        *,
        linger_seconds: float = 0.0,
        pinned: Iterable[Topic] = (),
        group: Callable[[Topic], Hashable] = lambda topic: (topic.channel, topic.variant),
        random: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._min_subscription_seconds = min_subscription_seconds
        self._linger_seconds = linger_seconds
        self._pinned = dict.fromkeys(pinned)
        self._group = group
        self._random = random
        # Pinned ones first, then in the order in which they came to be wanted.
        self._wanted: dict[Topic, None] = dict(self._pinned)
        self._held: dict[Topic, _Held] = {}
        self._refusals: dict[Topic, Refusal] = {}
        # A refused request is taken apart until the topic to blame stands alone.
        self._batch_limits: dict[Topic, int] = {}
        self._not_before: dict[Topic, float] = {}
        self._room: int | None = None
        self._limit = 0
        # What other connections of the account have: it costs nothing, and frees nothing.
        self._others: frozenset[Topic] = frozenset()
        # When room may be made, for pinned topics and for others: kept until something changes.
        self._free_times: dict[bool, float | None] = {}
        # What the last connection had: OpenD goes on counting it for a while.
        self._counted_until: dict[Topic, float] = {}

    @property
    def held(self) -> Collection[Topic]:
        """The topics subscribed at OpenD now."""
        return self._held.keys()

    @property
    def wanted(self) -> Collection[Topic]:
        """The topics that somebody wants, and the pinned ones."""
        return self._wanted.keys()

    @property
    def refusals(self) -> Mapping[Topic, Refusal]:
        """The topics that OpenD refused when it was last asked, and why."""
        return self._refusals

    def want(self, topic: Topic) -> None:
        """Somebody wants this topic."""
        self._free_times.clear()
        self._wanted.setdefault(topic)
        if held := self._held.get(topic):
            self._held[topic] = held._replace(unwanted_since=None)

    def release(self, topic: Topic, now: float) -> None:
        """Nobody wants this topic any more."""
        self._free_times.clear()
        if topic in self._pinned:
            return
        self._wanted.pop(topic, None)
        self._batch_limits.pop(topic, None)
        held = self._held.get(topic)
        if held is not None and held.unwanted_since is None:
            self._held[topic] = held._replace(unwanted_since=now)

    def told(
        self, used: int, remaining: int, others: Collection[Topic], now: float = -math.inf
    ) -> None:
        """OpenD says how much of the quota is used and left, and what other connections have."""
        self.note_outdated(now)
        self._free_times.clear()
        self._room = max(0, remaining)
        self._limit = used + remaining
        self._others = frozenset(others)

    def is_outdated(self, now: float) -> bool:
        """Tell whether OpenD counts less than it told, and should be asked again."""
        return any(at <= now for at in self._counted_until.values())

    def note_outdated(self, now: float) -> None:
        """OpenD has been asked again."""
        self._counted_until = {t: at for t, at in self._counted_until.items() if at > now}

    @property
    def knows_quota(self) -> bool:
        """Whether OpenD has told on this connection how much of the quota is left."""
        return self._room is not None

    def has_room(self, action: Subscribe, now: float) -> bool:
        """Tell whether, as far as OpenD told, the quota allows an action."""
        cost = sum(not self._is_free(topic, now) for topic in action.topics)
        return self._room is None or cost <= self._room

    def quota(self, topic: Topic, now: float) -> Quota | None:
        """Give the quota that a wanted topic waits for; None when it doesn't wait for one."""
        if (
            self._room is None
            or topic not in self._wanted
            or topic in self._held
            or topic in self._refusals
            or self._fits(topic, 0, now)
        ):
            return None
        free_at = self._free_at(pinned=topic in self._pinned)
        wait = None if free_at is None else round(max(0.0, free_at - now) * 1000)
        return Quota(self._limit - self._room, self._limit, wait)

    def next_action(self, now: float) -> Action | None:
        """Give what to do now, or None while nothing is due.

        Letting go comes first, because that may free the quota which subscribing needs.
        """
        missing = self._missing(now)
        fitting, waiting = self._fitting(missing, now)
        leaving = [
            topic
            for topic, held in self._held.items()
            if held.unwanted_since is not None and self._leaves_at(topic, held) <= now
        ]
        if waiting:
            leaving += [t for t in self._making_room(waiting, now) if t not in leaving]
        leaving = [topic for topic in leaving if self._not_before.get(topic, now) <= now]
        if leaving:
            return Unsubscribe(self._batch(leaving))
        return Subscribe(self._batch(fitting)) if fitting else None

    def next_time(self, now: float) -> float | None:
        """Tell when something is next due if demand stays as it is; None for never.

        Holds after :meth:`next_action` gave None.
        """
        due = [
            max(self._leaves_at(topic, held), self._not_before.get(topic, 0.0))
            for topic, held in self._held.items()
            if held.unwanted_since is not None
        ]
        due += [
            refusal.retry_at
            for topic, refusal in self._refusals.items()
            if topic in self._wanted and refusal.retry_at is not None
        ]
        _, waiting = self._fitting(self._missing(now), now)
        if waiting:
            free_at = self._free_at(pinned=not self._pinned.keys().isdisjoint(waiting))
            due += [free_at] if free_at is not None else []
            due += self._counted_until.values()
        return min(due, default=None)

    def done(self, action: Action, now: float) -> None:
        """OpenD has done what the action asked."""
        self._free_times.clear()
        for topic in action.topics:
            if isinstance(action, Subscribe):
                if self._room and not self._is_free(topic, now):
                    self._room -= 1
                # Counted from the answer, thus never earlier than OpenD counts.
                self._held[topic] = _Held(now, None if topic in self._wanted else now)
                self._refusals.pop(topic, None)
                self._batch_limits.pop(topic, None)
            else:
                # OpenD will tell; until then this is the best guess.
                if self._room is not None and topic not in self._others:
                    self._room += 1
                self._held.pop(topic, None)
            self._not_before.pop(topic, None)

    def refused(self, action: Action, reason: str, now: float) -> Topic | None:
        """OpenD has refused the action, and nothing of it was done.

        Returns:
            The topic, if it is now known that OpenD won't give it for the time being.
        """
        self._free_times.clear()
        if isinstance(action, Unsubscribe):
            for topic in action.topics:
                self._not_before[topic] = now + RELEASE_RETRY_SECONDS
            return None
        if len(action.topics) > 1:
            for topic in action.topics:
                self._batch_limits[topic] = len(action.topics) // 2
            return None
        [topic] = action.topics
        before = self._refusals.get(topic)
        count = before.times + 1 if before is not None else 1
        wait = backoff.delay(count, self._random(), first=FIRST_RETRY, most=LAST_RETRY)
        self._refusals[topic] = Refusal(reason, count, now + wait)
        return topic

    def out_of_quota(self, action: Subscribe) -> None:
        """OpenD has refused the action because the quota doesn't allow it after all."""
        self._room = min(self._room or 0, len(action.topics) - 1)
        if len(action.topics) == 1:
            self._others = self._others.difference(action.topics)
            self._counted_until.pop(action.topics[0], None)
        for topic in action.topics:
            self._batch_limits[topic] = max(1, len(action.topics) // 2)

    def confirm(self, actual: Collection[Topic], promised: Collection[Topic]) -> list[Topic]:
        """Compare what OpenD says is subscribed with what it had promised, and give what it lost.

        The lost are no longer held, so they are asked for again if still wanted.
        """
        self._free_times.clear()
        lost = [topic for topic in self._held if topic in promised and topic not in actual]
        for topic in lost:
            del self._held[topic]
        return lost

    def disconnected(self, now: float) -> None:
        """Nothing is held any more, and whatever was refused may be granted next time."""
        self._free_times.clear()
        for topic in self._held:
            self._counted_until[topic] = self._releasable_at(topic)
        self.note_outdated(now)
        self._held.clear()
        self._not_before.clear()
        self._batch_limits.clear()
        for topic in self._refusals:
            self._batch_limits[topic] = 1  # it spoils no other's request
        self._refusals.clear()
        self._room = None
        self._others = frozenset()

    def _missing(self, now: float) -> list[Topic]:
        """Give what is wanted and neither held nor refused for now, pinned topics first."""
        # A refusal outlives its demand until it is due, so that a client which asks for a bad
        # code again and again doesn't have OpenD asked as often.
        for topic, refusal in list(self._refusals.items()):
            if refusal.retry_at is not None and refusal.retry_at <= now:
                if topic in self._wanted:
                    # Still refused for whoever asks, until OpenD says otherwise.
                    self._refusals[topic] = refusal._replace(retry_at=None)
                    self._batch_limits[topic] = 1
                else:
                    del self._refusals[topic]
        return [
            topic
            for topic in self._wanted
            if topic not in self._held
            and (topic not in self._refusals or self._refusals[topic].retry_at is None)
        ]

    def _is_free(self, topic: Topic, now: float) -> bool:
        return topic in self._others or self._counted_until.get(topic, now) > now

    def _fits(self, topic: Topic, taken: int, now: float) -> bool:
        return self._room is None or self._room > taken or self._is_free(topic, now)

    def _fitting(self, missing: list[Topic], now: float) -> tuple[list[Topic], list[Topic]]:
        """Divide topics into those the quota has room for and those that have to wait for it."""
        fitting: list[Topic] = []
        waiting: list[Topic] = []
        taken = 0
        for topic in missing:
            if self._fits(topic, taken, now):
                fitting.append(topic)
                taken += not self._is_free(topic, now)
            else:
                waiting.append(topic)
        return fitting, waiting

    def _unwanted(self) -> list[Topic]:
        """Give the held topics that may go for any waiting one, the first to go first."""
        unwanted = [
            topic
            for topic, held in self._held.items()
            if held.unwanted_since is not None and topic not in self._others
        ]
        return sorted(unwanted, key=lambda topic: self._held[topic].unwanted_since or 0.0)

    def _lesser(self) -> list[Topic]:
        """Give those that may go for a pinned one alone: the newest wanted first."""
        return [
            topic
            for topic in reversed(self._wanted)
            if topic in self._held and topic not in self._pinned and topic not in self._others
        ]

    def _making_room(self, waiting: list[Topic], now: float) -> list[Topic]:
        """Give the topics that have to go now so that waiting ones may come."""
        if self.is_outdated(now):
            return []  # there may be room
        going = [t for t in self._unwanted() if self._may_go_at(t) <= now][: len(waiting)]
        pinned = sum(topic in self._pinned for topic in waiting)
        if pinned > len(going):
            lesser = [t for t in self._lesser() if self._may_go_at(t) <= now]
            going += lesser[: pinned - len(going)]
        return going

    def _free_at(self, *, pinned: bool) -> float | None:
        """Tell when room may be made for a waiting topic; None when nothing may go for it."""
        if pinned not in self._free_times:
            topics = self._unwanted() + (self._lesser() if pinned else [])
            times = (self._may_go_at(topic) for topic in topics)
            self._free_times[pinned] = min(times, default=None)
        return self._free_times[pinned]

    def _may_go_at(self, topic: Topic) -> float:
        return max(self._releasable_at(topic), self._not_before.get(topic, 0.0))

    def _releasable_at(self, topic: Topic) -> float:
        return self._held[topic].since + self._min_subscription_seconds

    def _leaves_at(self, topic: Topic, held: _Held) -> float:
        return max(self._releasable_at(topic), (held.unwanted_since or 0.0) + self._linger_seconds)

    def _batch(self, topics: list[Topic]) -> tuple[Topic, ...]:
        """Take from the beginning what goes into one request."""
        group = self._group(topics[0])
        limit = self._batch_limits.get(topics[0], MAX_BATCH)
        together = [
            topic
            for topic in topics
            if self._group(topic) == group and self._batch_limits.get(topic, MAX_BATCH) == limit
        ]
        return tuple(together[:limit])
