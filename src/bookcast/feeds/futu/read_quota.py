"""The share of the quota for topics that only reads want. Does no I/O.

Such a topic gets only what is left: a fifth of each pool at most, and nothing while a subscriber
waits for that pool. A topic that is subscribed for reads alone counts until it is unsubscribed,
even if it isn't read any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from bookcast.feeds.futu.quota import Pools, Unit
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Topic

SHARE: Final = 5
"""Reads may use one of so many units of each pool."""

UNKNOWN_LIMITS: Final[Mapping[QuotaPool, int]] = {"stock": 100, "option": 20, "sf_book": 50}
"""The assumed size of a pool that OpenD doesn't report: that of the smallest account."""

_UNITS: Final[Mapping[QuotaPool, str]] = {
    "stock": "subscriptions",
    "option": "chains and kinds of data of options",
    "sf_book": "Hong Kong securities with a book or brokers",
}


def in_words(quota: Quota) -> str:
    """Return, in words, what a topic that only reads want is waiting for.

    ``quota``: the result of :meth:`Spare.quota`.
    """
    if quota.used < quota.limit:
        return f"what is left of the account's {_UNITS[quota.pool]} is for those who subscribe"
    return (
        f"reads may have a fifth of the account's {_UNITS[quota.pool]}, and {quota.used} of "
        f"{quota.limit} are taken: who subscribes gets it, as far as there is quota"
    )


class Spare:
    """What reads may use at one moment.

    Args:
        pools: the account's quota.
        held: topics subscribed at OpenD for reads alone, in order of precedence.
        needed: topics that subscribers wait for. Reads get nothing of the pools that they need.
        now: seconds of the planner's clock.

    Attributes:
        over: the held topics above the share of reads. Subscribers had wanted them before.
    """

    def __init__(
        self, pools: Pools, held: Collection[Topic], needed: Iterable[Topic], now: float
    ) -> None:
        self._pools = pools
        self._now = now
        self._units: set[Unit] = set()
        self._taken: Counter[QuotaPool] = Counter()
        self._needed = {unit.pool for topic in needed for unit in pools.units_now(topic, now)}
        self.over: list[Topic] = []
        for topic in held:
            new = [one for one in pools.held_by_none_but(topic, held) if one not in self._units]
            if self._above(new):
                self.over.append(topic)
            self._take(new)

    def lacking(self, topic: Topic) -> list[QuotaPool]:
        """Return the pools that have nothing left for a topic that isn't subscribed yet."""
        new = self._new(topic)
        return [*self._above(new), *(unit.pool for unit in new if unit.pool in self._needed)]

    def take(self, topic: Topic) -> None:
        """Count the units of a topic as used by reads."""
        self._take(self._new(topic))

    def quota(self, pool: QuotaPool) -> Quota:
        """Return how much of a pool reads use, and how much they may use."""
        return Quota(self._taken[pool], self._share(pool), None, pool)

    def _new(self, topic: Topic) -> list[Unit]:
        """Return the units of a topic that neither a subscriber nor another read uses."""
        return [
            unit
            for unit in self._pools.units_now(topic, self._now)
            if unit not in self._units and not self._pools.is_held(unit)
        ]

    def _above(self, new: Collection[Unit]) -> list[QuotaPool]:
        """Return the pools in which these units would exceed the share of reads."""
        counts = Counter(unit.pool for unit in new)
        return [pool for pool, n in counts.items() if self._taken[pool] + n > self._share(pool)]

    def _take(self, new: Collection[Unit]) -> None:
        self._units.update(new)
        self._taken.update(unit.pool for unit in new)

    def _share(self, pool: QuotaPool) -> int:
        limit = self._pools.limit(pool)
        return (UNKNOWN_LIMITS[pool] if limit is None else limit) // SHARE
