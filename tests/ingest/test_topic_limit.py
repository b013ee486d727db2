import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from bookcast.engine.memory import MemoryEngine
from bookcast.errors import InvalidInput
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.ingest.topic_limit import NEAR_TOPICS, TopicLimit
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, TSLA, eventually, nodes

BOOK = msgspec.Raw(b'{"bids": [], "asks": []}')


def books(*symbols: str) -> list[PublishedUpdate]:
    return [PublishedUpdate(channel="orderbook", symbol=symbol, data=BOOK) for symbol in symbols]


def codes(outcomes: Sequence[Position | InvalidInput]) -> list[str]:
    return [one.code if isinstance(one, InvalidInput) else "ok" for one in outcomes]


async def engine_with(count: int) -> MemoryEngine:
    engine = MemoryEngine()
    await engine.publish(
        [Publication(Topic("quote", Symbol(f"US.S{n}")), Quote(last=1)) for n in range(count)]
    )
    return engine


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("limit", "known", "more", "near"),
    [
        (0, 5000, 1, False),
        (5, 0, 1, True),
        (10_000, 8999, 1, False),
        (10_000, 9000, 1, True),
        (10_000, 8000, 1001, True),
        (50_000, 44_999, 1, False),
        (50_000, 45_000, 1, True),
    ],
)
async def test_what_is_published_far_from_the_limit_is_not_looked_at(
    limit: int, known: int, more: int, near: bool
) -> None:
    """A small limit is always near."""
    room = TopicLimit(await engine_with(known), limit)
    assert NEAR_TOPICS == 1000
    assert room.is_near(more) is near


async def test_what_is_under_way_counts() -> None:
    """As known, and where it is new, as room that is taken."""
    room = TopicLimit(await engine_with(2), 4)
    with room.passing([AAPL, AAPL]):
        async with room.holding([AAPL, TSLA, Topic("quote", AAPL.symbol)]) as refused:
            assert set(refused) == {Topic("quote", AAPL.symbol)}
    assert room._passing == Counter()


async def test_nodes_share_the_limit(redis_url: str) -> None:
    """However many publish at once at one of them, and in turn at two."""
    async with nodes(redis_url, 2, max_published_topics=20) as (one, two):
        publishers = [node.parts.publisher for node in (one, two)]

        async def publish(number: int, at: int) -> str:
            chosen = publishers[at]
            assert chosen is not None
            return codes(await chosen.publish_all(books(f"S{number}")))[0]

        assert {await publish(number, number % 2) for number in range(10)} == {"ok"}
        at_once = await asyncio.gather(*(publish(number, 0) for number in range(5, 40)))
        assert at_once.count("ok") == 15
        assert await publish(99, 1) == "too_many_topics"
        assert [await publish(number, 1) for number in range(10)] == ["ok"] * 10


async def test_a_node_without_its_redis_has_a_bound_too(tmp_path: Path) -> None:
    """Where it publishes for its own clients."""
    redis = RedisServer(tmp_path)
    redis.start()
    try:
        async with nodes(redis.url, 1, max_published_topics=3, engine_down_publish="local") as [
            node
        ]:
            publisher, engine = node.parts.publisher, node.parts.backend.engine
            assert publisher is not None
            assert engine is not None
            redis.stop()
            await eventually(lambda: engine.status().state == "away", "the node to notice")
            outcomes = await publisher.publish_all(books("A", "B", "C", "D", "A"))
            assert codes(outcomes) == ["ok", "ok", "ok", "too_many_topics", "ok"]
    finally:
        redis.stop()
