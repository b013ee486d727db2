"""Decides what to subscribe at OpenD and what to let go. Pure: it does nothing itself.

The caller takes one action at a time, performs it and reports how it went::

    if planner.is_outdated(now):
        ...                                  # ask OpenD what is left of the quota; planner.told()
    while action := planner.next_action(now):
        ...                                  # ask OpenD
        planner.done(action, now)            # or planner.refused(action, reason, now)
    # then sleep until planner.next_time(now), or until demand changes

Times are seconds of any one clock that never goes back. What a topic costs of the account's quota
is for :mod:`bookcast.feeds.futu.quota` to say.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bookcast import backoff
from bookcast.feeds.futu import spare
from bookcast.feeds.futu.quota import Amount, Planned, Pools, Unit, in_words
from bookcast.feeds.futu.spare import Spare
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Topic

MAX_BATCH: Final = 100
"""Topics in one request."""

FIRST_RETRY: Final = 5.0
LAST_RETRY: Final = 120.0
"""A refused topic is tried again after this long, from the first to the last, with jitter."""

RELEASE_RETRY_SECONDS: Final = 5.0
"""An unsubscription that was refused, usually as too early, is tried again after this long."""

ESTIMATE_SECONDS: Final = 0.5
"""What is left to reads is told to all who wait for it as it was found this long ago at most."""


class Subscribe(NamedTuple):
    """Ask OpenD for these topics, which go into one request."""

    topics: tuple[Topic, ...]


class Unsubscribe(NamedTuple):
    """Unsubscribe from these topics, which go into one request."""

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
    """What is subscribed at OpenD.

    ``unwanted_since``: when the last subscriber left; None while there is one, the beginning of
    time where there was none. ``for_reads``: it is held, then, on account of reads.
    """

    since: float
    unwanted_since: float | None
    for_reads: bool


class SubscriptionPlanner:
    """Brings what is held at OpenD in line with what is wanted, within OpenD's rules.

    An unwanted topic is let go ``linger_seconds`` after it was last wanted, and no sooner than
    ``min_subscription_seconds`` after it was subscribed, since OpenD refuses earlier; wanted again
    meanwhile, it just stays. When a pool of the quota is full, lingering ones of that pool go
    first, longest unwanted first. What is wanted stays, except that ``pinned`` topics, which are
    always wanted, take the place of the newest that aren't. A unit that several topics share comes
    free only when all of them go.

    What reads alone want gets what is left over: see :mod:`bookcast.feeds.futu.spare`. Nobody goes
    for it, and it goes for whoever is wanted by a subscriber, after what nobody wants.

    Args:
        min_subscription_seconds: OpenD's rule.
        linger_seconds: a page that is loaded again within this finds its data flowing.
        pinned: topics that are subscribed whoever wants them, first of all.
        group: topics of one group go into one request.
        pools: the account's quota.
        random: 0 to 1, for jitter.
    """

    def __init__(
        self,
        min_subscription_seconds: float,
        *,
        linger_seconds: float = 0.0,
        pinned: Iterable[Topic] = (),
        group: Callable[[Topic], Hashable] = lambda topic: (topic.channel, topic.variant),
        pools: Pools | None = None,
        random: Callable[[], float] = lambda: 1.0,
    ) -> None:
        self._min_subscription_seconds = min_subscription_seconds
        self._linger_seconds = linger_seconds
        self._pinned = dict.fromkeys(pinned)
        self._group = group
        self._random = random
        # Pinned ones first, then in the order in which they came to be wanted.
        self._wanted: dict[Topic, None] = dict(self._pinned)
        # What reads alone want, in the order in which that began.
        self._read: dict[Topic, None] = {}
        self._held: dict[Topic, _Held] = {}
        self._refusals: dict[Topic, Refusal] = {}
        # A refused request is taken apart until the topic to blame stands alone.
        self._batch_limits: dict[Topic, int] = {}
        self._not_before: dict[Topic, float] = {}
        self._pools = pools or Pools()
        # When a pool may have room, for pinned topics and for others: kept until something changes.
        self._free_times: dict[tuple[QuotaPool, bool], float | None] = {}
        # What is left to reads, and when that was found: likewise, for a moment.
        self._left: tuple[float, Spare] | None = None

    @property
    def held(self) -> Collection[Topic]:
        """The topics subscribed at OpenD now."""
        return self._held.keys()

    def held_since(self, topic: Topic) -> float | None:
        """Return when a topic was subscribed; None when it isn't."""
        held = self._held.get(topic)
        return held.since if held is not None else None

    @property
    def wanted(self) -> Collection[Topic]:
        """The topics that somebody wants, reads alone want, or that are pinned."""
        return self._wanted.keys() | self._read.keys()

    def is_wanted(self, topic: Topic) -> bool:
        """Return whether a topic is among them."""
        return topic in self._wanted or topic in self._read

    @property
    def refusals(self) -> Mapping[Topic, Refusal]:
        """The topics that OpenD refused when it was last asked, and why."""
        return self._refusals

    def want(self, topic: Topic) -> None:
        """Somebody wants this topic."""
        self._forget_estimates()
        self._read.pop(topic, None)
        self._wanted.setdefault(topic)
        if held := self._held.get(topic):
            self._held[topic] = held._replace(unwanted_since=None, for_reads=False)

    def want_to_read(self, topic: Topic, now: float) -> None:
        """Reads alone want this topic; if somebody wanted it, they don't any more."""
        if topic in self._pinned or topic in self._read:
            return
        self.release(topic, now)
        self._read[topic] = None
        if held := self._held.get(topic):
            self._held[topic] = held._replace(for_reads=True)

    def release(self, topic: Topic, now: float) -> None:
        """Nobody wants this topic any more."""
        self._forget_estimates()
        if topic in self._pinned:
            return
        self._wanted.pop(topic, None)
        self._read.pop(topic, None)
        self._batch_limits.pop(topic, None)
        held = self._held.get(topic)
        if held is not None and held.unwanted_since is None:
            self._held[topic] = held._replace(unwanted_since=now)

    def told(
        self,
        amounts: Mapping[QuotaPool, Amount],
        others: Collection[Topic],
        now: float = -math.inf,
    ) -> None:
        """OpenD says what is used and left of the quota, and what other connections have."""
        self._forget_estimates()
        self._pools.told(amounts, others, now)

    def is_outdated(self, now: float) -> bool:
        """Return whether OpenD counts less than it told, and should be asked again."""
        return self._pools.is_outdated(now)

    def note_outdated(self, now: float) -> None:
        """OpenD has been asked again."""
        self._pools.note_outdated(now)

    @property
    def knows_quota(self) -> bool:
        """Whether OpenD has told on this connection how much of the quota is left."""
        return self._pools.known

    def has_room(self, action: Subscribe, now: float) -> bool:
        """Return whether, as far as OpenD told, the quota allows an action."""
        return self._pools.has_room(action.topics, now)

    def quota(self, topic: Topic, now: float) -> Quota | None:
        """Return the quota that a wanted topic waits for; None when it doesn't wait for one."""
        if topic not in self._wanted or topic in self._held or topic in self._refusals:
            return None
        lacking = self._pools.lacking(topic, now)
        if not lacking:
            return None
        doubted = self._pools.doubted_until(topic, now) is not None
        free_at = None if doubted else self._room_at(lacking, topic)
        wait = None if free_at is None else round(max(0.0, free_at - now) * 1000)
        return self._pools.quota(lacking[-1].pool, wait)

    def waits_to_be_read(self, topic: Topic, now: float) -> tuple[Quota, str] | None:
        """Return the quota that a topic waits for which reads alone want, and that in words."""
        if topic not in self._read or topic in self._held or topic in self._refusals:
            return None
        if lacking := self._pools.lacking(topic, now):
            quota = self._pools.quota(lacking[-1].pool, None)
            return quota, in_words(quota)
        if self._left is None or self._left[0] < now - ESTIMATE_SECONDS:
            _, waiting, _ = self._fitting(self._missing(self._wanted, now), now)
            self._left = now, self._spare(waiting, now)
        left = self._left[1]
        if pools := left.lacking(topic):
            quota = left.quota(pools[-1])
            return quota, spare.in_words(quota)
        return None

    def next_action(self, now: float) -> Action | None:
        """Return what to do now, None while nothing is due.

        Unsubscribing comes first, because it may free the quota that subscribing needs.
        """
        fitting, waiting, planned = self._fitting(self._missing(self._wanted, now), now)
        left = self._spare(waiting, now)
        leaving = [
            topic
            for topic, held in self._held.items()
            if held.unwanted_since is not None
            and (topic not in self._read or topic in left.over)
            and self._leaves_at(topic, held) <= now
        ]
        readable = [] if fitting else self._readable(left, planned, now)
        if waiting:
            room = self._making_room(waiting, planned, now)
            leaving += [topic for topic in room if topic not in leaving]
        leaving = [topic for topic in leaving if self._not_before.get(topic, now) <= now]
        if leaving:
            return Unsubscribe(self._batch(leaving))
        wanted = fitting or readable
        return Subscribe(self._batch(wanted)) if wanted else None

    def next_time(self, now: float) -> float | None:
        """Return when something is next due if demand stays as it is; None: never.

        It is right after :meth:`next_action` has returned None.
        """
        _, waiting, _ = self._fitting(self._missing(self._wanted, now), now)
        left = self._spare(waiting, now)
        due = [
            max(self._leaves_at(topic, held), self._not_before.get(topic, 0.0))
            for topic, held in self._held.items()
            if held.unwanted_since is not None
            # What subscribers leave to reads may be more than those may have, once it has lingered.
            and (topic not in self._read or topic in left.over or self._lingers(held, now))
        ]
        due += [
            refusal.retry_at
            for topic, refusal in self._refusals.items()
            if self.is_wanted(topic) and refusal.retry_at is not None
        ]
        if to_read := self._missing(self._read, now):
            doubted = (self._pools.doubted_until(topic, now) for topic in to_read)
            due += [at for at in doubted if at is not None]
            due += self._pools.outdated_at
        if waiting:
            for topic, lacking in waiting.items():
                free_at = self._pools.doubted_until(topic, now) or self._room_at(lacking, topic)
                due += [free_at] if free_at is not None else []
            due += self._pools.outdated_at
        return min(due, default=None)

    def done(self, action: Action, now: float) -> None:
        """OpenD has done what the action asked."""
        self._forget_estimates()
        for topic in action.topics:
            if isinstance(action, Subscribe):
                self._pools.hold(topic, now)
                # Counted from the answer, thus never earlier than OpenD counts.
                self._held[topic] = self._held_from(topic, now)
                self._refusals.pop(topic, None)
                self._batch_limits.pop(topic, None)
            else:
                self._pools.drop(topic)
                self._held.pop(topic, None)
            self._not_before.pop(topic, None)

    def refused(self, action: Action, reason: str, now: float) -> Topic | None:
        """OpenD has refused the action, and nothing of it was done.

        Returns:
            The topic, if it is now known that OpenD won't give it for the time being.
        """
        self._forget_estimates()
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

    def retry_refused(self, now: float) -> None:
        """The account's rights have changed: what was refused may be granted now."""
        for topic, refusal in self._refusals.items():
            if refusal.retry_at is not None:
                self._refusals[topic] = refusal._replace(retry_at=min(refusal.retry_at, now))

    def out_of_quota(self, action: Subscribe, now: float = -math.inf) -> None:
        """OpenD has refused the action because the quota doesn't allow it after all."""
        self._forget_estimates()
        self._pools.run_out(action.topics, now)
        for topic in action.topics:
            self._batch_limits[topic] = max(1, len(action.topics) // 2)

    def confirm(self, actual: Collection[Topic], promised: Collection[Topic]) -> list[Topic]:
        """Compare what OpenD says is subscribed with what it had promised, and give what it lost.

        The lost are no longer held, so they are asked for again if still wanted.
        """
        self._forget_estimates()
        lost = [topic for topic in self._held if topic in promised and topic not in actual]
        for topic in lost:
            del self._held[topic]
            self._pools.lose(topic)
        return lost

    def disconnected(self, now: float) -> None:
        """Nothing is held any more, and whatever was refused may be granted next time."""
        self._forget_estimates()
        self._pools.disconnected({topic: self._releasable_at(topic) for topic in self._held})
        self.note_outdated(now)
        self._held.clear()
        self._not_before.clear()
        self._batch_limits.clear()
        for topic in self._refusals:
            self._batch_limits[topic] = 1  # it spoils no other's request
        self._refusals.clear()

    def _forget_estimates(self) -> None:
        """Forget what doesn't hold any more: something changes."""
        self._free_times.clear()
        self._left = None

    def _held_from(self, topic: Topic, now: float) -> _Held:
        if topic in self._wanted:
            return _Held(now, None, for_reads=False)
        # What was released meanwhile lingers.
        return _Held(now, -math.inf if topic in self._read else now, for_reads=True)

    def _spare(self, needed: Iterable[Topic], now: float) -> Spare:
        """Return what is left to reads: of what subscribers need, nothing."""
        held = [topic for topic, one in self._held.items() if self._is_spare(one, now)]
        held.sort(key=lambda topic: topic not in self._read)  # what is read keeps its place
        return Spare(self._pools, dict.fromkeys(held), needed, now)

    def _is_spare(self, held: _Held, now: float) -> bool:
        """Return whether something is held on account of reads alone."""
        return held.for_reads and held.unwanted_since is not None and not self._lingers(held, now)

    def _lingers(self, held: _Held, now: float) -> bool:
        """Return whether something is kept because a subscriber has just left it."""
        return held.unwanted_since is not None and held.unwanted_since + self._linger_seconds > now

    def _readable(self, left: Spare, planned: Planned, now: float) -> list[Topic]:
        """Return what may be subscribed because reads want it."""
        readable = []
        for topic in self._missing(self._read, now):
            if not self._pools.lacking(topic, now, planned) and not left.lacking(topic):
                left.take(topic)
                self._pools.plan(topic, now, planned)
                readable.append(topic)
        return readable

    def _missing(self, wanted: Collection[Topic], now: float) -> list[Topic]:
        """Return what of the wanted is neither held nor refused for now, in its order."""
        # A refusal outlives its demand until it is due, so that a client which asks for a bad
        # code again and again doesn't have OpenD asked as often.
        for topic, refusal in list(self._refusals.items()):
            if refusal.retry_at is not None and refusal.retry_at <= now:
                if self.is_wanted(topic):
                    # Still refused for whoever asks, until OpenD says otherwise.
                    self._refusals[topic] = refusal._replace(retry_at=None)
                    self._batch_limits[topic] = 1
                else:
                    del self._refusals[topic]
        return [
            topic
            for topic in wanted
            if topic not in self._held
            and (topic not in self._refusals or self._refusals[topic].retry_at is None)
        ]

    def _fitting(
        self, missing: list[Topic], now: float
    ) -> tuple[list[Topic], dict[Topic, list[Unit]], Planned]:
        """Divide topics into those the quota has room for and those that have to wait for it.

        Returns:
            The fitting topics; the waiting ones with the units that they lack; the units that the
            fitting ones take.
        """
        fitting: list[Topic] = []
        waiting: dict[Topic, list[Unit]] = {}
        planned = Planned()
        for topic in missing:
            if lacking := self._pools.lacking(topic, now, planned):
                waiting[topic] = lacking
            else:
                fitting.append(topic)
                self._pools.plan(topic, now, planned)
        return fitting, waiting, planned

    def _making_room(
        self, waiting: Collection[Topic], planned: Planned, now: float
    ) -> dict[Topic, None]:
        """Return the topics that have to go now so that waiting ones may come.

        A topic that lacks units of two pools makes nobody go until it can have both.
        """
        going: dict[Topic, None] = {}
        if self.is_outdated(now):
            return going  # there may be room
        queues: dict[tuple[QuotaPool, bool], deque[Collection[Topic]]] = {}
        for topic in waiting:
            if self._pools.doubted_until(topic, now) is not None:
                continue
            pinned = topic in self._pinned
            chosen: dict[Topic, None] = {}
            # The smaller pool first: what goes for it frees a unit of the other one, too.
            for unit in reversed(self._pools.lacking(topic, now, planned)):
                if any(freed.pool == unit.pool for freed in self._pools.freed(chosen, going)):
                    continue
                if (unit.pool, pinned) not in queues:
                    queues[unit.pool, pinned] = self._queue(unit.pool, now, pinned=pinned)
                queue = queues[unit.pool, pinned]
                while queue and all(one in going for one in queue[0]):
                    queue.popleft()
                if not queue:
                    break
                chosen |= dict.fromkeys(queue[0])
            else:
                for freed in self._pools.freed(chosen, going):
                    planned.free(freed)
                going |= chosen
                self._pools.plan(topic, now, planned)
        return going

    def _queue(self, pool: QuotaPool, now: float, *, pinned: bool) -> deque[Collection[Topic]]:
        """Return what may go now for a waiting topic of a pool, topics that share a unit together.

        Who goes first: the longest unwanted, then what is read, then, for a pinned topic, the
        newest wanted.
        """
        order = {topic: -number for number, topic in enumerate(self._wanted)} if pinned else {}

        def rank(topics: Collection[Topic]) -> tuple[int, float]:
            times = [self._held[topic].unwanted_since for topic in topics]
            if None in times:
                return 2, min(order.get(topic, 0) for topic in topics)
            read = any(topic in self._read for topic in topics)
            return int(read), max(time for time in times if time is not None)

        groups = [
            topics
            for topics in self._leavers(pool, pinned=pinned)
            if all(self._may_go_at(topic) <= now for topic in topics)
        ]
        return deque(sorted(groups, key=rank))

    def _leavers(self, pool: QuotaPool, *, pinned: bool) -> Iterator[Collection[Topic]]:
        """Yield what may go some time: unwanted topics, and for a pinned one those not pinned."""
        for topics in self._pools.groups(pool):
            if all(self._held[topic].unwanted_since is not None for topic in topics) or (
                pinned and self._pinned.keys().isdisjoint(topics)
            ):
                yield topics

    def _room_at(self, lacking: list[Unit], topic: Topic) -> float | None:
        """Return when room may be made for a waiting topic; None when nothing may go for it."""
        latest = -math.inf
        for unit in lacking:
            at = self._free_at(unit.pool, pinned=topic in self._pinned)
            if at is None:
                return None
            latest = max(latest, at)
        return latest

    def _free_at(self, pool: QuotaPool, *, pinned: bool) -> float | None:
        """Return when something of a pool may go; None for never."""
        if (pool, pinned) not in self._free_times:
            times = (
                max(self._may_go_at(topic) for topic in topics)
                for topics in self._leavers(pool, pinned=pinned)
            )
            self._free_times[pool, pinned] = min(times, default=None)
        return self._free_times[pool, pinned]

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
