"""A replica takes over from a Redis that dies, or becomes one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.engine.nodes import TIMEOUT, EngineNode, books, node, sizes, trade
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, QUOTE, TRADES, TSLA, eventually

pytestmark = pytest.mark.usefixtures("quicker")


@pytest.fixture
def replica(tmp_path: Path, server: RedisServer) -> Iterator[RedisServer]:
    """Give a Redis that has what the first one has."""
    with RedisServer(tmp_path / "replica", config=[f"replicaof {HOST} {server.port}"]) as running:
        yield running


async def in_step(server: RedisServer, replica: RedisServer) -> None:
    """Wait until the replica has everything."""

    def has_all() -> bool:
        return "up" in replica.cli("INFO", "replication") and server.cli("WAIT", 1, 1000) == "1"

    await eventually(has_all, "the replica")


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
        server.kill()
        name.target = (HOST, replica.port)
        await one.back()
        await other.back()
        await other.hears()

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
        await other.has(AAPL, position)
        assert replica.cli("HGET", one.engine._link.keys.topic(AAPL).state, "s") == "2"
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
