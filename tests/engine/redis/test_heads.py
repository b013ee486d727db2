"""The positions of topics in Redis, and the notes beside them."""

from __future__ import annotations

from bookcast.engine.redis.heads import read_heads
from bookcast.engine.redis.log_sync import REMOVED
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.engine.nodes import node


async def test_topics_of_all_shards_are_read_with_their_notes(redis_url: str) -> None:
    """A topic that was never published has neither a position nor a note."""
    topics = [Topic("quote", Symbol(f"US.S{number}")) for number in range(40)]
    *published, gone, removed, unknown = topics
    async with node(redis_url, "one") as one:
        positions = await one.engine.publish(
            [Publication(topic, Quote(last=1)) for topic in (*published, gone, removed)]
        )
        places = dict(zip((*published, gone, removed), positions, strict=True))
        await one.engine.abandon({gone: places[gone]}, "it has ended")
        await one.engine.remove(removed)
        heads = await read_heads(one.engine._link, topics)
        assert {topic: heads[topic] for topic in published} == {
            topic: (places[topic], "") for topic in published
        }
        assert heads[gone] == (places[gone], "it has ended")
        assert heads[removed] == (None, REMOVED)
        assert heads[unknown] == (None, "")
