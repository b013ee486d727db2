"""A replica takes over from a Redis that dies, or becomes one."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from bookcast.engine.redis.times import EngineTimes
from bookcast.model.updates import Publication
from tests.engine.nodes import QUICKER, TIMEOUT, EngineNode, books, sizes, trade
from tests.engine.nodes import node as any_node
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, CANDLES, QUOTE, TRADES, TSLA, candle, eventually

node = functools.partial(
    any_node, times=msgspec.structs.replace(QUICKER, engine=EngineTimes(audit=0.3))
)


@pytest.fixture
def replica(tmp_path: Path, server: RedisServer) -> Iterator[RedisServer]:
    """Give a Redis that has what the first one has."""
    with RedisServer(tmp_path / "replica", config=[f"replicaof {HOST} {server.port}"]) as running:
        yield running


async def in_step(server: RedisServer, replica: RedisServer) -> None:
    """Wait until the replica has everything."""

    def has_all() -> bool:
        return "up" in replica.cli("INFO", "replication") and server.cli("WAIT", 1, 50) == "1"

    await eventually(has_all, "the replica")


async def take_over(
    server: RedisServer, replica: RedisServer, name: FaultyProxy, *nodes: EngineNode
) -> None:
    """Let the first one die, and the replica have its name; wait until nodes are there."""
    server.kill()
    for each in nodes:
        await each.away()  # else it may find only now and then that its connections are dead
    name.target = (HOST, replica.port)
    for each in nodes:
        await each.back()
        await each.hears()


@asynccontextmanager
async def named(server: RedisServer) -> AsyncIterator[tuple[FaultyProxy, EngineNode, EngineNode]]:
    """Give a name for a Redis that can move, and two nodes that know no other."""
    async with FaultyProxy(server.port) as name:
        url = f"redis://{HOST}:{name.port}/0"
        async with (
            node(url, "one", patience=TIMEOUT) as one,
            node(url, "two", patience=TIMEOUT) as other,
        ):
            await one.leads()
            await other.follow(AAPL, TSLA, TRADES)
            yield name, one, other


async def test_what_a_replica_has_not_got_is_told_again_and_never_numbered_twice(
    server: RedisServer, replica: RedisServer
) -> None:
    """Quiet books too: whoever asks afterwards gets the newest."""
    async with named(server) as (name, one, other):
        await one.engine.publish(
            [*books(AAPL, 1), *books(TSLA, 1), *trade(TRADES, 1)], fence=one.fence
        )
        await in_step(server, replica)
        replica.cli("REPLICAOF", "NO", "ONE")  # from now on it lags
        last = await one.engine.publish([*books(AAPL, 2), *trade(TRADES, 2)], fence=one.fence)
        await other.has(AAPL, last[0])
        await other.has(TRADES, last[1])
        await take_over(server, replica, name, one, other)

        async with node(replica.url, "new", patience=TIMEOUT) as new:
            await new.follow(AAPL, TSLA)
            await eventually(lambda: 2 in sizes(new.delivered), "the newest book")
            await one.leads()
            [next_] = await one.engine.publish(trade(TRADES, 3), fence=one.fence)
            assert next_.epoch != last[1].epoch
            await other.has(TRADES, next_)
            [next_] = await one.engine.publish(books(AAPL, 3), fence=one.fence)
            await other.has(AAPL, next_)
            await new.has(AAPL, next_)
        for topic in (AAPL, TSLA, TRADES):
            shown = [update for update in other.delivered if update.topic == topic]
            places = [update.position for update in shown]
            assert len(set(places)) == len(places)
            assert sizes(shown) == sorted(sizes(shown))
        trades = [update for update in other.delivered if update.topic == TRADES]
        assert sizes(trades) == [1, 2, 3]


async def test_a_redis_that_becomes_a_replica_is_left(
    server: RedisServer, replica: RedisServer
) -> None:
    """Although it is there and answers: the other one has its name by now."""
    async with named(server) as (name, one, other):
        await one.engine.publish(books(AAPL, 1), fence=one.fence)
        await in_step(server, replica)
        name.target = (HOST, replica.port)
        replica.cli("REPLICAOF", "NO", "ONE")
        server.cli("REPLICAOF", HOST, replica.port)
        await one.leads()
        await eventually(lambda: one.engine.status().state == "connected", "the other Redis")
        [position] = await one.engine.publish(books(AAPL, 2), fence=one.fence)
        if position.epoch.startswith("local"):  # this was the write that found out
            await one.back()
            [position] = await one.engine.publish(books(AAPL, 3), fence=one.fence)
        await other.has(AAPL, position)
        seq = replica.cli("HGET", one.engine._link.keys.topic(AAPL).state, "s")
        assert seq == str(position.seq)
        assert one.engine.numbers()["given_back"] == 0


async def test_a_replica_alone_is_no_redis_to_publish_in(
    server: RedisServer, replica: RedisServer
) -> None:
    """It says so, and this node goes on by itself."""
    async with node(replica.url, "one", patience=TIMEOUT, hears=False) as one:
        await one.away()
        assert "is a replica, and takes no writes" in (one.engine.status().detail or "")
        replica.cli("REPLICAOF", "NO", "ONE")
        await one.back()
        await one.leads()
        [position] = await one.engine.publish(books(QUOTE._replace(channel="orderbook"), 1))
        assert position.seq == 1


async def test_a_replica_that_lags_may_have_the_book_of_a_faster_clock(
    server: RedisServer, replica: RedisServer
) -> None:
    """Places tell what came last, whatever time their nodes thought that it was."""
    async with named(server) as (name, one, other):
        await one.follow(AAPL)
        ahead = other.engine._batch_publisher
        ahead._clock = lambda: time.time() + 60
        await other.engine.publish(books(AAPL, 1))
        await in_step(server, replica)
        replica.cli("REPLICAOF", "NO", "ONE")
        [last] = await one.engine.publish(books(AAPL, 2))
        await other.has(AAPL, last)
        server.kill()
        name.target = (HOST, replica.port)
        state = one.engine._link.keys.topic(AAPL).state
        await eventually(lambda: replica.cli("HGET", state, "s") == "2", "the newer book")
        for each in (one, other):
            await each.hears()
            assert sizes(each.delivered)[-1] == 2


async def test_a_failback_numbers_nothing_twice(server: RedisServer, replica: RedisServer) -> None:
    """The first one is the same process, but lacks what it had said: it took the other's data."""
    async with named(server) as (name, one, other):
        await one.engine.publish(trade(TRADES, 1))
        await in_step(server, replica)
        replica.cli("REPLICAOF", "NO", "ONE")
        for number in (2, 3):
            [before] = await one.engine.publish(trade(TRADES, number))
        await other.has(TRADES, before)
        name.target = (HOST, replica.port)
        server.cli("REPLICAOF", HOST, replica.port)
        name.cut()
        await in_step(replica, server)
        server.cli("REPLICAOF", "NO", "ONE")
        name.target = (HOST, server.port)
        replica.cli("REPLICAOF", HOST, server.port)
        name.cut()
        for each in (one, other):
            await each.back()
            await each.hears()
        for number in (4, 5):
            [after] = await one.engine.publish(trade(TRADES, number))
        await other.has(TRADES, after)
        assert sizes(other.delivered) == [1, 2, 3, 4, 5]
        assert after.epoch != before.epoch


async def test_what_a_replica_that_is_taken_to_lacks_of_demand_is_told_again(
    server: RedisServer, replica: RedisServer
) -> None:
    """Although nobody has lost a connection that listens, and no call has failed."""
    async with named(server) as (name, one, other):
        await eventually(lambda: TSLA in one.wanted, "the demand")
        await in_step(server, replica)
        replica.cli("REPLICAOF", "NO", "ONE")
        await other.follow(QUOTE)
        await eventually(lambda: QUOTE in one.wanted, "the demand that is lost")
        name.target = (HOST, replica.port)
        server.cli("REPLICAOF", HOST, replica.port)
        key = one.engine._link.keys.demand("two")
        await eventually(lambda: replica.cli("SCARD", key) == "4", "the demand again")
        await eventually(lambda: QUOTE in one.wanted, "the feed to be told")


async def test_an_older_epoch_that_redis_has_again_wins_nothing(tmp_path: Path) -> None:
    """It kept a book from before it began anew once; trades of then aren't told again either."""
    with RedisServer(tmp_path, config=["save 3600 1"]) as server:
        async with (
            node(server.url, "one", patience=TIMEOUT) as one,
            node(server.url, "two", patience=TIMEOUT) as other,
        ):
            await one.leads()
            await other.follow(AAPL, TRADES)
            await one.engine.publish([*books(AAPL, 1), *trade(TRADES, 1)], fence=one.fence)
            server.cli("SAVE")
            for number in (2, 3):  # the second time, what it has is two epochs old
                for each in (one, other):
                    await each.hears()
                await one.leads()
                last = await one.engine.publish(
                    [*books(AAPL, number), *trade(TRADES, number)], fence=one.fence
                )
                await other.has(AAPL, last[0])
                await other.has(TRADES, last[1])
                server.kill()
                await one.away()
                await other.away()
                server.start()
                await one.back()
                await other.back()
            state = one.engine._link.keys.topic(AAPL).state
            newest = last[0].epoch.partition("-")[0]
            await eventually(
                lambda: server.cli("HGET", state, "e").partition("-")[0] > newest, "the book"
            )
            await other.hears()
            for topic in (AAPL, TRADES):
                shown = [one_ for one_ in other.delivered if one_.topic == topic]
                assert sizes(shown) == [1, 2, 3]


async def test_a_candle_that_is_not_final_takes_no_history_away(
    server: RedisServer, replica: RedisServer
) -> None:
    """The replica lacks it alone; the next one follows soon."""
    async with named(server) as (name, one, other):
        await other.follow(CANDLES)
        finals = [Publication(CANDLES, candle(number, final=True)) for number in range(1, 6)]
        await one.engine.publish(finals)
        await in_step(server, replica)
        replica.cli("REPLICAOF", "NO", "ONE")
        [last] = await one.engine.publish([Publication(CANDLES, candle(6))])
        await other.has(CANDLES, last)
        await take_over(server, replica, name, other)
        await other.engine._log_sync.audit()
        assert other.engine.numbers()["given_back"] == 0
        history = one.engine._link.keys.topic(CANDLES).history
        assert replica.cli("XLEN", history) == "5"
