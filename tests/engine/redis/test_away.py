"""Redis can't be reached, or can't do its work; and is back again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import redis

from bookcast import serve
from bookcast.engine.redis.engine import RedisRules
from bookcast.errors import InvalidInput
from bookcast.model.market_data import Candle, Trades
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.engine.nodes import (
    TIMEOUT,
    EngineNode,
    books,
    sizes,
    trade,
)
from tests.engine.nodes import (
    quick_node as node,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, CANDLES, PATIENCE, QUOTE, TRADES, TSLA, candle, eventually, trades


class Fault(NamedTuple):
    """What is done to a Redis, and how that ends."""

    begin: Callable[[RedisServer], object]
    end: Callable[[RedisServer], object]
    reason: str


def change_password(server: RedisServer) -> None:
    server.cli("CONFIG", "SET", "requirepass", "other")
    with redis.Redis(HOST, server.port, password="other") as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")


def change_password_back(server: RedisServer) -> None:
    with redis.Redis(HOST, server.port, password="other") as client:
        client.config_set("requirepass", "")


FAULTS = {
    "killed": Fault(RedisServer.kill, RedisServer.start, "can't be reached"),
    "paused": Fault(RedisServer.pause, RedisServer.resume, "doesn't answer within REDIS_TIMEOUT"),
    "full": Fault(
        lambda server: server.cli("CONFIG", "SET", "maxmemory", "1"),
        lambda server: server.cli("CONFIG", "SET", "maxmemory", "0"),
        "is full (maxmemory)",
    ),
    "password": Fault(change_password, change_password_back, "refuses the password in REDIS_URL"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_the_feed_goes_on_for_its_own_node_and_then_for_all(
    server: RedisServer, two: list[EngineNode], fault: Fault
) -> None:
    """States are handed in under an epoch of Redis; others learn that trades are missing."""
    one, other = two
    for each in two:
        await each.follow(TRADES, AAPL)
    before = await one.engine.publish([*trade(TRADES, 1), *books(AAPL, 1)], fence=one.fence)
    for each in two:
        await each.has(AAPL, before[1])

    fault.begin(server)
    for each in two:
        await each.away()
        status = each.engine.status()
        assert status.state == "away"
        assert fault.reason in (status.detail or "")
        assert f"{HOST}:{server.port}" in (status.detail or "")
    here = await one.engine.publish([*trade(TRADES, 2, 3), *books(AAPL, 2)], fence=one.fence)
    assert {position.epoch for position in here} == {"local-one-1"}
    assert [position.seq for position in here] == [1, 2, 1]
    assert sizes(one.delivered) == [1, 1, 2, 3, 2]
    assert sizes(other.delivered) == [1, 1]
    with pytest.raises(InvalidInput) as refused:
        await other.engine.publish(books(AAPL, 9))
    assert (refused.value.code, refused.value.retry_after) == ("engine_unavailable", 1.0)
    assert fault.reason in str(refused.value.message)
    snapshot = await one.engine.snapshot(AAPL)
    assert snapshot is not None
    assert snapshot.position == here[2]

    loop = asyncio.get_running_loop()
    fault.end(server)
    ended = loop.time()
    for each in two:
        await each.back()
        assert each.returned == 1
    assert loop.time() - ended < PATIENCE / 3
    await eventually(lambda: sizes(other.delivered) == [1, 1, 2], "the book at the other")
    state = other.delivered[-1]
    assert state.position.epoch not in {"local-one-1", before[1].epoch}
    await one.has(AAPL, state.position)
    await one.hears()
    await other.hears()
    [position] = await one.engine.publish(trade(TRADES, 4), fence=one.fence)
    for each in two:
        await each.has(TRADES, position)
    assert [size for one_ in other.delivered for size in sizes([one_])] == [1, 1, 2, 4]
    assert other.delivered[-1].engine_restored
    assert position.epoch != before[0].epoch
    assert [one_.position.epoch for one_ in one.delivered[2:5]] == ["local-one-1"] * 3
    assert one.delivered[-1] == other.delivered[-1]
    assert one.lost == 0
    [position] = await one.engine.publish(trade(TRADES, 5), fence=one.fence)
    await other.has(TRADES, position)
    assert position.epoch == other.delivered[-2].position.epoch


@pytest.mark.parametrize("persist", [False, True])
async def test_a_redis_that_was_started_anew_begins_new_epochs(
    tmp_path: Path, persist: bool
) -> None:
    """It may have lost what it had said last. Where it knows the numbers, they go on."""
    with RedisServer(tmp_path, persist=persist) as server:
        async with (
            node(server.url, "one", patience=TIMEOUT) as one,
            # It would take over the lock that Redis has forgotten.
            node(server.url, "two", patience=TIMEOUT, feeds=False) as other,
        ):
            running = (one, other)
            await other.follow(TRADES, AAPL)
            before = await one.engine.publish(
                [*trade(TRADES, 1, 2), *books(AAPL, 1)], fence=one.fence
            )
            await other.has(AAPL, before[2])
            server.kill()
            server.start()
            await eventually(
                lambda: one.engine.numbers()["subscriptions_lost"] >= 1, "it to be noticed"
            )
            for each in running:
                await each.back()
                await each.hears()
            after = await one.engine.publish([*trade(TRADES, 3), *books(AAPL, 2)], fence=one.fence)
            await other.has(TRADES, after[0])
            await other.has(AAPL, after[1])
            print_, book = (position.seq for position in after)
            assert print_ == (3 if persist else 1)
            assert book in ({2} if persist else {1, 2})  # the one before was told again, or not yet
            assert {one_.epoch for one_ in after}.isdisjoint(one_.epoch for one_ in before)
            assert sorted(sizes(other.delivered)) == [1, 1, 2, 2, 3]


async def test_what_anybody_publishes_goes_to_their_own_node_where_that_is_wanted(
    server: RedisServer,
) -> None:
    """And is handed in afterwards."""
    rules = RedisRules(local=True)
    async with (
        node(server.url, "one", rules=rules, patience=TIMEOUT) as one,
        node(server.url, "two", rules=rules, patience=TIMEOUT, feeds=False) as other,
    ):
        await one.follow(AAPL)
        await other.follow(AAPL, QUOTE)
        server.kill()
        await other.away()
        [position] = await other.engine.publish(books(AAPL, 1))
        assert (position.epoch, position.seq) == ("local-two-1", 1)
        await other.engine.publish(books(TSLA, 5))
        assert sizes(other.delivered) == [1]
        assert {head.topic for head in await other.engine.heads()} == {AAPL, TSLA}
        assert await other.engine.past(AAPL) == other.delivered
        other.deliveries.want(TSLA)
        assert sizes(other.delivered) == [1, 5]
        server.start()
        await eventually(lambda: sizes(one.delivered) == [1], "the book at the other")
        snapshot = await one.engine.snapshot(TSLA)
        assert snapshot is not None
        assert sizes([snapshot]) == [5]
        await other.has(AAPL, one.delivered[0].position)
        assert other.delivered[-1].engine_restored or other.delivered[-2].engine_restored


@pytest.mark.no_cover
async def test_what_is_kept_meanwhile_is_bounded(server: RedisServer) -> None:
    """However much is published."""
    async with node(server.url, "one", patience=TIMEOUT) as one:
        await one.leads()
        server.kill()
        await one.away()
        for start in range(0, 100_000, 10_000):
            many = range(start, start + 10_000)
            await one.engine.publish(trade(TRADES, *many), fence=one.fence)
            await one.engine.publish(books(AAPL, *many), fence=one.fence)
        assert sizes(await one.engine.past(TRADES)) == list(range(99_000, 100_000))
        assert sizes(await one.engine.past(AAPL)) == [99_999]
        server.start()
        await one.back()
        snapshot = await one.engine.snapshot(AAPL)
        await eventually(
            lambda: AAPL in one.engine._log_sync.gap_detector or snapshot is not None, "Redis"
        )


async def test_a_final_candle_of_meanwhile_is_no_state_to_hand_in(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """The next one begins anew; one that was forming is handed in."""
    one, other = two
    forming = Topic("candles", Symbol("US.TSLA"), "1m")
    await other.follow(CANDLES, forming)
    await one.engine.publish(
        [Publication(CANDLES, candle(1, final=True)), Publication(forming, candle(1))]
    )
    await eventually(lambda: len(other.delivered) == 2, "both")
    server.pause()
    await one.away()
    await one.engine.publish(
        [Publication(CANDLES, candle(2, final=True)), Publication(forming, candle(2))],
        fence=one.fence,
    )
    server.resume()
    await eventually(lambda: len(other.delivered) == 3, "the forming one")
    assert (other.delivered[-1].topic, other.delivered[-1].data) == (forming, candle(2))
    await one.engine.publish([Publication(CANDLES, candle(3, final=True))], fence=one.fence)
    await eventually(lambda: len(other.delivered) == 4, "the next final one")
    assert (other.delivered[-1].data, other.delivered[-1].engine_restored) == (
        candle(3, final=True),
        True,
    )
    assert other.delivered[-1].position.epoch != other.delivered[0].position.epoch


async def test_a_node_that_starts_without_redis_joins_when_it_is_there(
    server: RedisServer,
) -> None:
    """Its own clients are served meanwhile."""
    rules = RedisRules(local=True)
    server.kill()
    async with node(server.url, "one", patience=TIMEOUT, rules=rules, hears=False) as one:
        assert one.engine.is_away
        assert one.engine.status().state == "away"
        await asyncio.wait_for(one.engine.prepare([AAPL, TRADES]), PATIENCE)
        one.deliveries.want(AAPL)
        await one.engine.publish([*books(AAPL, 1), *trade(TRADES, 1)])
        one.deliveries.want(TRADES)
        assert sizes(one.delivered) == [1, 1]
        server.start()
        await one.back()
        await one.hears()
        await one.leads()
        await eventually(lambda: sizes(one.delivered) == [1, 1, 1], "the state, handed in")
        [position] = await one.engine.publish(trade(TRADES, 2), fence=one.fence)
        await one.has(TRADES, position)
        assert sizes(one.delivered) == [1, 1, 1, 2]
        assert one.delivered[-1].engine_restored


async def test_topics_that_were_asked_for_meanwhile_come_afterwards(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """With what Redis knows of them."""
    one, other = two
    await one.engine.publish([*books(AAPL, 1), *trade(TRADES, 1, 2)])
    server.pause()
    await other.away()
    await asyncio.wait_for(other.engine.prepare([AAPL, TRADES]), PATIENCE)
    other.deliveries.want(AAPL)
    other.deliveries.want(TRADES)
    assert await other.engine.snapshot(AAPL) is None
    assert await other.engine.heads() == []
    assert other.delivered == []
    server.resume()
    await eventually(lambda: sorted(sizes(other.delivered)) == [1, 1, 2], "what was known")
    await eventually(lambda: one.wanted == {AAPL, TRADES}, "the demand")


def counted(topic: Topic, *numbers: int) -> list[Publication]:
    """Make publications of trades, or of final candles."""
    return [Publication(topic, data) for data in data_of(topic, *numbers)]


def data_of(topic: Topic, *numbers: int) -> list[Trades | Candle]:
    """Return a trade, or a final candle, for each number."""
    if topic == TRADES:
        return [trades(number) for number in numbers]
    return [candle(number, final=True) for number in numbers]


@pytest.mark.parametrize("topic", [TRADES, CANDLES])
async def test_what_was_before_an_outage_is_kept_again_after_it(
    server: RedisServer, topic: Topic
) -> None:
    """What the node published alone took its place meanwhile; nobody is shown it twice."""
    rules = RedisRules(local=True)
    async with (
        node(server.url, "one", patience=TIMEOUT, rules=rules) as one,
        node(server.url, "two", patience=TIMEOUT, rules=rules, feeds=False) as two,
    ):
        await one.leads()
        await two.follow(topic)
        await one.engine.publish(counted(topic, 1, 2, 3))
        await eventually(lambda: len(two.delivered) == 3, "what was before")
        server.pause()
        await one.away()
        await two.away()
        await two.engine.publish(counted(topic, 100))
        assert [one.data for one in await two.engine.past(topic)] == data_of(topic, 100)
        server.resume()
        await one.back()
        await two.back()
        await one.hears()
        await two.hears()
        past = await two.engine.past(topic)
        assert [one.data for one in past] == data_of(topic, 1, 2, 3)
        [position] = await one.engine.publish(counted(topic, 4))
        await two.has(topic, position)
        assert [one.data for one in two.delivered] == data_of(topic, 1, 2, 3, 100, 4)
        assert two.delivered[-1].engine_restored
        log = two.engine.open_now(topic).log
        await eventually(lambda: len(log.past()) == 4, "what was before, again")
        assert [one.data for one in log.past()] == data_of(topic, 1, 2, 3, 4)


async def test_what_redis_says_while_a_node_goes_on_alone_is_shown_afterwards(
    server: RedisServer,
) -> None:
    """From where the node was: nothing of it is passed over."""
    rules = RedisRules(local=True)
    async with (
        FaultyProxy(server.port) as way,
        node(server.url, "one", patience=TIMEOUT, rules=rules) as one,
        node(f"redis://{HOST}:{way.port}/0", "two", patience=TIMEOUT, rules=rules) as two,
    ):
        await two.follow(TRADES)
        await one.engine.publish(trade(TRADES, 1))
        await eventually(lambda: sizes(two.delivered) == [1], "what was before")
        two.engine._breaker.fail("it is slow to answer")
        await two.engine.publish(trade(TRADES, 100))
        await one.engine.publish(trade(TRADES, 2))
        await one.engine.publish(trade(TRADES, 3))
        await two.back()
        await eventually(lambda: sizes(two.delivered) == [1, 100, 2, 3], "all of it")


@pytest.mark.parametrize("ready_without_redis", [True, False])
async def test_a_node_is_not_ready_before_it_has_reached_redis_once(
    tmp_path: Path, ready_without_redis: bool
) -> None:
    """Whatever READY_WITHOUT_REDIS says; afterwards that decides."""
    redis = RedisServer(tmp_path)
    redis.start()
    redis.stop()
    async with (
        serve(port=0, redis_url=redis.url, ready_without_redis=ready_without_redis) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        unready = await http.get("/readyz")
        assert unready.status_code == 503
        assert "hasn't been reached yet" in unready.json()["detail"]
        assert f"127.0.0.1:{redis.port}" in unready.json()["detail"]
        redis.start()
        try:
            await eventually(lambda: server._unready() is None, "the node to be ready")
        finally:
            redis.stop()
        engine = server.parts.backend.engine
        assert engine is not None
        await eventually(lambda: engine.status().state == "away", "the node to notice")
        ready = (await http.get("/readyz")).status_code == 200
        assert ready is ready_without_redis
