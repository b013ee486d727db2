"""The account's quota at OpenD, in its pools. Pure: it asks nothing itself.

A subscription takes a *unit* of one or two pools:

- ``stock``: one unit for each symbol and kind of data.
- ``option``: one unit for each chain (same underlying and expiry) and kind of data. Options take
  nothing of the stocks' pool.
- ``sf_book``: with the SF right, Hong Kong gives books and brokers of 50 securities at a time. Such
  a subscription takes a unit of the stocks' pool as well.

A unit is taken once, however many topics share it and however many connections of the account have
it. OpenD tells what is used and left of the first two pools; units of the third are counted here.
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
"""A topic that OpenD refused to let share a unit counts alone for so long, then it is tried again.
An answer of OpenD's doesn't end that: two such topics would have each other asked for for ever."""

SF_SECURITIES: Final = 50
"""So many Hong Kong securities may have a book or a broker queue with the SF right."""


class Unit(NamedTuple):
    """One unit of a pool. Topics with an equal key share it."""

    pool: QuotaPool
    key: Hashable


def units_of(topic: Topic, *, sf: bool = False) -> tuple[Unit, ...]:
    """Return the units that a topic takes. ``sf``: the account has the SF right for Hong Kong."""
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
    """How much of a pool is used and left."""

    used: int
    left: int


def amounts_of(answer: Any) -> dict[QuotaPool, Amount]:
    """Read a ``Qot_GetSubInfo`` answer; empty when OpenD doesn't know.

    An OpenD that says that nothing is used and nothing left of the stocks' pool doesn't know. Older
    ones don't tell of options: then options have no bound here, and OpenD refuses.
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
    """Return, in words, what somebody waits for who waits for a quota."""
    return WORDS[quota.pool].format(used=quota.used, limit=quota.limit)


class Pools:
    """What is left of each pool, and which topics have which units.

    A pool that OpenD didn't tell of has no bound: OpenD may refuse.

    Args:
        units_of: the units that a topic takes.
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
        # What other connections of the account have: it costs nothing, and frees nothing.
        self._others: frozenset[Unit] = frozenset()
        # What the last connection had: OpenD goes on counting it for a while.
        self._counted_until: dict[Unit, float] = {}
        # Topics that OpenD counts already, whatever units they take.
        self._counted: frozenset[Topic] = frozenset()
        self._last: dict[Topic, float] = {}
        # OpenD wouldn't let these share a unit, and until when they count alone.
        self._alone: dict[Topic, float] = {}

    @property
    def known(self) -> bool:
        """Whether OpenD has told, on this connection, what is left."""
        return "stock" in self._amounts

    def told(
        self, amounts: Mapping[QuotaPool, Amount], others: Iterable[Topic], now: float
    ) -> None:
        """Take what OpenD says is used and left, and what other connections have."""
        self.note_outdated(now)
        held, self._holders, self._units = list(self._units), {}, {}
        for topic in held:  # a right that has changed may have changed the units
            self._note(topic, now)
        self._counted = frozenset(others)
        self._others = frozenset(unit for topic in self._counted for unit in self._units_of(topic))
        self._amounts = dict(amounts)
        self._count_securities()

    def is_outdated(self, now: float) -> bool:
        """Return whether OpenD counts less by now than it told."""
        return any(at <= now for at in self._counted_until.values())

    def note_outdated(self, now: float) -> None:
        """Forget what OpenD no longer counts."""
        self._counted_until = {unit: at for unit, at in self._counted_until.items() if at > now}
        self._last = {topic: at for topic, at in self._last.items() if at > now}
        self._alone = {topic: at for topic, at in self._alone.items() if at > now}

    @property
    def outdated_at(self) -> Collection[float]:
        """When OpenD will count less, for each unit of the last connection."""
        return self._counted_until.values()

    def hold(self, topic: Topic, now: float) -> None:
        """Note that a topic is subscribed now."""
        if topic in self._units:
            return
        for unit in self.units_now(topic, now):
            if not self._is_free(unit, now):
                self._add(unit.pool, 1)
        self._note(topic, now)
        self._count_securities()

    def drop(self, topic: Topic) -> None:
        """Note that a topic isn't subscribed any more."""
        self._alone.pop(topic, None)
        for unit in self._forget(topic):
            # OpenD will tell; until then this is the best guess.
            self._add(unit.pool, -1)
        self._count_securities()

    def lose(self, topic: Topic) -> None:
        """Note that OpenD has lost a topic, as it has told together with what is left."""
        self._forget(topic)
        self._count_securities()

    def disconnected(self, until: Mapping[Topic, float]) -> None:
        """Nothing is held any more. ``until``: how long OpenD goes on counting what was."""
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
        """Return the units that a topic needs and that aren't left."""
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
        """Count the units of a topic as taken."""
        for unit in self.units_now(topic, now):
            if unit not in planned.units and not self._is_free(unit, now):
                planned.take(unit)

    def has_room(self, topics: Collection[Topic], now: float) -> bool:
        """Return whether what is left suffices for these topics, as far as OpenD told."""
        return not self._exhausted(topics, now)

    def run_out(self, topics: Collection[Topic], now: float) -> None:
        """Note that OpenD refused these for want of quota, whatever it had told."""
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
        """Return until when it is doubted that a topic, which was refused, costs nothing.

        Perhaps the quota isn't why. So nobody goes for it: it waits for room, or to be tried again.
        None: it isn't doubted.
        """
        until = self._alone.get(topic, now)
        return until if until > now else None

    def limit(self, pool: QuotaPool) -> int | None:
        """Return how many units a pool has; None where OpenD didn't tell."""
        amount = self._amounts.get(pool)
        return amount.used + amount.left if amount is not None else None

    def is_held(self, unit: Unit) -> bool:
        """Return whether a unit is taken by something held, here or on another connection."""
        return unit in self._others or unit in self._holders

    def held_by_none_but(self, topic: Topic, topics: Collection[Topic]) -> list[Unit]:
        """Return the units of a held topic that come free when all of ``topics`` go."""
        return [
            unit
            for unit in self._units.get(topic, ())
            if unit not in self._others and all(one in topics for one in self._holders[unit])
        ]

    def quota(self, pool: QuotaPool, next_free_ms: float | None) -> Quota:
        """Return what a pool's clients are told."""
        amount = self._amounts[pool]
        return Quota(amount.used, amount.used + amount.left, next_free_ms, pool)

    def groups(self, pool: QuotaPool) -> Iterator[Collection[Topic]]:
        """Yield, for each unit of a pool that can come free, the topics that have to go for it."""
        for unit, topics in self._holders.items():
            if unit.pool == pool and unit not in self._others:
                yield topics

    def freed(self, going: Collection[Topic], going_before: Collection[Topic]) -> Iterator[Unit]:
        """Yield the units that letting go of ``going`` frees, beside what went before."""
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
            # It should share a unit, yet an empty pool may be why OpenD refuses it.
            [topic] = topics
            pools = [
                unit.pool
                for unit in self.units_now(topic, now)
                if unit.key != topic and self._left(unit.pool) == 0
            ]
        return pools

    def _counts(self, topic: Topic) -> bool:
        """Return whether OpenD counts a topic already, for another connection or the last one."""
        return topic in self._counted or topic in self._last

    def _costs(self, topics: Iterable[Topic], now: float) -> Counter[QuotaPool]:
        units = {unit for topic in topics for unit in self.units_now(topic, now)}
        return Counter(unit.pool for unit in units if not self._is_free(unit, now))

    def units_now(self, topic: Topic, now: float) -> tuple[Unit, ...]:
        """Return the units that a topic takes: all by itself where OpenD lets it share none."""
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
        """Count the units of the pool that OpenD doesn't tell of."""
        taken = {*self._holders, *self._others, *self._counted_until}
        used = sum(unit.pool == "sf_book" for unit in taken)
        self._amounts["sf_book"] = Amount(used, max(0, self._sf_securities - used))

    def _note(self, topic: Topic, now: float) -> None:
        self._units[topic] = units = self.units_now(topic, now)
        for unit in units:
            self._holders.setdefault(unit, {})[topic] = None

    def _forget(self, topic: Topic) -> list[Unit]:
        """Take a topic off its units, and return those that nobody has any more."""
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
    """Units that are going to be taken, or given back, before anything is asked of OpenD."""

    def __init__(self) -> None:
        self.units: set[Unit] = set()
        self.taken: Counter[QuotaPool] = Counter()

    def take(self, unit: Unit) -> None:
        """Count a unit as taken."""
        self.units.add(unit)
        self.taken[unit.pool] += 1

    def free(self, unit: Unit) -> None:
        """Count a unit as given back."""
        self.taken[unit.pool] -= 1
