"""What is noted of topics: whose publisher is gone, and what somebody has removed."""

from __future__ import annotations

import pytest

from bookcast.engine.redis import topic_notes
from bookcast.errors import InvalidInput
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication, PublisherGone
from tests.backplane.links import KEYS
from tests.engine.nodes import books, node, nodes, sizes, trade
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, TRADES, eventually


async def test_a_node_that_wasnt_told_finds_it_by_itself(redis_url: str) -> None:
    """An audit sees whose publisher is gone, and what was removed."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await other.follow(AAPL, TRADES)
        positions = await one.engine.publish([*books(AAPL, 1), *trade(TRADES, 2)])
        await other.has(TRADES, positions[1])
        del other.cluster.members.handlers["look"]
        await one.engine.abandon({AAPL: positions[0], TRADES: positions[1]}, "gone")
        await one.engine.remove(TRADES)
        assert other.engine.gone(AAPL) is None
        await other.engine.audit()
        assert other.engine.gone(AAPL) == PublisherGone(positions[0], "gone")
        assert other.engine.gone(TRADES) is None
        assert other.removed == [TRADES]
        await one.engine.publish(books(AAPL, 3))
        await other.engine.audit()
        assert other.engine.gone(AAPL) is None


async def test_many_topics_are_noted_a_part_at_a_time(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them, whatever shard they are in."""
    monkeypatch.setattr(topic_notes, "TOGETHER", 7)
    topics = [Topic("quote", Symbol(f"US.S{number}")) for number in range(40)]
    async with nodes(redis_url, "one", "two") as (one, other):
        await other.follow(*topics)
        positions = await one.engine.publish([Publication(one_, Quote(last=1)) for one_ in topics])
        places = dict(zip(topics, positions, strict=True))
        await one.engine.abandon(places, "gone")
        await eventually(
            lambda: all(other.engine.gone(topic) for topic in topics), "word of all of them"
        )


async def test_nothing_is_removed_while_redis_is_away(server: RedisServer) -> None:
    """Whoever asks is told so; and word of a publisher that is gone is lost without a fault."""
    async with node(server.url, "one", patience=0.5) as one:
        [position] = await one.engine.publish(books(AAPL, 1))
        server.kill()
        with pytest.raises(InvalidInput, match="isn't removed") as caught:
            await one.engine.remove(AAPL)
        assert caught.value.code == "engine_unavailable"
        await one.engine.abandon({AAPL: position}, "gone")
        await one.away()
        await one.engine.abandon({AAPL: position}, "gone")
        assert await one.engine.find_gone(AAPL) is None


async def test_a_late_state_doesnt_bring_a_removed_topic_back(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Nor is it told again by whoever published it; a new one begins the topic anew."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await one.follow(AAPL)
        [first] = await one.engine.publish(books(AAPL, 1))
        await one.has(AAPL, first)
        state = one.delivered[0]
        await other.engine.remove(AAPL)
        await one.engine._restore([state])
        assert await other.engine.heads() == []
        assert await other.engine.snapshot(AAPL) is None
        key = KEYS.topic(AAPL).state
        assert int(redis_server.cli("TTL", key)) > 0
        [second] = await one.engine.publish(books(AAPL, 2))
        assert second.seq == 1
        assert redis_server.cli("HEXISTS", key, "x") == "0"
        await one.engine._restore([state])
        found = await other.engine.snapshot(AAPL)
        assert found is not None
        assert sizes([found]) == [2]
