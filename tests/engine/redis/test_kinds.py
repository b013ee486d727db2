"""Redis behind TLS and a password, and as a Cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bookcast.backplane.names import SHARDS, shard_of
from bookcast.model.topics import Symbol, Topic
from bookcast.sessions.lost import LostSession
from bookcast.sessions.store.base import Claim
from bookcast.sessions.store.redis import RedisSessionStore
from tests.engine.nodes import books, kill_subscriptions, node, sizes, trade
from tests.fakes.redis_server import RedisCluster, RedisServer
from tests.sessions.store.clients import SEEN, Client
from tests.support import AAPL, PATIENCE, TRADES, eventually


async def test_tls_and_a_password(tmp_path: Path) -> None:
    """Everything goes that way, and nobody comes in without."""
    with RedisServer(tmp_path, tls=True, password="p@ss w/rd") as server:
        async with (
            node(server.url, "one", ca_file=str(server.ca_file)) as one,
            node(server.url, "two", ca_file=str(server.ca_file)) as other,
            node(server.url, "stranger", hears=False) as stranger,
        ):
            await one.leads()
            await other.follow(TRADES)
            [last] = await one.engine.publish(trade(TRADES, 1), fence=one.fence)
            await other.has(TRADES, last)
            assert stranger.engine.is_away
            detail = stranger.engine.status().detail or ""
            assert "can't be reached" in detail
            assert "p@ss" not in detail


async def test_a_cluster(tmp_path: Path) -> None:
    """Topics are spread over it; everything else goes as with a single one."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(60)]
    assert {shard_of(topic) for topic in topics} == set(range(SHARDS))
    with RedisCluster(tmp_path) as cluster:
        async with node(cluster.url, "one") as one:
            await one.leads()
            async with node(cluster.nodes[1].url, "two") as other:
                await other.follow(TRADES, AAPL, *topics)
                await eventually(lambda: one.wanted >= {TRADES, AAPL}, "the demand")
                for number in (1, 2, 3):
                    positions = await one.engine.publish(
                        [
                            *(b for topic in topics for b in books(topic, number)),
                            *trade(TRADES, number),
                        ],
                        fence=one.fence,
                    )
                    assert {position.seq for position in positions} == {number}
                for topic in topics:
                    await eventually(lambda topic=topic: other.seqs(topic) == [1, 2, 3], "all")  # type: ignore[misc] # no type can be inferred for a lambda with a default
                await other.has(TRADES, positions[-1])
                assert all(int(server.cli("DBSIZE")) for server in cluster.nodes)
                assert one.engine._link.is_cluster
                assert {head.topic for head in await other.engine.heads()} == {*topics, TRADES}

                for server in cluster.nodes:
                    kill_subscriptions(server)
                [last] = await one.engine.publish(trade(TRADES, 4), fence=one.fence)
                await other.has(TRADES, last)
                assert sizes(u for u in other.delivered if u.topic == TRADES) == [1, 2, 3, 4]

                await one.hears()
                await other.hears()
                mine, theirs = one.backend.sessions, other.backend.sessions
                assert isinstance(mine, RedisSessionStore)
                persister = mine.persister
                key = mine.key("id", "somebody", "1")
                mine.hold(LostSession((key,), SEEN))
                await eventually(lambda: persister.is_idle, "the session to be saved")
                claim = theirs.claim(key, Client(key))
                assert not isinstance(claim, Claim)
                assert (await claim).state == "left"

                async def answer(body: bytes) -> bytes:
                    return body

                other.cluster.members.handlers["echo"] = answer
                assert await one.cluster.members.ask("two", "echo", b"x", PATIENCE) == b"x"

                await one.cluster.election.resign()
                await asyncio.wait_for(other.leads(), PATIENCE)
                [last] = await other.engine.publish(trade(TRADES, 5), fence=other.fence)
                assert last.seq == 5
