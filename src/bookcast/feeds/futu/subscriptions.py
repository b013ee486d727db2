"""Plans subscriptions and unsubscriptions at OpenD. Does no I/O.

The caller takes one action at a time, performs it and reports the result::

    if planner.is_outdated(now):
        ...                                  # ask OpenD for the quota; planner.told()
    while action := planner.next_action(now):
        ...                                  # ask OpenD
        planner.done(action, now)            # or planner.refused(action, reason, now)
    # then sleep until planner.next_time(now), or until demand changes

Times are seconds of a monotonic clock. :mod:`bookcast.feeds.futu.quota` knows the cost of a topic.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from bookcast import backoff
from bookcast.feeds.futu import read_quota
from bookcast.feeds.futu.quota import Amount, Planned, Pools, Unit, in_words
from bookcast.feeds.futu.read_quota import Spare
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Topic

MAX_BATCH: Final = 100
"""The maximum number of topics in one request."""

FIRST_RETRY: Final = 5.0
LAST_RETRY: Final = 120.0
"""The delay before a refused topic is retried, in seconds, grows from the first to the last."""

RELEASE_RETRY_SECONDS: Final = 5.0
"""A refused unsubscription, usually one that was too early, is retried after so many seconds."""

ESTIMATE_SECONDS: Final = 0.5
"""The share of reads, as shown to waiting reads, is at most so many seconds old."""


class Subscribe(NamedTuple):
    """Subscribe these topics in one request."""

    topics: tuple[Topic, ...]


class Unsubscribe(NamedTuple):
    """Unsubscribe these topics in one request."""

    topics: tuple[Topic, ...]


Action = Subscribe | Unsubscribe


class Refusal(NamedTuple):
    """OpenD's refusal of a topic: the reason in its own words, the number of refusals, the retry.

    ``retry_at``: None once the time of the retry has come.
    """

    reason: str
    times: int
    retry_at: float | None


class _Held(NamedTuple):
    """A topic that is subscribed at OpenD, at ``since``.

    ``unwanted_since``: when the last subscriber left; None while there is one, minus infinity if
    there was none. ``for_reads``: without subscribers, it stays subscribed for reads.
    """

    since: float
    unwanted_since: float | None
    for_reads: bool


class SubscriptionPlanner:
    """Plans the subscriptions at OpenD by the demand, within OpenD's rules.

    An unwanted topic is unsubscribed ``linger_seconds`` after it was last wanted, and no sooner
    than ``min_subscription_seconds`` after it was subscribed, since OpenD refuses that earlier. If
    it is wanted again before, it stays. When a pool of the quota is full, lingering topics of that
    pool are unsubscribed early, the longest unwanted first. Wanted topics stay, with one exception:
    ``pinned`` topics, which are always wanted, replace the newest wanted topics that aren't pinned.
    A unit that several topics share becomes free only when all of them are unsubscribed.

    Topics that only reads want get what is left (:mod:`bookcast.feeds.futu.read_quota`). No topic
    is unsubscribed for them. They are unsubscribed for subscribers' topics, after unwanted ones.

    Args:
        min_subscription_seconds: OpenD's minimum.
        linger_seconds: how long an unwanted topic stays, for instance while a page is reloaded.
        pinned: topics that are always subscribed, before all others.
        group: returns a key; topics with an equal key can share a request.
        pools: the account's quota.
        random: returns 0 to 1, for jitter.
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
        # Pinned topics first, then the others in the order in which they were wanted.
        self._wanted: dict[Topic, None] = dict(self._pinned)
        # Topics that only reads want, in the order in which that began.
        self._read: dict[Topic, None] = {}
        self._held: dict[Topic, _Held] = {}
        self._refusals: dict[Topic, Refusal] = {}
        # Refused requests are halved until the refused topic is found.
        self._batch_limits: dict[Topic, int] = {}
        self._not_before: dict[Topic, float] = {}
        self._pools = pools or Pools()
        # When a pool may have room, for pinned topics and for others: a cache until the next
        # change.
        self._free_times: dict[tuple[QuotaPool, bool], float | None] = {}
        # The share of reads, and when it was computed: a cache for a moment.
        self._left: tuple[float, Spare] | None = None

    @property
    def held(self) -> Collection[Topic]:
        """The topics that are subscribed at OpenD now."""
        return self._held.keys()

    def held_since(self, topic: Topic) -> float | None:
        """Return when a topic was subscribed; None if it isn't subscribed."""
        held = self._held.get(topic)
        return held.since if held is not None else None

    @property
    def wanted(self) -> Collection[Topic]:
        """The topics that subscribers or reads want, or that are pinned."""
        return self._wanted.keys() | self._read.keys()

    def is_wanted(self, topic: Topic) -> bool:
        """Return whether a topic is wanted by subscribers or reads, or pinned."""
        return topic in self._wanted or topic in self._read

    @property
    def refusals(self) -> Mapping[Topic, Refusal]:
        """The topics that OpenD refused at the last attempt, and why."""
        return self._refusals

    def want(self, topic: Topic) -> None:
        """Note that subscribers want this topic from now on."""
        self._forget_estimates()
        self._read.pop(topic, None)
        self._wanted.setdefault(topic)
        if held := self._held.get(topic):
            self._held[topic] = held._replace(unwanted_since=None, for_reads=False)

    def want_to_read(self, topic: Topic, now: float) -> None:
        """Note that only reads want this topic from now on."""
        if topic in self._pinned or topic in self._read:
            return
        self.release(topic, now)
        self._read[topic] = None
        if held := self._held.get(topic):
            self._held[topic] = held._replace(for_reads=True)

    def release(self, topic: Topic, now: float) -> None:
        """Note that nothing wants this topic any more."""
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
        """Note OpenD's report of the quota and of the topics of other connections."""
        self._forget_estimates()
        self._pools.told(amounts, others, now)

    def is_outdated(self, now: float) -> bool:
        """Return whether OpenD counts less by now than it reported, and should be asked again."""
        return self._pools.is_outdated(now)

    def note_outdated(self, now: float) -> None:
        """Note that OpenD has been asked again."""
        self._pools.note_outdated(now)

    @property
    def knows_quota(self) -> bool:
        """Whether OpenD has reported the quota on this connection."""
        return self._pools.known

    def has_room(self, action: Subscribe, now: float) -> bool:
        """Return whether the quota allows an action, by OpenD's last report."""
        return self._pools.has_room(action.topics, now)

    def quota(self, topic: Topic, now: float) -> Quota | None:
        """Return the quota that a wanted topic waits for; None if it doesn't wait for quota."""
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
        """Return the quota for which a topic of reads waits, and a sentence about it; or None."""
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
            return quota, read_quota.in_words(quota)
        return None

    def next_action(self, now: float) -> Action | None:
        """Return the next action; None while none is due.

        Unsubscriptions come first, because they may free quota for subscriptions.
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
        """Return when the next action is due if the demand doesn't change; None: never.

        Call it after :meth:`next_action` has returned None.
        """
        _, waiting, _ = self._fitting(self._missing(self._wanted, now), now)
        left = self._spare(waiting, now)
        due = [
            max(self._leaves_at(topic, held), self._not_before.get(topic, 0.0))
            for topic, held in self._held.items()
            if held.unwanted_since is not None
            # After lingering, topics that subscribers left to reads may exceed the share of reads.
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
        """Note that OpenD has performed an action."""
        self._forget_estimates()
        for topic in action.topics:
            if isinstance(action, Subscribe):
                self._pools.hold(topic, now)
                # Counted from the answer, so never earlier than OpenD counts.
                self._held[topic] = self._held_from(topic, now)
                self._refusals.pop(topic, None)
                self._batch_limits.pop(topic, None)
            else:
                self._pools.drop(topic)
                self._held.pop(topic, None)
            self._not_before.pop(topic, None)

    def refused(self, action: Action, reason: str, now: float) -> Topic | None:
        """Note that OpenD has refused an action and done nothing of it.

        Returns:
            The topic, if OpenD has refused that one alone.
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
        """Retry refused topics now: the account's rights have changed."""
        for topic, refusal in self._refusals.items():
            if refusal.retry_at is not None:
                self._refusals[topic] = refusal._replace(retry_at=min(refusal.retry_at, now))

    def out_of_quota(self, action: Subscribe, now: float = -math.inf) -> None:
        """Note that OpenD has refused an action because of the quota."""
        self._forget_estimates()
        self._pools.run_out(action.topics, now)
        for topic in action.topics:
            self._batch_limits[topic] = max(1, len(action.topics) // 2)

    def confirm(self, actual: Collection[Topic], promised: Collection[Topic]) -> list[Topic]:
        """Compare OpenD's list of subscriptions with what it had confirmed. Return the lost topics.

        Lost topics don't count as subscribed any more, so they are subscribed again if wanted.
        """
        self._forget_estimates()
        lost = [topic for topic in self._held if topic in promised and topic not in actual]
        for topic in lost:
            del self._held[topic]
            self._pools.lose(topic)
        return lost

    def disconnected(self, now: float) -> None:
        """Note that the connection is lost: nothing is subscribed, and refusals are forgotten."""
        self._forget_estimates()
        self._pools.disconnected({topic: self._releasable_at(topic) for topic in self._held})
        self.note_outdated(now)
        self._held.clear()
        self._not_before.clear()
        self._batch_limits.clear()
        for topic in self._refusals:
            self._batch_limits[topic] = (
                1  # it is requested alone, so that it can't spoil other topics' request
            )
        self._refusals.clear()

    def _forget_estimates(self) -> None:
        """Drop the caches: something has changed."""
        self._free_times.clear()
        self._left = None

    def _held_from(self, topic: Topic, now: float) -> _Held:
        if topic in self._wanted:
            return _Held(now, None, for_reads=False)
        # A topic that was released during the request lingers.
        return _Held(now, -math.inf if topic in self._read else now, for_reads=True)

    def _spare(self, needed: Iterable[Topic], now: float) -> Spare:
        """Return the share of reads; nothing of the pools that subscribers need."""
        held = [topic for topic, one in self._held.items() if self._is_spare(one, now)]
        held.sort(
            key=lambda topic: topic not in self._read
        )  # topics that are still read come first
        return Spare(self._pools, dict.fromkeys(held), needed, now)

    def _is_spare(self, held: _Held, now: float) -> bool:
        """Return whether a topic is subscribed for reads alone."""
        return held.for_reads and held.unwanted_since is not None and not self._lingers(held, now)

    def _lingers(self, held: _Held, now: float) -> bool:
        """Return whether a topic lingers after its last subscriber."""
        return held.unwanted_since is not None and held.unwanted_since + self._linger_seconds > now

    def _readable(self, left: Spare, planned: Planned, now: float) -> list[Topic]:
        """Return the topics that may be subscribed for reads."""
        readable = []
        for topic in self._missing(self._read, now):
            if not self._pools.lacking(topic, now, planned) and not left.lacking(topic):
                left.take(topic)
                self._pools.plan(topic, now, planned)
                readable.append(topic)
        return readable

    def _missing(self, wanted: Collection[Topic], now: float) -> list[Topic]:
        """Return the wanted topics that are neither subscribed nor refused now, in their order."""
        # A refusal outlives its demand until its retry is due. So a client that requests an invalid
        # code repeatedly doesn't cause as many requests to OpenD.
        for topic, refusal in list(self._refusals.items()):
            if refusal.retry_at is not None and refusal.retry_at <= now:
                if self.is_wanted(topic):
                    # Clients still see the refusal, until OpenD has answered.
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
        """Divide topics into those that fit into the quota and those that must wait.

        Returns:
            The fitting topics; the waiting ones with the units that they lack; and the plan with
            the units of the fitting ones.
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
        """Return the topics to unsubscribe now for waiting ones.

        For a topic that lacks units of two pools, none is unsubscribed until both can be freed.
        """
        going: dict[Topic, None] = {}
        if self.is_outdated(now):
            return going  # there may be room already
        queues: dict[tuple[QuotaPool, bool], deque[Collection[Topic]]] = {}
        for topic in waiting:
            if self._pools.doubted_until(topic, now) is not None:
                continue
            pinned = topic in self._pinned
            chosen: dict[Topic, None] = {}
            # The smaller pool first: what is unsubscribed for it may free a unit of the other too.
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
        """Return the groups of topics that may be unsubscribed now to free a unit of a pool.

        Their order: the longest unwanted, then those that are read, then, for a pinned topic, the
        newest wanted ones.
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
        """Yield groups that may be unsubscribed at some time.

        Those are groups of unwanted topics, and for a pinned topic groups without pinned ones.
        """
        for topics in self._pools.groups(pool):
            if all(self._held[topic].unwanted_since is not None for topic in topics) or (
                pinned and self._pinned.keys().isdisjoint(topics)
            ):
                yield topics

    def _room_at(self, lacking: list[Unit], topic: Topic) -> float | None:
        """Return when room can be made for a waiting topic; None if no topic may be removed."""
        latest = -math.inf
        for unit in lacking:
            at = self._free_at(unit.pool, pinned=topic in self._pinned)
            if at is None:
                return None
            latest = max(latest, at)
        return latest

    def _free_at(self, pool: QuotaPool, *, pinned: bool) -> float | None:
        """Return when a unit of a pool can be freed; None: never."""
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
        """Return the first topics that can share one request."""
        group = self._group(topics[0])
        limit = self._batch_limits.get(topics[0], MAX_BATCH)
        together = [
            topic
            for topic in topics
            if self._group(topic) == group and self._batch_limits.get(topic, MAX_BATCH) == limit
        ]
        return tuple(together[:limit])
