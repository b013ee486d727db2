from __future__ import annotations

import copy
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.quota import DOUBT_SECONDS, Amount, Pools, units_of
from bookcast.feeds.futu.subscriptions import (
    FIRST_RETRY,
    LAST_RETRY,
    MAX_BATCH,
    RELEASE_RETRY_SECONDS,
    Action,
    Subscribe,
    SubscriptionPlanner,
    Unsubscribe,
)
from bookcast.feeds.futu.topics import request_group
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Symbol, Topic
from tests.budget import examples

MINIMUM, LINGER = 60.0, 100.0
PLENTY = 1000


def book(name: str) -> Topic:
    return Topic("orderbook", Symbol(f"US.{name}"))


A, B, C, D = (book(name) for name in "ABCD")
TRADES_OF_A = Topic("trades", A.symbol)


def planner(
    *wanted: Topic,
    held_since: float | None = None,
    linger: float = 0.0,
    pinned: Iterable[Topic] = (),
    room: int | None = None,
    pools: Pools | None = None,
) -> SubscriptionPlanner:
    """Make a planner with demand, and have it met if a time is given."""
    made = SubscriptionPlanner(
        MINIMUM,
        linger_seconds=linger,
        pinned=pinned,
        group=request_group,
        pools=pools,
        random=lambda: 1.0,
    )
    if room is not None:
        made.told({"stock": Amount(0, room)}, ())
    for topic in wanted:
        made.want(topic)
    if held_since is not None:
        meet(made, held_since)
    return made


def meet(plans: SubscriptionPlanner, now: float) -> None:
    """Have OpenD subscribe whatever the planner asks for."""
    while action := plans.next_action(now):
        assert isinstance(action, Subscribe)
        plans.done(action, now)


def take(plans: SubscriptionPlanner, now: float) -> Action:
    action = plans.next_action(now)
    assert action is not None
    return action


def test_what_is_wanted_is_subscribed_once_in_the_order_asked_for() -> None:
    """In one request."""
    plans = planner(B, A, B)
    assert plans.next_action(0) == Subscribe((B, A))
    plans.done(Subscribe((B, A)), 0)
    assert plans.next_action(0) is None
    assert plans.next_time(0) is None
    assert set(plans.held) == set(plans.wanted) == {A, B}


def test_topics_that_opend_takes_apart_go_into_requests_apart() -> None:
    """One request names one kind of data."""
    plans = planner(A, TRADES_OF_A, B)
    assert plans.next_action(0) == Subscribe((A, B))
    plans.done(Subscribe((A, B)), 0)
    assert plans.next_action(0) == Subscribe((TRADES_OF_A,))


def test_a_request_has_a_hundred_topics_at_most() -> None:
    """The rest follows in the next one."""
    topics = [book(str(number)) for number in range(MAX_BATCH + 1)]
    plans = planner(*topics)
    first = take(plans, 0)
    assert first == Subscribe(tuple(topics[:MAX_BATCH]))
    plans.done(first, 0)
    assert plans.next_action(0) == Subscribe((topics[-1],))


def test_what_is_unwanted_stays_for_its_minimum_time() -> None:
    """Wanted again meanwhile, it never goes."""
    plans = planner(A, held_since=10)
    plans.release(A, 11)
    assert plans.next_action(69.9) is None
    assert plans.next_time(69.9) == 70
    plans.want(A)
    assert plans.next_time(69.9) is None
    assert plans.next_action(100) is None
    plans.release(A, 100)
    assert plans.next_action(100) == Unsubscribe((A,))
    plans.done(Unsubscribe((A,)), 100)
    assert not plans.held
    assert plans.next_time(100) is None


def test_what_is_unwanted_lingers() -> None:
    """Counted from when it was last wanted, and only once."""
    plans = planner(A, held_since=0, linger=LINGER)
    plans.release(A, 50)
    plans.release(A, 90)
    assert plans.next_action(149) is None
    assert plans.next_time(149) == 150
    plans.want(A)
    plans.release(A, 149)
    assert plans.next_action(200) is None
    assert plans.next_time(200) == 249
    assert plans.next_action(249) == Unsubscribe((A,))


def test_what_was_released_while_it_was_being_subscribed_lingers_as_well() -> None:
    """The answer comes when nobody wants it any more."""
    plans = planner(A, linger=LINGER)
    action = take(plans, 0)
    plans.release(A, 0)
    plans.done(action, 1)
    assert plans.next_action(100) is None
    assert plans.next_time(100) == 1 + LINGER


def test_room_is_made_before_it_is_needed() -> None:
    """Letting go may free the quota that subscribing takes."""
    plans = planner(A, held_since=0)
    plans.release(A, 0)
    plans.want(B)
    assert plans.next_action(60) == Unsubscribe((A,))


def test_nothing_is_subscribed_above_the_quota() -> None:
    """What doesn't fit waits until OpenD tells of room, in the order asked for."""
    plans = planner(A, B, C, room=2)
    assert plans.next_action(0) == Subscribe((A, B))
    plans.done(Subscribe((A, B)), 0)
    assert plans.next_action(0) is None
    assert plans.next_time(0) is None
    plans.told({"stock": Amount(2, 1)}, {A, B})
    assert plans.next_action(0) == Subscribe((C,))


def test_what_opend_counts_already_costs_nothing() -> None:
    """Another connection of the account has it."""
    plans = planner(A, B)
    plans.told({"stock": Amount(5, 0)}, {B})
    assert plans.next_action(0) == Subscribe((B,))
    plans.done(Subscribe((B,)), 0)
    assert plans.next_action(0) is None


def test_a_full_quota_ends_lingering_the_longest_unwanted_first() -> None:
    """And only as many go as are needed."""
    plans = planner(A, B, C, held_since=0, linger=LINGER, room=3)
    plans.release(B, 10)
    plans.release(A, 20)
    assert plans.next_action(70) is None
    plans.want(D)
    assert plans.next_action(70) == Unsubscribe((B,))
    plans.done(Unsubscribe((B,)), 70)
    plans.told({"stock": Amount(2, 1)}, {A, C})
    assert plans.next_action(70) == Subscribe((D,))
    plans.done(Subscribe((D,)), 70)
    assert plans.next_action(70) is None
    assert set(plans.held) == {A, C, D}


def test_who_waits_for_quota_is_told_for_how_much_and_how_long() -> None:
    """As far as anybody knows."""
    plans = planner(A, B, held_since=0, linger=LINGER, room=2)
    plans.want(C)
    assert plans.quota(A, 0) is None
    assert plans.quota(D, 0) is None
    assert plans.quota(C, 0) == Quota(2, 2, None)
    plans.release(A, 10)
    assert plans.quota(C, 20) == Quota(2, 2, 40_000)
    assert plans.next_time(20) == 60
    assert plans.next_action(59) is None
    assert plans.next_action(60) == Unsubscribe((A,))


def test_without_word_from_opend_no_quota_is_waited_for() -> None:
    """Not every OpenD tells it."""
    assert planner(A).quota(A, 0) is None


def test_a_refused_topic_does_not_wait_for_quota() -> None:
    """It waits for OpenD to think otherwise."""
    plans = planner(A, room=1)
    plans.refused(take(plans, 0), "no right", 0)
    plans.told({"stock": Amount(1, 0)}, ())
    assert plans.quota(A, 0) is None


def test_no_wanted_topic_goes_for_another() -> None:
    """Who came first is served."""
    plans = planner(A, held_since=0, room=1)
    plans.want(B)
    assert plans.next_action(1000) is None
    assert plans.next_time(1000) is None


def test_a_pinned_topic_is_subscribed_first_and_never_released() -> None:
    """Whoever wants it, or nobody."""
    plans = planner(A, pinned=[B])
    assert take(plans, 0).topics == (B, A)
    plans.done(Subscribe((B, A)), 0)
    plans.want(B)
    plans.release(B, 0)
    assert plans.next_action(1000) is None
    assert B in plans.wanted


def test_a_pinned_topic_takes_the_place_of_the_newest_that_is_not() -> None:
    """As soon as OpenD lets go of one, and unwanted ones go before."""
    plans = planner(A, B, C, pinned=[D])
    plans.told({"stock": Amount(3, 0)}, {A, B, C})
    plans.done(take(plans, 1), 1)
    plans.told({"stock": Amount(3, 0)}, ())
    assert plans.next_action(6) is None
    assert plans.next_time(6) == 61
    plans.release(B, 7)
    probe = copy.deepcopy(plans)
    assert probe.next_action(61) == Unsubscribe((B,))
    plans.want(B)
    assert plans.next_action(61) == Unsubscribe((B,))  # newly wanted, thus the newest
    plans.done(Unsubscribe((B,)), 61)
    plans.told({"stock": Amount(2, 1)}, {A, C})
    assert plans.next_action(61) == Subscribe((D,))
    plans.done(Subscribe((D,)), 61)
    assert plans.next_action(61) is None
    assert plans.quota(B, 61) == Quota(3, 3, None)


def test_a_topic_that_others_have_too_is_not_taken_away() -> None:
    """It would free nothing."""
    plans = planner(A, pinned=[B])
    plans.told({"stock": Amount(1, 0)}, {A})
    plans.done(take(plans, 0), 0)
    assert plans.next_action(1000) is None
    plans.told({"stock": Amount(1, 0)}, ())
    assert plans.next_action(1000) == Unsubscribe((A,))


def test_what_the_last_connection_had_costs_nothing_for_a_while() -> None:
    """OpenD goes on counting it, so that after a drop all of it fits again."""
    plans = planner(A, held_since=0, room=1)
    plans.disconnected(10)
    plans.told({"stock": Amount(1, 0)}, ())
    assert copy.deepcopy(plans).next_action(11) == Subscribe((A,))
    assert plans.next_action(61) is None


def test_what_opend_will_not_let_go_yet_is_tried_again_soon() -> None:
    """Until then it is held."""
    plans = planner(A, held_since=0)
    plans.release(A, 0)
    assert plans.refused(take(plans, 60), "too early", 60) is None
    assert set(plans.held) == {A}
    assert plans.next_action(60) is None
    assert plans.next_time(60) == 60 + RELEASE_RETRY_SECONDS
    assert plans.next_action(60 + RELEASE_RETRY_SECONDS) == Unsubscribe((A,))


def test_another_goes_when_opend_will_not_let_go_of_the_first() -> None:
    """Who waits for room isn't kept waiting by it, and nobody spins meanwhile."""
    plans = planner(A, B, held_since=0, linger=LINGER, room=2)
    plans.release(A, 0)
    plans.release(B, 1)
    plans.want(C)
    plans.refused(take(plans, 60), "too early", 60)
    due = plans.next_time(60)
    assert plans.next_action(60) == Unsubscribe((B,)) or (due is not None and due > 60)
    assert plans.next_action(60) == Unsubscribe((B,))


def test_a_bad_topic_takes_no_other_down() -> None:
    """A refused request is repeated by halves; newcomers don't wait for that."""
    topics = [book(str(number)) for number in range(8)]
    bad = topics[5]
    plans = planner(*topics)
    asked = []
    while action := plans.next_action(0):
        asked.append(len(action.topics))
        if bad in action.topics:
            plans.refused(action, "no right", 0)
        else:
            plans.done(action, 0)
    assert asked == [8, 4, 4, 2, 1, 1, 2]
    assert set(plans.held) == set(topics) - {bad}
    assert plans.refusals[bad].reason == "no right"


def test_newcomers_do_not_wait_for_a_refused_request_to_be_taken_apart() -> None:
    """They go into a request of their own."""
    plans = planner(A, B)
    assert plans.refused(take(plans, 0), "no right", 0) is None
    plans.want(C)
    assert plans.next_action(0) == Subscribe((A,))
    assert plans.refused(Subscribe((A,)), "no right for A", 0) == A
    assert plans.next_action(0) == Subscribe((B,))
    plans.done(Subscribe((B,)), 0)
    assert plans.next_action(0) == Subscribe((C,))


def test_a_refused_topic_is_tried_again_later_and_alone() -> None:
    """Even if nobody wants it for a moment meanwhile."""
    plans = planner(A)
    plans.refused(take(plans, 5), "no right", 5)
    plans.release(A, 6)
    assert plans.next_time(6) is None
    plans.want(A)
    assert plans.next_action(6) is None
    due = 5 + FIRST_RETRY
    assert plans.next_time(6) == due
    plans.want(B)
    plans.want(C)
    assert plans.next_action(due) == Subscribe((A,))
    assert A in plans.refusals  # until OpenD says otherwise
    plans.done(Subscribe((A,)), due)
    assert not plans.refusals
    assert plans.next_action(due) == Subscribe((B, C))


def test_a_refusal_that_nobody_asks_about_any_more_is_forgotten_when_it_is_due() -> None:
    """Then a newcomer is asked for at once."""
    plans = planner(A)
    plans.refused(take(plans, 0), "no right", 0)
    plans.release(A, 1)
    assert plans.next_action(FIRST_RETRY) is None
    assert not plans.refusals
    plans.want(A)
    assert plans.next_action(FIRST_RETRY) == Subscribe((A,))


def test_refusals_are_tried_again_ever_less_often() -> None:
    """From the first wait, doubled each time, to the last."""
    plans = planner(A)
    now, waits = 0.0, []
    for times in range(1, 9):
        plans.refused(take(plans, now), "no right", now)
        assert plans.refusals[A].times == times
        due = plans.next_time(now)
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [5, 10, 20, 40, 80, 120, 120, 120]
    assert waits[0] == FIRST_RETRY
    assert waits[-1] == LAST_RETRY


def test_quota_that_is_less_than_told_is_found_out() -> None:
    """Another program has taken some: as many are subscribed as there is room for."""
    plans = planner(A, B, C, D, room=4)
    real, refusals = 2, 0
    while action := plans.next_action(0):
        assert isinstance(action, Subscribe)
        if len(action.topics) > real:
            plans.out_of_quota(action)
            refusals += 1
            assert refusals < 10
            continue
        real -= len(action.topics)
        plans.done(action, 0)
    assert set(plans.held) == {A, B}
    assert plans.quota(C, 0) is not None


def test_a_topic_that_others_no_longer_have_is_not_asked_for_without_end() -> None:
    """OpenD said that it costs nothing, but meanwhile it does, and nothing is left."""
    plans = planner(A)
    plans.told({"stock": Amount(1, 0)}, {A})
    action = take(plans, 0)
    assert isinstance(action, Subscribe)
    plans.out_of_quota(action)
    assert plans.next_action(0) is None
    assert plans.quota(A, 0) == Quota(1, 1, None)
    plans.told({"stock": Amount(0, 1)}, ())
    assert plans.next_action(0) == Subscribe((A,))


def test_a_lost_connection_loses_everything_held_and_every_refusal() -> None:
    """All that is wanted is asked for again at once, what was refused alone and not first."""
    plans = planner(A, held_since=0)
    plans.want(B)
    plans.refused(take(plans, 0), "no right", 0)
    plans.want(C)
    plans.disconnected(0)
    assert not plans.held
    assert not plans.refusals
    assert plans.quota(A, 0) is None
    assert plans.next_action(1) == Subscribe((A, C))
    plans.done(Subscribe((A, C)), 1)
    assert plans.next_action(1) == Subscribe((B,))


def test_what_opend_has_lost_is_subscribed_again() -> None:
    """Whatever it had said."""
    plans = planner(A, B, held_since=0)
    assert plans.confirm({A, B, C}, {A, B}) == []
    assert plans.confirm({A}, {A}) == []
    assert plans.confirm({A}, {A, B}) == [B]
    assert plans.next_action(1) == Subscribe((B,))


# An OpenD to plan against, which knows nothing of the planner.


class Refused(Exception):
    """OpenD won't; it does nothing of what was asked."""


def units_in_world(topic: Topic) -> frozenset[tuple[QuotaPool, object]]:
    """Give what a topic takes of the account's pools, by the vendor's documents."""
    code = topic.symbol.partition(".")[2]
    if len(code) > 10:  # an option: its underlying and expiry are before C or P
        return frozenset({("option", (re.split("[CP]", code)[0], topic.channel))})
    units: set[tuple[QuotaPool, object]] = {("stock", topic)}
    if topic.symbol.startswith("HK.") and topic.channel in {"orderbook", "brokers"}:
        units.add(("sf_book", topic.symbol))
    return frozenset(units)


Units = frozenset[tuple[QuotaPool, object]]


def all_units(topics: Iterable[Topic]) -> Units:
    return frozenset().union(*map(units_in_world, topics))


class World:
    """An account with its quota, our connection and other programs."""

    def __init__(self, limits: Mapping[QuotaPool, int]) -> None:
        self.now = 0.0
        self.limits = limits
        self.own: dict[Topic, float] = {}
        self.others: set[Topic] = set()
        self.closed: dict[Topic, float] = {}
        self.bad: set[Topic] = set()
        self.ever_bad: set[Topic] = set()
        self.stubborn: set[Topic] = set()

    def free(self) -> Units:
        """Give what costs us nothing: others have it, or our last connection had it lately."""
        closed = {t for t, since in self.closed.items() if self.now < since + MINIMUM}
        return all_units(self.others | closed)

    def used(self) -> Units:
        return self.free() | all_units(self.own)

    def left(self, pool: QuotaPool) -> int:
        return self.limits[pool] - sum(unit[0] == pool for unit in self.used())

    def amounts(self) -> dict[QuotaPool, Amount]:
        """Give what GetSubInfo tells: nothing of the Hong Kong securities."""
        return {
            pool: Amount(sum(unit[0] == pool for unit in self.used()), max(0, self.left(pool)))
            for pool in self.limits
            if pool != "sf_book"
        }

    def fits(self, topics: Iterable[Topic]) -> bool:
        new = all_units(topics) - self.used()
        return all(
            sum(unit[0] == pool for unit in new) <= max(0, self.left(pool)) for pool in self.limits
        )

    def subscribe(self, topics: Iterable[Topic]) -> None:
        topics = set(topics)
        if topics & self.bad or not self.fits(topics):
            raise Refused
        for topic in topics:
            self.own.setdefault(topic, self.now)

    def unsubscribe(self, topics: Iterable[Topic]) -> None:
        if self.stubborn.intersection(topics):
            raise Refused
        for topic in topics:
            assert self.now >= self.own[topic] + MINIMUM, "too early"
            del self.own[topic]

    def disconnect(self) -> None:
        self.closed.update(self.own)
        self.own.clear()


class Play:
    """A planner in that world, and somebody who does what it says, as the subscriber does."""

    def __init__(
        self, limits: Mapping[QuotaPool, int], linger: float, pinned: tuple[Topic, ...]
    ) -> None:
        self.world = World(limits)
        self.linger = linger
        self.pinned = frozenset(pinned)
        self.wanted: dict[Topic, float | None] = {}  # since when it isn't, None while it is
        self.read: set[Topic] = set()  # what reads alone want
        self.for_reads: set[Topic] = set()  # what they wanted since a subscriber did
        sf_securities = limits.get("sf_book")
        pools = (
            Pools(partial(units_of, sf=True), sf_securities=sf_securities)
            if sf_securities
            else Pools()
        )
        self.plans = planner(linger=linger, pinned=pinned, pools=pools)
        self.stock_only = set(limits) == {"stock"}
        self.out_of_quota: dict[Topic, float] = {}
        self.not_before: dict[Topic, float] = {}
        self.room: dict[QuotaPool, int] = {}
        self.counted: Units = frozenset()
        self.others: frozenset[Topic] = frozenset()
        self.tell()

    def tell(self) -> None:
        world = self.world
        self.room = {pool: max(0, world.left(pool)) for pool in world.limits}
        self.counted = world.free()
        self.others = frozenset(world.others)
        self.plans.told(world.amounts(), self.others, world.now)

    def cost(self, topics: Iterable[Topic]) -> Counter[QuotaPool]:
        """Give what topics take beside what is had, as far as was told."""
        new = all_units(topics) - self.counted - all_units(self.plans.held)
        return Counter(pool for pool, _ in new)

    def lacks(self, topic: Topic) -> list[QuotaPool]:
        return [pool for pool, cost in self.cost([topic]).items() if cost > self.room[pool]]

    def wants(self, topic: Topic) -> bool:
        return topic in self.pinned or self.wanted.get(topic, 0.0) is None

    def lingers(self, topic: Topic) -> bool:
        """Return whether a subscriber has left a topic a moment ago."""
        since = self.wanted.get(topic)
        return since is not None and self.world.now < since + self.linger

    def spare(self) -> Units:
        """Return what is taken by what is held on account of reads alone."""
        held = set(self.plans.held)
        spare = {t for t in held & self.for_reads if not self.wants(t) and not self.lingers(t)}
        return all_units(spare) - all_units(held - spare) - all_units(self.others)

    def above_share(self, units: Units) -> set[QuotaPool]:
        """Name the pools of which this is more than reads may have."""
        counts = Counter(pool for pool, _ in units)
        return {pool for pool, count in counts.items() if count > self.world.limits[pool] // 5}

    def new_to_all(self, topics: Iterable[Topic]) -> Units:
        return all_units(topics) - all_units(self.plans.held) - all_units(self.others)

    def missing(self) -> set[Topic]:
        """Give what is wanted, not had, and not refused for now."""
        return self._not_had({t for t in self.wanted if self.wants(t)} | self.pinned)

    def _not_had(self, topics: set[Topic]) -> set[Topic]:
        refused = {
            t
            for t, refusal in self.plans.refusals.items()
            if refusal.retry_at is not None and refusal.retry_at > self.world.now
        }
        return topics - set(self.plans.held) - refused

    def may_go(self, topic: Topic) -> bool:
        now = self.world.now
        return now >= self.world.own[topic] + MINIMUM and self.not_before.get(topic, 0.0) <= now

    def settle(self) -> None:
        """Do what there is to do, and look at each step and at the end of it."""
        turns = 0
        if self.plans.is_outdated(self.world.now):
            self.tell()
        while action := self.plans.next_action(self.world.now):
            turns += 1
            assert turns < 150, "it must come to an end"
            assert 0 < len(action.topics) <= MAX_BATCH
            assert len(set(action.topics)) == len(action.topics)
            assert len({request_group(topic) for topic in action.topics}) == 1
            if isinstance(action, Subscribe):
                self.subscribe(action)
            else:
                self.unsubscribe(action)
        self.look()

    def subscribe(self, action: Subscribe) -> None:
        plans, topics = self.plans, set(action.topics)
        if not all(self.wants(topic) for topic in topics):
            assert topics <= self.read, "what reads want goes by itself"
            self.subscribe_to_read(topics)
        assert not topics & set(plans.held)
        cost = self.cost(topics)
        assert all(cost[pool] <= self.room[pool] for pool in cost), "above the quota told"
        try:
            self.world.subscribe(topics)
        except Refused:
            self.tell()
            if not plans.has_room(action, self.world.now):
                plans.out_of_quota(action, self.world.now)
                until = self.world.now + DOUBT_SECONDS
                self.out_of_quota |= dict.fromkeys(topics, until)
            else:
                plans.refused(action, "bad", self.world.now)
            return
        for pool, units in cost.items():
            self.room[pool] -= units
        plans.done(action, self.world.now)

    def subscribe_to_read(self, topics: set[Topic]) -> None:
        """Look whether reads may have these."""
        new = self.new_to_all(topics)
        pools = {pool for pool, _ in new}
        assert not pools & self.above_share(self.spare() | new), "above the share of reads"
        waiting = {pool for pool, _ in all_units(self.missing())}
        assert not pools & waiting, "a subscriber waits for it"

    def unsubscribe(self, action: Unsubscribe) -> None:
        now, world, missing = self.world.now, self.world, self.missing()
        needed = self.cost(missing)
        lacking = {pool for pool, units in needed.items() if units > self.room[pool]}
        assert set(action.topics) <= set(self.plans.held)
        early = []
        for topic in action.topics:
            assert topic not in self.pinned
            assert self.not_before.get(topic, 0.0) <= now, "it was told to wait"
            above = self.above_share(self.spare()) & {pool for pool, _ in units_in_world(topic)}
            if self.wanted.get(topic, 0.0) is None:
                early.append(topic)
                assert missing & self.pinned, "a wanted one goes for nobody pinned"
            elif self.lingers(topic) or (topic in self.read and not above):
                early.append(topic)
        for topic in early:
            assert lacking & {pool for pool, _ in units_in_world(topic)}, "it makes no room"
        if early and self.stock_only:
            assert len(early) <= max(0, needed["stock"] - self.room["stock"]), "more than needed"
        try:
            world.unsubscribe(action.topics)
        except Refused:
            self.plans.refused(action, "too early", now)
            self.not_before.update(dict.fromkeys(action.topics, now + RELEASE_RETRY_SECONDS))
            world.stubborn.difference_update(action.topics)
            return
        self.plans.done(action, now)
        self.tell()

    def look(self) -> None:
        """Nothing is left undone that could be done, and the next time is the right one."""
        plans, world, now = self.plans, self.world, self.world.now
        held = set(plans.held)
        assert held >= set(world.own)
        assert set(plans.refusals) <= world.ever_bad
        missing = self.missing()
        for topic in missing:
            pools = {pool for pool, _ in units_in_world(topic)}
            if now < self.out_of_quota.get(topic, now) and not all(self.room[p] for p in pools):
                continue  # whether it costs nothing is doubted, and nothing is left
            lacking = self.lacks(topic)
            assert lacking, "left out while there is room"
            for pinned in (False, True) if topic in self.pinned else (False,):
                movable = {pool for pool in lacking if self.could_free(pool, pinned=pinned)}
                assert movable != set(lacking), "others may go for it"
        self.look_at_reads(missing)
        for topic in set(world.own) - self.read:
            if not self.wants(topic) and self.may_go(topic):
                assert self.lingers(topic), "it should have gone"
        due = plans.next_time(now)
        assert due is None or due > now, "nobody may spin"
        for moment in (now + 1e6,) if due is None else (now, (now + due) / 2, due - 1e-6):
            if moment >= now:
                assert copy.deepcopy(plans).next_action(moment) is None, "later than needed"
        if due is not None:
            then = copy.deepcopy(plans)
            # (What OpenD has to be asked first is what there is to do then.)
            if not then.is_outdated(due) and then.next_action(due) is None:
                again = then.next_time(due)
                assert again is None or again > due, "nobody may spin then"

    def look_at_reads(self, missing: set[Topic]) -> None:
        """Reads have what is left, and no more."""
        for topic in self._not_had(self.read) if not missing else ():
            new = self.new_to_all([topic])
            room = not self.above_share(self.spare() | new) & {pool for pool, _ in new}
            doubted = self.world.now < self.out_of_quota.get(topic, self.world.now)
            assert doubted or self.lacks(topic) or not room, "left out while reads have room"
        for pool in self.above_share(self.spare()):
            # What has been read counts until it may go.
            read = [
                topic
                for topic in self.for_reads & set(self.world.own)
                if units_in_world(topic) & {one for one in self.spare() if one[0] == pool}
                and not self.lingers(topic)
            ]
            assert not read or not all(self.may_go(topic) for topic in read), "reads have too much"

    def could_free(self, pool: QuotaPool, *, pinned: bool) -> bool:
        """Tell whether all who have some unit may go, for a pinned topic or for any."""
        world = self.world
        holders: dict[object, list[Topic]] = {}
        for topic in world.own:
            for unit in units_in_world(topic) - all_units(self.others):
                if unit[0] == pool:
                    holders.setdefault(unit, []).append(topic)
        return any(
            all(
                self.may_go(t) and t not in self.pinned and (pinned or not self.wants(t))
                for t in topics
            )
            for topics in holders.values()
        )

    def do(self, kind: str, topic: Topic, seconds: float) -> None:
        world, plans = self.world, self.plans
        match kind:
            case "want":
                self.wanted[topic] = None
                self.read.discard(topic)
                self.for_reads.discard(topic)
                plans.want(topic)
            case "read":
                if self.wanted.get(topic, 0.0) is None:
                    self.wanted[topic] = world.now
                if topic not in self.pinned:
                    self.read.add(topic)
                    self.for_reads.add(topic)
                plans.want_to_read(topic, world.now)
            case "release":
                self.read.discard(topic)
                if self.wanted.get(topic, 0.0) is None:
                    self.wanted[topic] = world.now
                plans.release(topic, world.now)
            case "wait":
                world.now += seconds
            case "next":
                world.now = plans.next_time(world.now) or world.now
            case "other takes":
                if world.fits([topic]):
                    world.others.add(topic)
            case "other leaves":
                world.others.discard(topic)
            case "goes bad":
                world.bad.add(topic)
                world.ever_bad.add(topic)
            case "goes good":
                world.bad.discard(topic)
            case "stubborn":
                world.stubborn.add(topic)
            case "check":
                self.check()
            case "lost":
                world.own.pop(topic, None)
                self.linger_no_more([topic])
                self.check()
            case _:
                world.disconnect()
                self.linger_no_more(self.wanted)
                self.not_before.clear()
                self.out_of_quota.clear()
                plans.disconnected(world.now)
                self.tell()

    def linger_no_more(self, topics: Iterable[Topic]) -> None:
        """What isn't held any more, is held for who wants it then."""
        for topic in topics:
            if self.wanted.get(topic) is not None:
                self.wanted[topic] = -math.inf

    def check(self) -> None:
        """Ask OpenD what it has, as is done from time to time."""
        promised = frozenset(self.plans.held)
        self.tell()
        lost = self.plans.confirm(set(self.world.own), promised)
        assert set(lost) == promised - set(self.world.own)


Kind = Literal[
    "want",
    "read",
    "release",
    "wait",
    "next",
    "other takes",
    "other leaves",
    "goes bad",
    "goes good",
    "stubborn",
    "check",
    "lost",
    "disconnect",
]
KINDS: list[Kind] = ["want", "want", "read", "release", "wait", "next", "next", "check"]
RARE: list[Kind] = [
    "other takes",
    "other leaves",
    "goes bad",
    "goes good",
    "stubborn",
    "lost",
    "disconnect",
]
STOCKS = [book(name) for name in "ABCDEF"] + [TRADES_OF_A, Topic("quote", A.symbol)]
OPTIONS = [
    Topic(channel, Symbol(f"US.{option}"))
    for channel in ("orderbook", "quote")
    for option in ("X260914C1000", "X260914P2000", "X260918C1000", "Y260914C1000")
]
HONG_KONG = [
    Topic(channel, Symbol(f"HK.0000{number}"))
    for number in range(1, 4)
    for channel in ("orderbook", "brokers")
]
stocks = st.sampled_from(STOCKS)
all_kinds = st.sampled_from(STOCKS[:4] + OPTIONS + HONG_KONG)


def steps(
    topics: st.SearchStrategy[Topic], kinds: Sequence[Kind] = KINDS
) -> st.SearchStrategy[list[tuple[Kind, Topic, float]]]:
    seconds = st.sampled_from([0.5, 5.0, 30.0, 61.0, 200.0])
    return st.lists(
        st.tuples(st.sampled_from([*kinds, *RARE]), topics, seconds), min_size=10, max_size=50
    )


def pins(topics: st.SearchStrategy[Topic]) -> st.SearchStrategy[tuple[Topic, ...]]:
    return st.lists(topics, unique=True, max_size=2).map(tuple)


def play_through(play: Play, script: list[tuple[Kind, Topic, float]]) -> None:
    play.settle()
    for kind, topic, seconds in script:
        play.do(kind, topic, seconds)
        play.settle()


@pytest.mark.no_cover
@settings(max_examples=examples(150), deadline=None)
@given(st.integers(1, 6), st.sampled_from([0.0, 90.0]), pins(stocks), steps(stocks))
def test_whatever_happens_the_plan_keeps_its_word(
    limit: int, linger: float, pinned: tuple[Topic, ...], script: list[tuple[Kind, Topic, float]]
) -> None:
    """Never above the quota, never too early, nobody left out who fits, no spinning."""
    play_through(Play({"stock": limit}, linger, pinned), script)


@pytest.mark.no_cover
@settings(max_examples=examples(200), deadline=None)
@given(
    st.fixed_dictionaries(
        {"stock": st.integers(1, 6), "option": st.integers(0, 3), "sf_book": st.integers(1, 2)}
    ),
    st.sampled_from([0.0, 90.0]),
    pins(all_kinds),
    steps(all_kinds),
)
def test_the_plan_keeps_its_word_in_every_pool(
    limits: dict[QuotaPool, int],
    linger: float,
    pinned: tuple[Topic, ...],
    script: list[tuple[Kind, Topic, float]],
) -> None:
    """Options wait for options, and books of Hong Kong for two pools at once."""
    play_through(Play(limits, linger, pinned), script)


@pytest.mark.no_cover
@settings(max_examples=examples(100), deadline=None)
@given(
    st.fixed_dictionaries(
        {"stock": st.integers(5, 11), "option": st.integers(2, 8), "sf_book": st.integers(1, 6)}
    ),
    st.sampled_from([0.0, 90.0]),
    pins(all_kinds),
    steps(all_kinds, [*KINDS, "read", "read", "release"]),
)
def test_reads_have_what_is_left(
    limits: dict[QuotaPool, int],
    linger: float,
    pinned: tuple[Topic, ...],
    script: list[tuple[Kind, Topic, float]],
) -> None:
    """A fifth of each pool at most, nothing that a subscriber waits for, and nobody goes for it."""
    play_through(Play(limits, linger, pinned), script)


def test_two_bad_topics_that_share_units_are_not_asked_for_in_turn_for_ever() -> None:
    """Each waits for room, or for two minutes: an answer about the quota begins nothing anew."""
    play = Play({"stock": 9, "option": 0, "sf_book": 2}, 0.0, ())
    books = [Topic("orderbook", Symbol(f"HK.0000{number}")) for number in (1, 2)]
    brokers = [topic._replace(channel="brokers") for topic in books]
    script: list[tuple[Kind, Topic, float]] = [
        *(("want", topic, 0.0) for topic in books),
        *(("goes bad", topic, 0.0) for topic in brokers),
        *(("want", topic, 0.0) for topic in brokers),
    ]
    play_through(play, script)
    assert not play.plans.refusals
    assert [play.plans.quota(topic, 0.0) for topic in brokers] == [Quota(2, 2, None, "sf_book")] * 2
    assert play.plans.next_time(0.0) == DOUBT_SECONDS
    play_through(play, [("goes good", topic, 0.0) for topic in brokers])
    play_through(play, [("next", brokers[0], 0.0)])
    assert set(play.plans.held) == {*books, *brokers}


def test_what_others_have_let_go_of_may_go_for_a_pinned_topic() -> None:
    """That it once freed nothing isn't held against it for ever."""
    play = Play({"stock": 1}, 0.0, (B,))
    script: list[tuple[Kind, Topic, float]] = [
        ("goes bad", B, 0),
        ("want", A, 0),
        ("other takes", A, 0),
        ("goes good", B, 0),
        ("wait", A, 61),
        ("check", A, 0),
        ("other leaves", A, 0),
        ("check", A, 0),
        ("wait", A, 61),
        ("check", A, 0),
    ]
    play_through(play, script)
    assert set(play.plans.held) == {B}


@settings(max_examples=examples(50), deadline=None)
@given(st.sets(st.integers(0, 299), max_size=250), st.sets(st.integers(0, 299), max_size=20))
def test_however_many_are_bad_the_good_ones_get_in(good: set[int], bad: set[int]) -> None:
    """In one go, with less than two requests for each level of halving of each bad one."""
    topics = [book(str(number)) for number in sorted(good | bad)]
    rotten = {book(str(number)) for number in bad}
    plans = planner(*topics, room=PLENTY)
    requests = 0
    while action := plans.next_action(0):
        requests += 1
        assert requests <= 4 + 2 * 7 * len(rotten)
        assert len(action.topics) <= MAX_BATCH
        if rotten.intersection(action.topics):
            plans.refused(action, "bad", 0)
        else:
            plans.done(action, 0)
    assert set(plans.held) == set(topics) - rotten
    assert set(plans.refusals) == rotten


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_retries_are_spread(chance: float) -> None:
    """Chance takes away up to half of the wait."""
    plans = SubscriptionPlanner(MINIMUM, random=lambda: chance)
    plans.want(A)
    plans.refused(take(plans, 0), "no", 0)
    assert plans.next_time(0) == FIRST_RETRY * (0.5 + chance / 2)


def test_what_is_read_comes_after_what_is_subscribed() -> None:
    """In a request of its own, and a fifth of the quota at most."""
    plans = planner(A, room=11)
    for topic in (B, C, D):
        plans.want_to_read(topic, 0)
    assert plans.next_action(0) == Subscribe((A,))
    plans.done(Subscribe((A,)), 0)
    plans.told({"stock": Amount(1, 10)}, ())
    assert plans.next_action(0) == Subscribe((B, C))
    plans.done(Subscribe((B, C)), 0)
    assert plans.next_action(0) is None
    assert plans.waits_to_be_read(B, 0) is None
    waits = plans.waits_to_be_read(D, 0)
    assert waits is not None
    assert waits[0] == Quota(2, 2, None)
    assert waits[1].startswith("reads may have a fifth of the account's subscriptions, and 2 of 2")
    plans.want(D)
    assert plans.waits_to_be_read(D, 0) is None
    assert plans.next_action(0) == Subscribe((D,))


def test_what_is_read_no_more_does_not_linger_twice() -> None:
    """Whoever counts reads has waited already; OpenD's minimum holds."""
    plans = planner(linger=LINGER)
    plans.want_to_read(A, 0)
    meet(plans, 0)
    plans.release(A, 10)
    assert plans.next_action(59) is None
    assert plans.next_time(59) == 60
    plans.want_to_read(A, 59)
    assert plans.next_time(59) is None
    plans.release(A, 300)
    assert plans.next_action(300) == Unsubscribe((A,))


def test_what_subscribers_leave_to_reads_lingers_for_them_first() -> None:
    """Then it counts as read, and what is more than reads may have goes."""
    plans = planner(A, B, held_since=0, linger=LINGER, room=9)
    plans.told({"stock": Amount(2, 7)}, ())
    for topic in (A, B):
        plans.want_to_read(topic, 50)
    assert plans.next_action(149) is None
    assert plans.next_time(149) == 150
    assert plans.next_action(150) == Unsubscribe((B,))
    plans.done(Unsubscribe((B,)), 150)
    assert plans.next_action(1000) is None
    assert set(plans.held) == {A}


def test_what_is_read_goes_for_a_subscriber() -> None:
    """After what nobody wants, as soon as OpenD lets it; and none comes while somebody waits."""
    plans = planner(A, held_since=0, linger=LINGER, room=5)
    for number in range(3):
        plans.want(book(f"S{number}"))
    plans.want_to_read(B, 0)
    meet(plans, 0)
    plans.release(A, 1)
    plans.want(C)
    plans.want(D)
    plans.want_to_read(TRADES_OF_A, 1)
    assert plans.next_action(59) is None
    assert plans.next_time(59) == 60
    assert plans.next_action(60) == Unsubscribe((A, B))
    only_c = copy.deepcopy(plans)
    only_c.release(D, 1)
    assert only_c.next_action(60) == Unsubscribe((A,))
    waits = plans.waits_to_be_read(TRADES_OF_A, 60)
    assert waits is not None
    assert "quota is used up: 5 of 5" in waits[1]
    plans.done(Unsubscribe((A, B)), 60)
    plans.told({"stock": Amount(3, 2)}, ())
    assert plans.next_action(60) == Subscribe((C, D))


def test_nothing_goes_for_a_read() -> None:
    """Not even what nobody wants any more."""
    plans = planner(A, B, C, D, book("E"), held_since=0, linger=LINGER, room=5)
    plans.release(A, 0)
    plans.want_to_read(TRADES_OF_A, 0)
    assert plans.next_action(99) is None
    assert plans.next_time(99) == 100
    plans.done(take(plans, 100), 100)
    assert plans.next_action(100) == Subscribe((TRADES_OF_A,))


def test_reads_take_nothing_of_a_pool_that_a_subscriber_waits_for() -> None:
    """Though there is room in it, and another pool is what lacks."""
    first, second = (Topic("orderbook", Symbol(f"HK.0000{number}")) for number in (1, 2))
    plans = planner(first, second, pools=Pools(partial(units_of, sf=True), sf_securities=1))
    plans.told({"stock": Amount(0, 50)}, (), 0)
    plans.want_to_read(A, 0)
    meet(plans, 0)
    assert set(plans.held) == {first}
    waits = plans.waits_to_be_read(A, 0)
    assert waits is not None
    assert "is for those who subscribe" in waits[1]
    plans.release(second, 1)
    assert plans.next_action(1) == Subscribe((A,))


def test_a_pinned_topic_is_no_concern_of_reads() -> None:
    """It stays whoever reads it."""
    plans = planner(pinned=[A])
    meet(plans, 0)
    plans.want_to_read(A, 0)
    plans.release(A, 1)
    assert plans.next_action(1000) is None
    assert set(plans.held) == {A}


def test_without_word_from_opend_reads_have_a_fifth_of_the_smallest_account() -> None:
    """Nobody knows how much there is."""
    plans = planner()
    for number in range(30):
        plans.want_to_read(book(str(number)), 0)
    meet(plans, 0)
    assert len(plans.held) == 20


def test_a_connection_knows_of_no_quota_until_it_is_told() -> None:
    """Then nothing waits for one: OpenD may refuse."""
    plans = SubscriptionPlanner(MINIMUM)
    plans.want(A)
    assert not plans.knows_quota
    assert plans.has_room(Subscribe((A,)), 0)
    plans.told({"stock": Amount(1, 0)}, ())
    assert plans.knows_quota
    assert not plans.has_room(Subscribe((A,)), 0)
    plans.disconnected(0)
    assert not plans.knows_quota
