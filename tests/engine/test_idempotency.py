"""How long keys are kept, and how many: the same in memory and in Redis."""

from __future__ import annotations

import time

import pytest

from bookcast.backplane.link import SCRIPTS
from bookcast.backplane.names import shard_of
from bookcast.engine.idempotency import KEEP_MS, MAX_KEYS, KeyStore
from bookcast.model.updates import Idempotency, Position, Publication
from tests.backplane.links import KEYS
from tests.engine.nodes import node, nodes
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, TRADES, TSLA, trades

SAME = b"c" * 16


def key(number: int) -> Idempotency:
    return Idempotency(f"{number:016}".encode(), SAME)


def test_a_key_is_kept_for_ten_minutes() -> None:
    """Then it may be used anew."""
    store = KeyStore()
    store.keep(AAPL, key(1), Position("e", 1), 1000.0)
    assert store.find(AAPL, key(1), 1000.0 + KEEP_MS - 1) == Position("e", 1)
    assert store.find(AAPL, key(1)._replace(content=b"other"), 1000.0) is True
    assert store.find(AAPL, key(1), 1000.0 + KEEP_MS) is False
    store.keep(AAPL, key(1), Position("e", 2), 1000.0 + KEEP_MS)
    assert store.find(AAPL, key(1), 1000.0 + KEEP_MS) == Position("e", 2)


def test_of_too_many_keys_of_a_shard_the_oldest_are_forgotten() -> None:
    """Other shards keep theirs."""
    store = KeyStore()
    assert shard_of(AAPL) != shard_of(TSLA)
    store.keep(TSLA, key(1), Position("e", 1), 0.0)
    for number in range(MAX_KEYS + 2):
        store.keep(AAPL, key(number), Position("e", number), float(number))
    kept = [bool(store.find(AAPL, key(number), MAX_KEYS)) for number in (0, 1, 2, MAX_KEYS + 1)]
    assert kept == [False, False, True, True]
    assert store.find(TSLA, key(1), MAX_KEYS) == Position("e", 1)


def test_what_is_too_old_makes_room() -> None:
    """A node that was busy once doesn't keep all of it for ever."""
    store = KeyStore()
    for number in range(100):
        store.keep(AAPL, key(number), Position("e", number), 0.0)
    store.keep(AAPL, key(100), Position("e", 100), float(KEEP_MS))
    assert len(store._shards[shard_of(AAPL)]) == 1


def test_redis_keeps_them_by_the_same_rules() -> None:
    """The script has them as numbers of its own."""
    assert f"KEEP_ONCE, MAX_ONCE = {KEEP_MS}, {MAX_KEYS}" in SCRIPTS["publish"]


def fill(server: RedisServer, count: int, age_ms: int) -> None:
    """Let Redis have keys of this age, of the shard of TRADES."""
    kept, times = KEYS.once(shard_of(TRADES))
    at = time.time() * 1000 - age_ms
    with server.client() as client, client.pipeline() as pipeline:
        for number in range(count):
            said = SAME + f"{at:.0f} 1-x {number + 1}".encode()
            pipeline.hset(kept, key(number).key, said)
            pipeline.zadd(times, {key(number).key: at * 1000 + number})
        pipeline.execute()


async def test_of_too_many_keys_in_redis_the_oldest_are_forgotten(
    redis_url: str, redis_server: RedisServer
) -> None:
    """So many of a shard stay."""
    async with node(redis_url) as one:
        fill(redis_server, MAX_KEYS, 1000)
        kept, times = KEYS.once(shard_of(TRADES))
        known = await one.engine.publish([Publication(TRADES, trades(1), once=key(3))])
        assert known == [Position("1-x", 4)]
        await one.engine.publish(
            [Publication(TRADES, trades(1), once=key(MAX_KEYS + number)) for number in range(2)]
        )
        with redis_server.client() as client:
            assert client.hlen(kept) == client.zcard(times) == MAX_KEYS
            found = [client.hexists(kept, key(number).key) for number in (0, 1, 2, MAX_KEYS + 1)]
            assert found == [0, 0, 1, 1]
            assert 0 < client.pttl(kept) <= KEEP_MS
            assert 0 < client.pttl(times) <= KEEP_MS


async def test_a_key_in_redis_is_kept_for_ten_minutes(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Then it may be used anew, and makes room."""
    async with node(redis_url) as one:
        fill(redis_server, 50, KEEP_MS + 1)
        [first] = await one.engine.publish([Publication(TRADES, trades(1), once=key(3))])
        assert first.seq == 1
        assert redis_server.cli("HLEN", KEYS.once(shard_of(TRADES))[0]) == "1"
        fill(redis_server, 1, KEEP_MS - 5000)
        assert await one.engine.publish([Publication(TRADES, trades(1), once=key(0))]) == [
            Position("1-x", 1)
        ]


async def test_a_retry_may_come_to_another_node(redis_url: str) -> None:
    """Whichever answers: keys are Redis'."""
    async with nodes(redis_url, "one", "two") as (one, other):
        once = Publication(TRADES, trades(1), once=key(1))
        assert await one.engine.publish([once]) == await other.engine.publish([once])


@pytest.mark.parametrize("count", [1, 3])
async def test_what_has_no_key_leaves_nothing(
    redis_url: str, redis_server: RedisServer, count: int
) -> None:
    """Not even an empty place."""
    async with node(redis_url) as one:
        await one.engine.publish([Publication(TRADES, trades(1))] * count)
        assert redis_server.cli("EXISTS", *KEYS.once(shard_of(TRADES))) == "0"
