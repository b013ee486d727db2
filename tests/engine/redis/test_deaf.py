"""Redis is well, but what it tells a node gets lost: that is noticed, and read again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bookcast.backend.redis import RedisTimes
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.demand.redis import DemandTimes
from bookcast.engine.redis.engine import RedisRules
from bookcast.engine.redis.times import EngineTimes
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Symbol, Topic
from tests.backplane.links import KEYS
from tests.engine.nodes import (
    NEVER_AUDITS,
    EngineNode,
    backend,
    books,
    kill_subscriptions,
    node,
    nodes,
    sizes,
    trade,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, PATIENCE, TRADES, eventually


async def test_a_subscription_that_is_killed_loses_no_trade(tmp_path: Path) -> None:
    """However often, while others publish."""
    with RedisServer(tmp_path) as server:
        async with node(server.url, "one") as one, node(server.url, "two") as other:
            await other.follow(TRADES)
            last = None
            for number in range(300):
                [last] = await one.engine.publish(trade(TRADES, number))
                if number in {50, 150, 151, 299}:
                    kill_subscriptions(server)
            assert last is not None
            await other.has(TRADES, last)
            assert sizes(other.delivered) == list(range(300))
            await eventually(
                lambda: other.engine.numbers()["subscriptions_lost"] >= 1, "it to be counted"
            )
            assert not other.engine.is_away


async def test_a_subscriber_that_is_too_slow_for_redis_loses_no_trade(tmp_path: Path) -> None:
    """Redis cuts it off without a word when too much waits for it."""
    limit = "client-output-buffer-limit pubsub 64kb 0 0"
    with RedisServer(tmp_path, config=[limit]) as server:
        async with node(server.url, "one") as one, node(server.url, "two") as other:
            await other.follow(TRADES)
            for start in range(0, 3000, 1000):
                sizes_ = range(start, start + 1000)
                [*_, last] = await one.engine.publish(trade(TRADES, *sizes_))
                await other.has(TRADES, last)
            assert sizes(other.delivered) == list(range(3000))
            assert other.engine.numbers()["subscriptions_lost"] >= 1


async def test_more_than_the_history_is_a_hole_that_shows_in_the_numbers(tmp_path: Path) -> None:
    """The order holds, and it ends on the newest."""
    limit = "client-output-buffer-limit pubsub 64kb 0 0"
    rules = RedisRules(100, LogRules(100))
    with RedisServer(tmp_path, config=[limit]) as server:
        async with (
            node(server.url, "one", rules=rules) as one,
            node(server.url, "two", rules=rules) as other,
        ):
            await other.follow(TRADES)
            [*_, last] = await one.engine.publish(trade(TRADES, *range(2000)))
            await other.has(TRADES, last)
            assert other.seqs(TRADES) == list(range(1901, 2001))


async def run_apart(
    proxy: FaultyProxy, url: str, monkeypatch: pytest.MonkeyPatch, times: RedisTimes
) -> tuple[EngineNode, Link]:
    """Start a node that listens by way of a proxy, and does everything else directly."""
    apart = EngineNode(backend(url, "apart", times=times))
    way = Link(
        LinkSettings(f"redis://127.0.0.1:{proxy.port}/0", timeout=0.5), apart.engine._breaker
    )
    monkeypatch.setattr(apart.engine._link, "pubsub", way.pubsub)
    await apart.start()
    await apart.hears()
    return apart, way


async def test_a_dead_subscription_is_found_by_its_silence(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes and nothing breaks, but a node that can't hear itself knows."""
    times = RedisTimes(pulse=PulseTimes(pulse=0.05, deaf=0.5), engine=NEVER_AUDITS)
    async with FaultyProxy(redis_server.port) as proxy, node(redis_url, "one", times=times) as one:
        apart, way = await run_apart(proxy, redis_url, monkeypatch, times)
        try:
            await apart.follow(TRADES)
            proxy.stall()
            await one.engine.publish(trade(TRADES, 1, 2))
            await eventually(
                lambda: apart.engine.numbers()["subscriptions_lost"] >= 1, "it to be noticed"
            )
            assert apart.engine.status().state == "deaf"
            assert "pulse isn't heard" in (apart.engine.status().detail or "")
            assert apart.delivered == []
            assert not apart.engine.is_away
            proxy.flow()
            await apart.hears()
            [last] = await one.engine.publish(trade(TRADES, 3))
            await apart.has(TRADES, last)
            assert sizes(apart.delivered) == [1, 2, 3]
            assert apart.engine.status().state == "connected"
        finally:
            await apart.stop()
            await way.close()


async def test_who_hears_nothing_still_gets_updates_by_looking(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slower, but each of them; new topics as well."""
    times = RedisTimes(engine=EngineTimes(audit=0.05, arrival=0.01))
    async with FaultyProxy(redis_server.port) as proxy, node(redis_url, "one", times=times) as one:
        apart, way = await run_apart(proxy, redis_url, monkeypatch, times)
        try:
            await apart.follow(TRADES)
            proxy.stall()
            [_, last] = await one.engine.publish(trade(TRADES, 1, 2))
            await apart.has(TRADES, last)
            [position] = await one.engine.publish(books(AAPL, 1))
            await asyncio.wait_for(apart.engine.prepare([AAPL]), PATIENCE)
            apart.deliveries.want(AAPL)
            await apart.has(AAPL, position)
            [last] = await one.engine.publish(trade(TRADES, 3))
            await apart.has(TRADES, last)
            assert sizes(u for u in apart.delivered if u.topic == TRADES) == [1, 2, 3]
            assert apart.engine.numbers()["repaired"] >= 2
        finally:
            await apart.stop()
            await way.close()


async def test_one_message_lost_on_a_quiet_topic_is_found(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although nothing comes after it that would show the hole."""
    times = RedisTimes(engine=EngineTimes(audit=0.05, arrival=0.01))
    async with nodes(redis_url, "one", "two", times=times) as (one, other):
        await other.follow(TRADES, AAPL)
        with monkeypatch.context() as lossy:
            lossy.setattr(other.backend._plane.subscriber, "_hear", lambda _channel, _message: None)
            [_, last, book] = await one.engine.publish([*trade(TRADES, 1, 2), *books(AAPL, 1)])
            await other.has(TRADES, last)
            await other.has(AAPL, book)
        assert other.seqs(TRADES) == [1, 2]
        assert other.engine.numbers()["repaired"] == 2


async def test_one_message_lost_on_a_busy_topic_is_found_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one shows it."""
    times = RedisTimes(engine=NEVER_AUDITS)
    async with nodes(redis_url, "one", "two", times=times) as (one, other):
        await other.follow(TRADES)
        hear = other.backend._plane.subscriber._hear
        channel = KEYS.topic(TRADES)[2]
        lost: list[bytes] = []

        def lose_every_third(where: str, message: bytes) -> None:
            if where == channel:
                lost.append(message)
            if where != channel or len(lost) % 3:
                hear(where, message)

        monkeypatch.setattr(other.backend._plane.subscriber, "_hear", lose_every_third)
        for number in range(1, 101):
            [last] = await one.engine.publish(trade(TRADES, number))
        await other.has(TRADES, last)
        assert sizes(other.delivered) == list(range(1, 101))
        assert other.engine.numbers()["repaired"] >= 1


@pytest.mark.no_cover
async def test_thousands_of_topics_are_subscribed_again(tmp_path: Path) -> None:
    """More than one command names."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(2500)]
    with RedisServer(tmp_path) as server:
        async with node(server.url, "one") as one, node(server.url, "two") as other:
            await other.follow(*topics)
            kill_subscriptions(server)
            await eventually(
                lambda: other.engine.numbers()["subscriptions_lost"] >= 1, "it to be noticed"
            )
            await other.hears()
            await one.engine.publish([one_ for topic in topics for one_ in books(topic, 1)])
            await eventually(lambda: len(other.delivered) == len(topics), "all topics")
            kill_subscriptions(server)
            await eventually(
                lambda: other.engine.numbers()["subscriptions_lost"] == 2, "it to be noticed"
            )
            await other.hears()
            assert len(other.delivered) == len(topics)


async def test_what_redis_has_forgotten_is_told_anew(
    redis_url: str, redis_server: RedisServer
) -> None:
    """All data are deleted while everything runs: the demand, who lives, the newest states.

    Trades aren't told twice.
    """
    times = RedisTimes(
        pulse=PulseTimes(pulse=0.05),
        demand=DemandTimes(look=0.05),
        engine=EngineTimes(audit=0.1),
    )
    async with (
        node(redis_url, "one", times=times) as one,
        node(redis_url, "two", times=times, feeds=False) as other,
    ):
        await one.leads()
        await other.follow(TRADES, AAPL)
        await eventually(lambda: one.wanted == {TRADES, AAPL}, "the demand")
        before = await one.engine.publish([*trade(TRADES, 1), *books(AAPL, 1)], fence=one.fence)
        await other.has(AAPL, before[1])
        redis_server.cli("FLUSHALL")
        state = KEYS.topic(AAPL).state
        await eventually(lambda: redis_server.cli("HGET", state, "s") == "1", "the book")
        epoch = redis_server.cli("HGET", state, "e")
        assert epoch != before[1].epoch
        await eventually(
            lambda: redis_server.cli("SCARD", KEYS.demand("two")) == "2", "the demand again"
        )
        await eventually(lambda: one.wanted == {TRADES, AAPL}, "the feed to be told")
        await eventually(lambda: redis_server.cli("GET", KEYS.lock) != "", "a lock again")
        await one.leads()
        after = await one.engine.publish([*trade(TRADES, 2), *books(AAPL, 2)], fence=one.fence)
        await other.has(TRADES, after[0])
        await other.has(AAPL, after[1])
        assert [position.seq for position in after] == [1, 2]
        assert after[1].epoch == epoch
        assert {position.epoch for position in after}.isdisjoint(
            position.epoch for position in before
        )
        assert sizes(other.delivered) == [1, 1, 2, 2]
        assert not other.engine.is_away
        assert (one.returned, other.returned) == (1, 1)


async def test_what_a_node_wants_outlives_its_standing_still(
    redis_url: str, redis_server: RedisServer
) -> None:
    """A process that was stopped for a while counts as dead, and as alive again afterwards."""
    times = RedisTimes(pulse=PulseTimes(pulse=0.05))
    async with nodes(redis_url, "one", "two", times=times) as (one, other):
        await one.leads()
        await other.follow(AAPL)
        await eventually(lambda: one.wanted == {AAPL}, "the demand")
        # What becomes of them when nobody renews them.
        redis_server.cli("DEL", KEYS.demand("two"), KEYS.node("two"))
        await eventually(
            lambda: redis_server.cli("SCARD", KEYS.demand("two")) == "1", "the demand again"
        )
