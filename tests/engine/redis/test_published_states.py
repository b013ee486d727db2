"""States that this node has published_states, told again when Redis has lost them."""

from __future__ import annotations

import pytest

from bookcast.engine.redis import published_states
from bookcast.engine.redis.published_states import PublishedStates
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication
from tests.backplane.links import KEYS
from tests.engine.nodes import EngineNode, books, node, nodes, sizes, trade
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, QUOTE, TRADES, TSLA, eventually


def states(running: EngineNode) -> PublishedStates:
    return running.engine._published


def impatient(running: EngineNode) -> PublishedStates:
    """Have what is missing told again without waiting for others."""
    found = states(running)
    found._grace = 0.0
    return found


async def newest(running: EngineNode, topic: Topic) -> list[float]:
    found = await running.engine.snapshot(topic)
    return sizes([found]) if found is not None else []


async def test_what_redis_has_lost_is_told_again(redis_url: str, redis_server: RedisServer) -> None:
    """As it was, in a new epoch, and again when that is lost too."""
    async with nodes(redis_url, "one", "two") as (one, other):
        [first] = await one.engine.publish(books(AAPL, 5))
        for _ in range(2):
            redis_server.cli("DEL", KEYS.topic(AAPL).state)
            assert await newest(other, AAPL) == []
            await impatient(one).audit()
            assert await newest(other, AAPL) == [5]
        found = await other.engine.snapshot(AAPL)
        assert found is not None
        assert found.position.epoch != first.epoch
        assert one.engine.numbers()["given_back"] == 2


async def test_what_somebody_else_has_published_since_stays(
    redis_url: str, redis_server: RedisServer
) -> None:
    """It isn't this node's to tell any more, whatever becomes of it."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await one.engine.publish(books(AAPL, 1))
        await other.engine.publish(books(AAPL, 2))
        await states(one).audit()
        assert len(states(one)) == 0
        assert await newest(one, AAPL) == [2]
        await one.engine.publish(books(TSLA, 1))
        redis_server.cli("FLUSHALL")
        await other.engine.publish(books(TSLA, 3))
        await states(one).audit()
        assert await newest(one, TSLA) == [3]


async def test_who_follows_a_topic_has_the_first_word(
    redis_url: str, redis_server: RedisServer
) -> None:
    """It may have what another node has published since: this one waits, and then loses to it."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await one.engine.publish(books(AAPL, 1))
        redis_server.cli("FLUSHALL")
        await states(one).audit_all()
        assert await newest(one, AAPL) == [], "others have their turn"
        await other.engine.publish(books(AAPL, 2))
        await impatient(one).audit(0)
        assert await newest(one, AAPL) == [2]
        assert len(states(one)) == 0


async def test_trades_are_not_told_again(redis_url: str, redis_server: RedisServer) -> None:
    """Nobody would know whether they are new."""
    async with node(redis_url) as one:
        await one.engine.publish([*trade(TRADES, 1), Publication(QUOTE, Quote(last=1))])
        assert len(states(one)) == 1
        redis_server.cli("DEL", KEYS.topic(TRADES).state)
        await states(one).audit()
        assert await one.engine.snapshot(TRADES) is None


async def test_all_topics_have_their_turn(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few at a time; after a loss all at once."""
    monkeypatch.setattr(published_states, "TOGETHER", 3)
    topics = [Topic("quote", Symbol(f"US.S{number}")) for number in range(20)]
    async with node(redis_url) as one:
        await one.engine.publish([Publication(topic, Quote(last=1)) for topic in topics])
        for topic in topics:
            redis_server.cli("DEL", KEYS.topic(topic).state)
        await impatient(one).audit(5)
        assert len(await one.engine.heads()) == 5
        await states(one).audit(5)
        assert len(await one.engine.heads()) == 10
        await states(one).audit_all()
        assert len(await one.engine.heads()) == 20


async def test_of_too_many_those_published_longest_ago_are_forgotten(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded."""
    monkeypatch.setattr(published_states, "MAX_TOPICS", 2)
    async with node(redis_url) as one:
        kept = states(one)
        for topic in (AAPL, TSLA, AAPL, QUOTE):
            kept.note(topic, Position("1-e", 1), b"")
        assert list(kept._states) == [AAPL, QUOTE]


async def test_what_is_removed_is_forgotten_by_whoever_published_it(redis_url: str) -> None:
    """At once, though nobody follows it there."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await one.engine.publish(books(AAPL, 1))
        assert len(states(one)) == 1
        await other.engine.remove(AAPL)
        await eventually(lambda: len(states(one)) == 0, "the end of it")
