"""What every engine must hold; each engine runs through the same tests."""

from collections.abc import Callable

import pytest

from bookcast.engine.base import Engine
from bookcast.engine.memory import MemoryEngine
from bookcast.model import Book, Level, Publication, Topic, Update
from tests.support import AAPL, CANDLES, TRADES, TSLA, candle, trades

ENGINES: dict[str, Callable[[], Engine]] = {"memory": lambda: MemoryEngine(history_size=3)}


class Node:
    """What an engine is attached to."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.delivered: list[Update] = []
        self.demand: list[tuple[str, Topic]] = []
        engine.attach(
            deliver=self.delivered.append,
            wanted=lambda topic: self.demand.append(("wanted", topic)),
            unwanted=lambda topic: self.demand.append(("unwanted", topic)),
        )


@pytest.fixture(params=ENGINES)
def node(request: pytest.FixtureRequest) -> Node:
    return Node(ENGINES[request.param]())


def book(size: int) -> Book:
    return Book(bids=(Level(1, size),), asks=())


async def test_positions_grow_by_one_per_topic(node: Node) -> None:
    """Each topic counts for itself, within one epoch."""
    positions = await node.engine.publish(
        [Publication(AAPL, book(1)), Publication(TSLA, book(1)), Publication(AAPL, book(2))]
    )
    assert [position.seq for position in positions] == [1, 1, 2]
    assert len({position.epoch for position in positions}) == 1


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


async def test_only_what_is_wanted_is_delivered_in_order(node: Node) -> None:
    """Delivery begins with the newest state, misses nothing, and ends when released."""
    await node.engine.publish([Publication(AAPL, book(1)), Publication(TSLA, book(1))])
    assert node.delivered == []
    node.engine.want(AAPL)
    await node.engine.publish([Publication(AAPL, book(2)), Publication(TSLA, book(2))])
    node.engine.release(AAPL)
    await node.engine.publish([Publication(AAPL, book(3))])
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
    node.engine.want(TRADES)
    node.engine.want(CANDLES)
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


async def test_demand_reaches_the_feed(node: Node) -> None:
    """The feed learns when a topic begins and ceases to be wanted."""
    node.engine.want(AAPL)
    node.engine.release(AAPL)
    assert node.demand == [("wanted", AAPL), ("unwanted", AAPL)]


async def test_an_engine_tells_how_it_is(node: Node) -> None:
    """Its status counts the topics it keeps."""
    await node.engine.publish([Publication(AAPL, book(1))])
    assert node.engine.status().state == "connected"
    assert node.engine.status().topics == 1


async def test_what_resumes_begins_a_new_epoch_of_its_topic_alone(node: Node) -> None:
    """Its feed has lost some of it. The numbers go on; older history is no longer continuous."""
    node.engine.want(TRADES)
    before = await node.engine.publish([Publication(TRADES, trades(1)), Publication(AAPL, book(1))])
    after = await node.engine.publish(
        [
            Publication(TRADES, trades(2), resumes=True),
            Publication(TRADES, trades(3)),
            Publication(AAPL, book(2)),
        ]
    )
    assert after[0].epoch == after[1].epoch != before[0].epoch
    assert [position.seq for position in after] == [2, 3, 2]
    assert after[2].epoch == before[1].epoch
    node.engine.release(TRADES)
    node.delivered.clear()
    node.engine.want(TRADES)
    assert [update.position.seq for update in node.delivered] == [2, 3]


async def test_what_is_past_stays_marked(node: Node) -> None:
    """So that whoever delivers it can tell."""
    node.engine.want(TRADES)
    await node.engine.publish([Publication(TRADES, trades(1), past=True)])
    await node.engine.publish([Publication(TRADES, trades(2))])
    assert [update.past for update in node.delivered] == [True, False]
