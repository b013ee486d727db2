"""What every engine must hold; each engine runs through the same tests."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bookcast.backend.base import Backend
from bookcast.backend.memory import MemoryBackend
from bookcast.backend.redis import RedisBackend
from bookcast.backplane.link import LinkSettings
from bookcast.cluster.members.base import Node as Myself
from bookcast.engine.base import KeyConflictError
from bookcast.engine.redis.engine import RedisRules
from bookcast.model.market_data import Book, Data, Level
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Topic
from bookcast.model.updates import Idempotency, Publication, PublisherGone
from tests.support import (
    AAPL,
    CANDLES,
    PATIENCE,
    TRADES,
    TSLA,
    Deliveries,
    candle,
    eventually,
    trades,
)

HISTORY_SIZE = 3


def memory(_request: pytest.FixtureRequest) -> Backend:
    return MemoryBackend(myself=lambda: Myself("node", "group"), rules=LogRules(HISTORY_SIZE))


def redis(request: pytest.FixtureRequest) -> Backend:
    return RedisBackend(
        LinkSettings(request.getfixturevalue("redis_url")),
        myself=lambda: Myself("node", "group"),
        rules=RedisRules(HISTORY_SIZE, LogRules(HISTORY_SIZE)),
    )


BACKENDS: dict[str, Callable[[pytest.FixtureRequest], Backend]] = {
    "memory": memory,
    "redis": redis,
}


class Node:
    """What an engine is attached to."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        engine = self.engine = backend.engine
        self.deliveries = Deliveries(engine)
        self.delivered = self.deliveries.all
        self.demand: list[tuple[str, Topic]] = []
        self.removed: list[Topic] = []
        engine.attach(
            notice=self.deliveries.notice,
            wanted=lambda topic: self.demand.append(("wanted", topic)),
            wanted_to_read=lambda topic: self.demand.append(("read", topic)),
            unwanted=lambda topic: self.demand.append(("unwanted", topic)),
            removed=self.removed.append,
        )

    async def settled(self, delivered: int) -> None:
        """Wait for so many updates, and for all that the engine was told before to come."""
        await eventually(lambda: len(self.delivered) >= delivered, f"{delivered} updates")
        # What a node says to itself comes behind all that was published.
        members = self.backend.cluster.members
        heard = asyncio.Event()

        async def hear(_body: bytes) -> bytes:
            heard.set()
            return b""

        members.handlers["heard"] = hear
        await members.tell(members.id, "heard", b"")
        await asyncio.wait_for(heard.wait(), PATIENCE)

    async def follows(self, topic: Topic) -> None:
        """Want a topic, and wait until it is followed."""
        await self.deliveries.follow(topic)


@pytest.fixture(params=BACKENDS)
async def node(request: pytest.FixtureRequest) -> AsyncIterator[Node]:
    node = Node(BACKENDS[request.param](request))
    await node.backend.start()
    await eventually(lambda: node.engine.status().state == "connected", "the engine")
    yield node
    await asyncio.wait_for(node.backend.stop(), PATIENCE)


def book(size: int) -> Book:
    return Book(bids=(Level(1, size),), asks=())


async def test_positions_grow_by_one_per_topic(node: Node) -> None:
    """Each topic counts for itself, within one epoch."""
    positions = await node.engine.publish(
        [Publication(AAPL, book(1)), Publication(TSLA, book(1)), Publication(AAPL, book(2))]
    )
    assert [position.seq for position in positions] == [1, 1, 2]
    assert positions[0].epoch == positions[2].epoch


async def test_the_newest_state_is_kept(node: Node) -> None:
    """A snapshot is the last that was published, with its position."""
    assert await node.engine.snapshot(AAPL) is None
    await node.engine.publish([Publication(AAPL, book(1)), Publication(AAPL, book(2))])
    snapshot = await node.engine.snapshot(AAPL)
    assert snapshot is not None
    assert (snapshot.position.seq, snapshot.data) == (2, book(2))
    [head] = await node.engine.heads()
    assert (head.topic, head.position) == (AAPL, snapshot.position)
    assert head.server_ms == snapshot.server_ms


async def test_what_is_read_is_delivered_from_then_on(node: Node) -> None:
    """Nothing that was known; who subscribes later begins with that, and may leave it to reads."""
    await node.engine.publish([Publication(AAPL, book(1))])
    await node.engine.prepare([AAPL])
    node.deliveries.want_to_read(AAPL)
    await node.settled(0)
    assert node.delivered == []
    await node.engine.publish([Publication(AAPL, book(2))])
    await node.settled(1)
    node.deliveries.want(AAPL)
    await node.settled(2)
    node.deliveries.want_to_read(AAPL)
    await node.engine.publish([Publication(AAPL, book(3))])
    await node.settled(3)
    assert [one.position.seq for one in node.delivered] == [2, 2, 3]
    await eventually(lambda: node.demand[-1:] == [("read", AAPL)], "the reads")
    node.deliveries.release(AAPL)
    await eventually(lambda: node.demand[-1:] == [("unwanted", AAPL)], "the end")
    await node.engine.publish([Publication(AAPL, book(4))])
    await node.settled(3)
    assert len(node.delivered) == 3
    assert node.demand == [(what, AAPL) for what in ("read", "wanted", "read", "unwanted")]


async def test_only_what_is_wanted_is_delivered_in_order(node: Node) -> None:
    """Delivery begins with the newest state, misses nothing, and ends when released."""
    await node.engine.publish([Publication(AAPL, book(1)), Publication(TSLA, book(1))])
    assert node.delivered == []
    node.deliveries.want(AAPL)
    await node.settled(1)
    await node.engine.publish([Publication(AAPL, book(2)), Publication(TSLA, book(2))])
    await node.settled(2)
    node.deliveries.release(AAPL)
    await node.engine.publish([Publication(AAPL, book(3))])
    await node.settled(2)
    assert [(update.topic, update.position.seq) for update in node.delivered] == [
        (AAPL, 1),
        (AAPL, 2),
    ]


async def test_where_every_update_counts_delivery_begins_with_the_history(node: Node) -> None:
    """Bounded, oldest first: trades, and final candles before the one that is forming."""
    await node.engine.publish([Publication(TRADES, trades(size)) for size in range(1, 6)])
    await node.engine.publish(
        [Publication(CANDLES, candle(volume, final=volume in {2, 3})) for volume in range(1, 6)]
    )
    node.deliveries.want(TRADES)
    node.deliveries.want(CANDLES)
    await eventually(lambda: len(node.delivered) >= 6, "both histories")
    node.delivered.sort(key=lambda update: update.topic.channel, reverse=True)
    assert [(update.topic.channel, update.position.seq) for update in node.delivered] == [
        ("trades", 3),
        ("trades", 4),
        ("trades", 5),
        ("candles", 2),
        ("candles", 3),
        ("candles", 5),
    ]


async def test_the_times_of_a_publication_go_with_it(node: Node) -> None:
    """When the exchange and the feed saw it, and when the server did."""
    await node.engine.publish([Publication(AAPL, book(1), 5.0, 6.0)])
    snapshot = await node.engine.snapshot(AAPL)
    assert snapshot is not None
    assert (snapshot.exchange_ms, snapshot.feed_ms) == (5.0, 6.0)
    assert snapshot.server_ms > 1e12


async def test_what_this_node_wants_is_told_at_once(node: Node) -> None:
    """When a topic begins and ceases to be wanted."""
    node.deliveries.want(AAPL)
    assert node.demand == [("wanted", AAPL)]
    node.deliveries.release(AAPL)
    assert node.demand == [("wanted", AAPL), ("unwanted", AAPL)]


async def test_what_is_known_can_be_asked_for(node: Node) -> None:
    """As it would be delivered, whether anybody wants it or not."""
    assert await node.engine.past(TRADES) == []
    await node.engine.publish([Publication(TRADES, trades(size)) for size in range(1, 6)])
    await node.follows(TRADES)
    await node.settled(3)
    assert [update.position.seq for update in node.delivered[-3:]] == [3, 4, 5]
    assert await node.engine.past(TRADES) == node.delivered[-3:]


async def test_an_engine_tells_how_it_is(node: Node) -> None:
    """Its status counts the topics it keeps."""
    await node.engine.publish([Publication(AAPL, book(1))])
    await node.engine.heads()  # those of all nodes are counted when they are listed
    assert node.engine.status().state == "connected"
    assert node.engine.status().topics == 1


async def test_what_resumes_begins_a_new_epoch_of_its_topic_alone(node: Node) -> None:
    """Its feed has lost some of it. The numbers go on; older history is no longer continuous."""
    await node.follows(TRADES)
    before = await node.engine.publish([Publication(TRADES, trades(1)), Publication(AAPL, book(1))])
    after = await node.engine.publish(
        [
            Publication(TRADES, trades(2), breaks=True),
            Publication(TRADES, trades(3)),
            Publication(AAPL, book(2)),
        ]
    )
    assert after[0].epoch == after[1].epoch != before[0].epoch
    assert [position.seq for position in after] == [2, 3, 2]
    assert after[2].epoch == before[1].epoch
    await node.settled(3)
    node.deliveries.release(TRADES)
    node.delivered.clear()
    node.deliveries.want(TRADES)
    assert [update.position.seq for update in node.delivered] == [2, 3]


async def test_what_is_past_stays_marked(node: Node) -> None:
    """So that whoever delivers it can tell."""
    await node.follows(TRADES)
    await node.engine.publish([Publication(TRADES, trades(1), backfill=True)])
    await node.engine.publish([Publication(TRADES, trades(2))])
    await node.settled(2)
    assert [update.backfill for update in node.delivered] == [True, False]


def keyed(topic: Topic, size: int, key: bytes = b"k" * 16, content: bytes = b"") -> Publication:
    """Make a publication with a key; its content is told by its size, unless given."""
    data = trades(size) if topic.channel == "trades" else book(size)
    return Publication(topic, data, once=Idempotency(key, content or f"{size:016}".encode()))


@pytest.mark.parametrize("topic", [AAPL, TRADES])
async def test_what_comes_twice_under_its_key_is_published_once(node: Node, topic: Topic) -> None:
    """The second gets the place of the first, whatever was published between."""
    await node.follows(topic)
    [first] = await node.engine.publish([keyed(topic, 1)])
    [between] = await node.engine.publish([keyed(topic, 2)._replace(once=None)])
    for _ in range(3):
        assert await node.engine.publish([keyed(topic, 1)]) == [first]
    [last] = await node.engine.publish([keyed(topic, 3, b"other key" + b"." * 7)])
    await node.settled(3)
    assert [one.position for one in node.delivered] == [first, between, last]
    assert [one.seq for one in (first, between, last)] == [1, 2, 3]


async def test_something_else_under_a_used_key_is_refused_alone(node: Node) -> None:
    """What is published together with it goes on."""
    await node.follows(TRADES)
    [first] = await node.engine.publish([keyed(TRADES, 1)])
    with pytest.raises(KeyConflictError) as caught:
        await node.engine.publish(
            [
                Publication(TRADES, trades(2)),
                keyed(TRADES, 3),
                keyed(TRADES, 1),
                Publication(TRADES, trades(4)),
            ]
        )
    second, conflict, again, third = caught.value.positions
    assert (conflict, again) == (None, first)
    await node.settled(3)
    assert [one.position for one in node.delivered] == [first, second, third]


async def test_keys_hold_within_what_is_published_together(node: Node) -> None:
    """As for a batch that holds something twice."""
    found = await node.engine.publish(
        [keyed(TRADES, 1), keyed(AAPL, 1, b"a" * 16), keyed(TRADES, 1), keyed(AAPL, 1, b"a" * 16)]
    )
    assert found[0] == found[2]
    assert found[1] == found[3]
    assert [one.seq for one in found] == [1, 1, 1, 1]


async def test_keys_hold_for_what_is_published_at_once(node: Node) -> None:
    """Retries don't wait for an answer to the first."""
    found = await asyncio.gather(*(node.engine.publish([keyed(TRADES, 1)]) for _ in range(20)))
    assert {one.seq for [one] in found} == {1}
    assert [head.position.seq for head in await node.engine.heads()] == [1]


async def test_a_topic_whose_publisher_is_gone_is_known(node: Node) -> None:
    """Until somebody publishes again; and not where somebody has already."""
    await node.follows(AAPL)
    await node.follows(TSLA)
    positions = await node.engine.publish([Publication(one, book(1)) for one in (AAPL, TSLA)])
    await node.engine.publish([Publication(TSLA, book(2))])
    await node.settled(3)
    await node.engine.abandon(dict(zip((AAPL, TSLA), positions, strict=True)), "it is gone: why")
    await eventually(lambda: node.engine.gone(AAPL) is not None, "word of it")
    assert node.engine.gone(AAPL) == PublisherGone(positions[0], "it is gone: why")
    assert await node.engine.find_gone(AAPL) == PublisherGone(positions[0], "it is gone: why")
    assert node.engine.gone(TSLA) is None
    [again] = await node.engine.publish([Publication(AAPL, book(3))])
    gone = await node.engine.find_gone(AAPL)
    assert gone is None or gone.position != again


@pytest.mark.parametrize("topic", [AAPL, TRADES, CANDLES])
async def test_a_topic_can_be_removed(node: Node, topic: Topic) -> None:
    """As if nobody had ever published it; whoever does begins a new epoch."""
    data: dict[Topic, Data] = {
        AAPL: book(1),
        TRADES: trades(1),
        CANDLES: candle(1, final=True),
    }
    some = data[topic]
    assert not await node.engine.remove(topic)
    await node.follows(topic)
    [first] = await node.engine.publish([Publication(topic, some)])
    await node.settled(1)
    assert await node.engine.remove(topic)
    assert node.removed == [topic]
    assert await node.engine.snapshot(topic) is None
    assert list(await node.engine.past(topic)) == []
    assert await node.engine.heads() == []
    assert not await node.engine.remove(topic)
    [second] = await node.engine.publish([Publication(topic, some)])
    assert second.epoch != first.epoch
    await node.settled(2)
    assert [one.position for one in node.delivered] == [first, second]
