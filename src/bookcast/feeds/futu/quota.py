"""The account's quota at OpenD, in its pools. Does no I/O.

A subscription takes a *unit* of one or two pools:

- ``stock``: one unit for each symbol and kind of data.
- ``option``: one unit for each chain (same underlying and expiry) and kind of data. Options take
  no unit of ``stock``.
- ``sf_book``: the SF right of Hong Kong covers books and brokers of 50 securities at a time. Such a
  subscription takes a unit of ``stock`` too.

A unit counts once, however many topics share it, and however many connections of the account use
it. OpenD reports what is used and left of the first two pools. Units of the third are counted here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from bookcast.feeds.futu.kinds import kind_of, option_chain
from bookcast.feeds.futu.topics import subtype
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Topic

DOUBT_SECONDS: Final = 120.0
"""If OpenD refuses a topic that should share a unit, it is counted separately for so many seconds,
then tried again. An answer of OpenD doesn't end this: else two such topics would be requested in
turn forever."""

SF_SECURITIES: Final = 50
"""With the SF right, so many Hong Kong securities may have books or broker queues."""


class Unit(NamedTuple):
    """One unit of a pool. Topics with an equal key share it."""

    pool: QuotaPool
    key: Hashable


def units_of(topic: Topic, *, sf: bool = False) -> tuple[Unit, ...]:
    """Return the units that a topic takes. ``sf``: the account has the SF right of Hong Kong."""
    chain = option_chain(topic.symbol)
    if chain is not None:
        return (Unit("option", (chain, subtype(topic))),)
    if sf and _counts_for_sf(topic):
        return (Unit("stock", topic), Unit("sf_book", topic.symbol))
    return (Unit("stock", topic),)


def _counts_for_sf(topic: Topic) -> bool:
    return (
        topic.channel in {"orderbook", "brokers"}
        and topic.symbol.startswith("HK.")
        and kind_of(topic.symbol) == "stock"
    )


class Amount(NamedTuple):
    """The used and the remaining units of a pool."""

    used: int
    left: int


def amounts_of(answer: Any) -> dict[QuotaPool, Amount]:
    """Return the pools in a ``Qot_GetSubInfo`` answer; empty when OpenD doesn't know.

    If the ``stock`` pool has nothing used and nothing left, OpenD doesn't know. An older OpenD
    doesn't report options: then they have no bound here, and OpenD may refuse.
    """
    if not (answer.totalUsedQuota or answer.remainQuota):
        return {}
    amounts: dict[QuotaPool, Amount] = {
        "stock": Amount(answer.totalUsedQuota, max(0, answer.remainQuota))
    }
    if answer.HasField("optionRemainQuota"):
        amounts["option"] = Amount(answer.optionUsedQuota, max(0, answer.optionRemainQuota))
    return amounts


WORDS: Final[Mapping[QuotaPool, str]] = {
    "stock": "the account's quota is used up: {used} of {limit} subscriptions",
    "option": "the account's quota for options is used up: {used} of {limit} chains and kinds of "
    "data",
    "sf_book": "the account's SF right gives books and brokers of {limit} Hong Kong securities at "
    "a time, and {used} are subscribed",
}


def in_words(quota: Quota) -> str:
    """Return, in words, which pool is used up."""
    return WORDS[quota.pool].format(used=quota.used, limit=quota.limit)


class Pools:
    """The remaining units of each pool, and the units of each topic.

    A pool that OpenD didn't report has no bound here; OpenD may refuse.

    Args:
        units_of: returns the units that a topic takes.
        sf_securities: the size of the pool ``sf_book``.
    """

    def __init__(
        self,
        units_of: Callable[[Topic], tuple[Unit, ...]] = units_of,
        *,
        sf_securities: int = SF_SECURITIES,
    ) -> None:
        self._units_of = units_of
        self._sf_securities = sf_securities
        self._amounts: dict[QuotaPool, Amount] = {}
        self._holders: dict[Unit, dict[Topic, None]] = {}
        self._units: dict[Topic, tuple[Unit, ...]] = {}
        # Units of other connections of the account: using them too costs nothing, and frees
        # nothing.
        self._others: frozenset[Unit] = frozenset()
        # Units of the last connection: OpenD counts them for a while longer.
        self._counted_until: dict[Unit, float] = {}
        # Topics that OpenD counts already, whatever units they take.
        self._counted: frozenset[Topic] = frozenset()
        self._last: dict[Topic, float] = {}
        # Topics that OpenD didn't let share a unit, and until when they are counted separately.
        self._alone: dict[Topic, float] = {}

    @property
    def known(self) -> bool:
        """Whether OpenD has reported the quota on this connection."""
        return "stock" in self._amounts

    def told(
        self, amounts: Mapping[QuotaPool, Amount], others: Iterable[Topic], now: float
    ) -> None:
        """Store the amounts that OpenD reports, and the topics of other connections."""
        self.note_outdated(now)
        held, self._holders, self._units = list(self._units), {}, {}
        for topic in held:  # a changed right may change the units
            self._note(topic, now)
        self._counted = frozenset(others)
        self._others = frozenset(unit for topic in self._counted for unit in self._units_of(topic))
        self._amounts = dict(amounts)
        self._count_securities()

    def is_outdated(self, now: float) -> bool:
        """Return whether OpenD counts less by now than it last reported."""
        return any(at <= now for at in self._counted_until.values())

    def note_outdated(self, now: float) -> None:
        """Drop units that OpenD doesn't count any more."""
        self._counted_until = {unit: at for unit, at in self._counted_until.items() if at > now}
        self._last = {topic: at for topic, at in self._last.items() if at > now}
        self._alone = {topic: at for topic, at in self._alone.items() if at > now}

    @property
    def outdated_at(self) -> Collection[float]:
        """For each unit of the last connection, when OpenD stops counting it."""
        return self._counted_until.values()

    def hold(self, topic: Topic, now: float) -> None:
        """Note that a topic was subscribed."""
        if topic in self._units:
            return
        for unit in self.units_now(topic, now):
            if not self._is_free(unit, now):
                self._add(unit.pool, 1)
        self._note(topic, now)
        self._count_securities()

    def drop(self, topic: Topic) -> None:
        """Note that a topic was unsubscribed."""
        self._alone.pop(topic, None)
        for unit in self._forget(topic):
            # An estimate, until OpenD reports again.
            self._add(unit.pool, -1)
        self._count_securities()

    def lose(self, topic: Topic) -> None:
        """Note that OpenD has lost a topic. Its report of the amounts includes that already."""
        self._forget(topic)
        self._count_securities()

    def disconnected(self, until: Mapping[Topic, float]) -> None:
        """Note that the connection is lost. ``until``: until when OpenD counts each topic."""
        for topic, at in until.items():
            for unit in self._units.get(topic, ()):
                self._counted_until[unit] = max(at, self._counted_until.get(unit, at))
        self._last |= until
        self._holders.clear()
        self._units.clear()
        self._alone.clear()
        self._others = frozenset()
        self._amounts.clear()

    def lacking(self, topic: Topic, now: float, planned: Planned | None = None) -> list[Unit]:
        """Return the units that a topic needs, but that its pools don't have left."""
        planned = planned or Planned()
        return [
            unit
            for unit in self.units_now(topic, now)
            if unit not in planned.units
            and not self._is_free(unit, now)
            and self._left(unit.pool) is not None
            and (self._left(unit.pool) or 0) <= planned.taken[unit.pool]
        ]

    def plan(self, topic: Topic, now: float, planned: Planned) -> None:
        """Count the units of a topic as taken in a plan."""
        for unit in self.units_now(topic, now):
            if unit not in planned.units and not self._is_free(unit, now):
                planned.take(unit)

    def has_room(self, topics: Collection[Topic], now: float) -> bool:
        """Return whether the pools have room for all these topics, by OpenD's last report."""
        return not self._exhausted(topics, now)

    def run_out(self, topics: Collection[Topic], now: float) -> None:
        """Note that OpenD refused these topics because of the quota, despite its last report."""
        costs = self._costs(topics, now)
        for pool in self._exhausted(topics, now) or list(costs) or ["stock"]:
            amount = self._amounts.get(pool, Amount(0, 0))
            left = min(amount.left, max(costs[pool], len(topics)) - 1)
            self._amounts[pool] = Amount(amount.used + amount.left - left, left)
        [topic] = topics if len(topics) == 1 else [None]
        if topic is not None and not self.lacking(topic, now):
            self._alone[topic] = now + DOUBT_SECONDS
            units = self.units_now(topic, now)
            for unit in units:
                self._counted_until.pop(unit, None)
            self._others = self._others.difference(units)

    def doubted_until(self, topic: Topic, now: float) -> float | None:
        """Return until when a refused topic is counted separately, though it should share a unit.

        The quota may not be the real reason. So no other topic is unsubscribed for it: it waits for
        room, or for another try. None: it isn't counted separately.
        """
        until = self._alone.get(topic, now)
        return until if until > now else None

    def limit(self, pool: QuotaPool) -> int | None:
        """Return the size of a pool; None if OpenD didn't report it."""
        amount = self._amounts.get(pool)
        return amount.used + amount.left if amount is not None else None

    def is_held(self, unit: Unit) -> bool:
        """Return whether a subscription of this connection or another one uses a unit."""
        return unit in self._others or unit in self._holders

    def held_by_none_but(self, topic: Topic, topics: Collection[Topic]) -> list[Unit]:
        """Return the units of a topic that become free when all of ``topics`` are unsubscribed."""
        return [
            unit
            for unit in self._units.get(topic, ())
            if unit not in self._others and all(one in topics for one in self._holders[unit])
        ]

    def quota(self, pool: QuotaPool, next_free_ms: float | None) -> Quota:
        """Return the use of a pool, as clients see it."""
        amount = self._amounts[pool]
        return Quota(amount.used, amount.used + amount.left, next_free_ms, pool)

    def groups(self, pool: QuotaPool) -> Iterator[Collection[Topic]]:
        """Yield, per unit of a pool that can be freed, the topics to unsubscribe for it."""
        for unit, topics in self._holders.items():
            if unit.pool == pool and unit not in self._others:
                yield topics

    def freed(self, going: Collection[Topic], going_before: Collection[Topic]) -> Iterator[Unit]:
        """Yield the units that unsubscribing ``going``, after ``going_before``, frees."""
        for unit in dict.fromkeys(unit for topic in going for unit in self._units.get(topic, ())):
            holders = self._holders[unit].keys()
            all_go = all(topic in going or topic in going_before for topic in holders)
            if unit not in self._others and all_go:
                yield unit

    def _exhausted(self, topics: Collection[Topic], now: float) -> list[QuotaPool]:
        costs = self._costs(topics, now)
        pools: list[QuotaPool] = [
            pool
            for pool, cost in costs.items()
            if (left := self._left(pool)) is not None and cost > left
        ]
        if not pools and len(topics) == 1 and not self._counts(*topics):
            # It should share a unit, but OpenD may refuse it because its pool is empty.
            [topic] = topics
            pools = [
                unit.pool
                for unit in self.units_now(topic, now)
                if unit.key != topic and self._left(unit.pool) == 0
            ]
        return pools

    def _counts(self, topic: Topic) -> bool:
        """Return whether OpenD counts a topic already, for another or the last connection."""
        return topic in self._counted or topic in self._last

    def _costs(self, topics: Iterable[Topic], now: float) -> Counter[QuotaPool]:
        units = {unit for topic in topics for unit in self.units_now(topic, now)}
        return Counter(unit.pool for unit in units if not self._is_free(unit, now))

    def units_now(self, topic: Topic, now: float) -> tuple[Unit, ...]:
        """Return the units that a topic takes; unshared ones while it is counted separately."""
        if self.doubted_until(topic, now) is not None:
            return tuple(Unit(unit.pool, topic) for unit in self._units_of(topic))
        return self._units_of(topic)

    def _is_free(self, unit: Unit, now: float) -> bool:
        return (
            unit in self._others
            or unit in self._holders
            or self._counted_until.get(unit, now) > now
        )

    def _left(self, pool: QuotaPool) -> int | None:
        amount = self._amounts.get(pool)
        return amount.left if amount is not None else None

    def _add(self, pool: QuotaPool, units: int) -> None:
        amount = self._amounts.get(pool)
        if amount is not None:
            units = min(units, amount.left)
            self._amounts[pool] = Amount(max(0, amount.used + units), amount.left - units)

    def _count_securities(self) -> None:
        """Count the units of ``sf_book``, which OpenD doesn't report."""
        taken = {*self._holders, *self._others, *self._counted_until}
        used = sum(unit.pool == "sf_book" for unit in taken)
        self._amounts["sf_book"] = Amount(used, max(0, self._sf_securities - used))

    def _note(self, topic: Topic, now: float) -> None:
        self._units[topic] = units = self.units_now(topic, now)
        for unit in units:
            self._holders.setdefault(unit, {})[topic] = None

    def _forget(self, topic: Topic) -> list[Unit]:
        """Remove a topic from its units, and return the units that are free now."""
        freed = []
        for unit in self._units.pop(topic, ()):
            holders = self._holders[unit]
            del holders[topic]
            if not holders:
                del self._holders[unit]
                if unit not in self._others:
                    freed.append(unit)
        return freed


class Planned:
    """Units that a plan takes or frees, before requests are sent to OpenD."""

    def __init__(self) -> None:
        self.units: set[Unit] = set()
        self.taken: Counter[QuotaPool] = Counter()

    def take(self, unit: Unit) -> None:
        """Count a unit as taken."""
        self.units.add(unit)
        self.taken[unit.pool] += 1

    def free(self, unit: Unit) -> None:
        """Count a unit as freed."""
        self.taken[unit.pool] -= 1
