import pytest

from bookcast.engine.redis.topic_directory import PAGE
from bookcast.errors import EngineAwayError
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.engine.nodes import EngineNode
from tests.fakes.redis_server import RedisServer
from tests.support import eventually

COUNT = 16 * PAGE + 700
"""More than one page of most shards."""


def topic(number: int) -> Topic:
    return Topic("quote", Symbol(f"US.S{number}"))


async def test_all_topics_are_listed_a_page_at_a_time(two: list[EngineNode]) -> None:
    """Each once, in pages that hold nobody up."""
    one, other = two
    await one.engine.publish([Publication(topic(n), Quote(last=1)) for n in range(COUNT)])
    pages = [page async for page in other.engine.pages()]
    assert max(len(page) for page in pages) < 3 * PAGE
    listed = [head.topic for page in pages for head in page]
    assert len(listed) == COUNT
    assert set(listed) == {topic(n) for n in range(COUNT)}
    assert await other.engine.count_topics() == other.engine.status().topics == COUNT


async def test_only_what_was_never_published_is_unknown(two: list[EngineNode]) -> None:
    """At any node."""
    one, other = two
    await one.engine.publish([Publication(topic(1), Quote(last=1))])
    assert await other.engine.unknown([topic(1), topic(2)]) == {topic(2)}


async def test_while_redis_is_away_what_was_published_here_counts(
    two: list[EngineNode], server: RedisServer
) -> None:
    """Else a node that goes on alone would have no bound."""
    one, _ = two
    await one.engine.publish([Publication(topic(1), Quote(last=1))])
    assert await one.engine.count_topics() == 1
    server.stop()
    try:
        with pytest.raises(EngineAwayError):
            await one.engine._directory.count()
        await eventually(lambda: one.engine.is_away, "the node to notice")
        assert await one.engine.unknown([topic(1), topic(2)]) == {topic(1), topic(2)}
        assert await one.engine.count_topics() == 0
    finally:
        server.start()
