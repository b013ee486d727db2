"""Several nodes that share a Redis which is well. See also the files beside this one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bookcast.backend.redis import RedisTimes
from bookcast.backplane.keys import KEEP_SECONDS
from bookcast.cluster.election.redis import ElectionTimes
from bookcast.engine.redis.engine import RedisRules
from bookcast.engine.redis.times import EngineTimes
from bookcast.errors import FencedError, InvalidInput
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Idempotency, Position, Publication
from tests.backplane.links import KEYS
from tests.engine.nodes import (
    AUDITS_OFTEN,
    TIMEOUT,
    EngineNode,
    backend,
    books,
    node,
    nodes,
    sizes,
    tasks_begun,
    trade,
)
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, CANDLES, PATIENCE, QUOTE, TRADES, TSLA, candle, eventually, trades


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[list[EngineNode]]:
    """Give two nodes, of which the first runs the feed."""
    async with nodes(redis_url, "one", "two") as running:
        yield running


async def test_what_one_node_publishes_is_delivered_by_all(two: list[EngineNode]) -> None:
    """In order, with the same positions everywhere."""
    one, other = two
    for each in two:
        await each.follow(TRADES, AAPL)
    positions = [
        position
        for number in range(1, 6)
        for position in await one.engine.publish(
            [*trade(TRADES, number), *books(AAPL, number)], fence=one.fence
        )
    ]
    for each in two:
        await each.has(AAPL, positions[-1])
        assert each.positions(TRADES) == positions[::2]
        assert each.positions(AAPL) == positions[1::2]
    assert one.delivered == other.delivered
    assert await other.engine.snapshot(AAPL) == one.delivered[-1]
    assert await other.engine.past(TRADES) == [u for u in one.delivered if u.topic == TRADES]


async def test_two_who_publish_to_one_topic_never_number_twice(two: list[EngineNode]) -> None:
    """Everybody sees what both published, once, in the same order."""
    for each in two:
        await each.follow(TRADES)
    ours = [
        asyncio.ensure_future(each.engine.publish(trade(TRADES, start + number)))
        for number in range(100)
        for each, start in zip(two, (1000, 2000), strict=True)
    ]
    positions = list(itertools.chain.from_iterable(await asyncio.gather(*ours)))
    assert sorted(one.seq for one in positions) == list(range(1, 201))
    for each in two:
        await each.has(TRADES, max(positions, key=lambda one: one.seq))
        assert each.seqs(TRADES) == list(range(1, 201))
        said = sizes(each.delivered)
        assert [size for size in said if size < 2000] == list(range(1000, 1100))
        assert [size for size in said if size >= 2000] == list(range(2000, 2100))
    assert two[0].delivered == two[1].delivered


async def test_positions_come_back_in_the_order_of_what_was_published(
    two: list[EngineNode],
) -> None:
    """However the topics are spread over shards, and with breaks between."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(50)]
    publications = [one for topic in topics for one in books(topic, 1, 2)]
    publications[1::2] = [one._replace(breaks=True) for one in publications[1::2]]
    positions = await two[0].engine.publish(publications)
    assert [one.seq for one in positions] == [1, 2] * 50
    for first, second in zip(positions[::2], positions[1::2], strict=True):
        assert first.epoch != second.epoch
    heads = {head.topic: head for head in await two[1].engine.heads()}
    assert {topic: heads[topic].position for topic in topics} == dict(
        zip(topics, positions[1::2], strict=True)
    )
    snapshot = await two[1].engine.snapshot(topics[3])
    assert snapshot is not None
    assert heads[topics[3]].server_ms == snapshot.server_ms


async def test_deployments_in_one_redis_know_nothing_of_each_other(redis_url: str) -> None:
    """Neither by a prefix of their own, nor in a database of their own."""
    async with (
        node(redis_url, "one") as one,
        node(redis_url, "one", prefix="other") as prefixed,
        node(redis_url.removesuffix("/0") + "/1", "one") as elsewhere,
    ):
        deployments = (one, prefixed, elsewhere)
        for each in deployments:
            await each.leads()
            await each.follow(AAPL)
        for number, each in enumerate(deployments):
            assert await each.engine.heads() == []
            [position] = await each.engine.publish(books(AAPL, number), fence=each.fence)
            assert position.seq == 1
            await each.has(AAPL, position)
        for number, each in enumerate(deployments):
            await each.hears()
            assert sizes(each.delivered) == [number]


async def test_nothing_published_gives_no_positions(two: list[EngineNode]) -> None:
    """And asks nobody."""
    assert await asyncio.wait_for(two[0].engine.publish([]), PATIENCE) == []


async def test_a_lost_reply_doubles_nothing(redis_server: RedisServer, redis_url: str) -> None:
    """What was asked once more is answered as it was the first time."""
    async with (
        FaultyProxy(redis_server.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}/0", "one") as one,
        node(redis_url, "two") as other,
    ):
        await one.leads()
        await other.follow(TRADES)
        await one.engine.publish(trade(TRADES, 1), fence=one.fence)
        name = KEYS.topic(TRADES)[0].encode()
        proxy.drop_reply_after(lambda asked: name in asked)
        positions = await one.engine.publish(
            [*trade(TRADES, 2, 3), *books(AAPL, 1)], fence=one.fence
        )
        assert proxy.lost_replies == 1
        assert [position.seq for position in positions] == [2, 3, 1]
        [position] = await one.engine.publish(trade(TRADES, 4), fence=one.fence)
        await other.has(TRADES, position)
        assert sizes(other.delivered) == [1, 2, 3, 4]
        assert not one.engine.is_away


async def test_a_lost_reply_doubles_nothing_where_redis_has_forgotten_the_first_time(
    tmp_path: Path,
) -> None:
    """It was started anew, or a replica took over: then nobody knows, and the publisher is told."""
    with RedisServer(tmp_path) as server:
        async with (
            FaultyProxy(server.port) as proxy,
            node(f"redis://127.0.0.1:{proxy.port}/0", "one") as one,
            node(server.url, "two") as other,
        ):
            await other.follow(TRADES)
            [first] = await one.engine.publish(trade(TRADES, 1))
            proxy.stall("to_client")
            publishing = asyncio.ensure_future(one.engine.publish(trade(TRADES, 2)))
            await other.has(TRADES, Position(first.epoch, 2))
            server.kill()
            server.start()
            proxy.flow("to_client")
            proxy.cut()
            with pytest.raises(InvalidInput, match="may have been done already") as caught:
                await publishing
            assert caught.value.code == "engine_unavailable"
            await one.back()
            await other.back()
            await other.hears()
            [last] = await one.engine.publish(trade(TRADES, 3))
            await other.has(TRADES, last)
            assert sizes(other.delivered) == [1, 2, 3]


def full(server: RedisServer) -> None:
    server.cli("CONFIG", "SET", "maxmemory", "1")


@pytest.mark.parametrize(
    ("fault", "published"),
    [
        (full, "nothing"),
        (RedisServer.kill, "nothing"),
        (lambda server: server.cli("CONFIG", "SET", "min-replicas-to-write", "1"), "nothing"),
        (RedisServer.pause, "unknown"),
    ],
    ids=["full", "killed", "without replicas", "paused"],
)
async def test_who_is_refused_is_told_whether_nothing_was_published(
    server: RedisServer, fault: Callable[[RedisServer], object], published: str
) -> None:
    """Nobody knows where Redis was asked and its answer never came; afterwards nothing was."""
    async with node(server.url, "one", patience=TIMEOUT) as one:
        await one.engine.publish(trade(TRADES, 1))
        fault(server)
        try:
            for expected in (published, "nothing"):
                with pytest.raises(InvalidInput) as caught:
                    await one.engine.publish(trade(TRADES, 2))
                assert caught.value.code == "engine_unavailable"
                assert caught.value.published == expected
                words = "nothing was published" if expected == "nothing" else "nobody knows"
                assert words in caught.value.message
        finally:
            if fault is RedisServer.pause:
                server.resume()


async def test_what_nobody_knows_of_can_be_sent_again_with_its_key(
    redis_server: RedisServer, redis_url: str
) -> None:
    """It is published once, and the second answer is what the first would have been."""
    once = trade(TRADES, 2)[0]._replace(once=Idempotency(b"k" * 16, b"c" * 16))
    async with (
        FaultyProxy(redis_server.port) as proxy,
        node(f"redis://127.0.0.1:{proxy.port}/0", "one", patience=TIMEOUT) as one,
        node(redis_url, "two") as other,
    ):
        await other.follow(TRADES)
        await one.engine.publish(trade(TRADES, 1))
        proxy.stall("to_client")
        with pytest.raises(InvalidInput) as caught:
            await one.engine.publish([once])
        assert caught.value.published == "unknown"
        await eventually(lambda: sizes(other.delivered) == [1, 2], "what was published")
        proxy.flow("to_client")
        await one.back()
        assert await one.engine.publish([once]) == [other.delivered[-1].position]
        await other.hears()
        assert sizes(other.delivered) == [1, 2]


async def test_who_ran_the_feed_before_can_publish_nothing_more(two: list[EngineNode]) -> None:
    """In no topic, also where the next one has said nothing yet; and it learns that it is over."""
    one, other = two
    before = one.fence
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(40)]
    # A node that stood still has not noticed that its lock is gone.
    election = one.backend._election
    await election._changing.acquire()
    await other.engine._link.call("resign", [KEYS.lock], ["one", KEYS.leader_channel])
    await other.leads()
    assert other.fence > before
    for topic in topics:
        with pytest.raises(FencedError):
            await one.engine.publish(books(topic, 1), fence=before)
        assert await other.engine.snapshot(topic) is None
    election._changing.release()
    await eventually(lambda: one.lost == 1, "the old one to end its feed")
    assert one.elected is None
    [position] = await one.engine.publish(books(AAPL, 1))  # as anybody may
    assert position.seq == 1
    [position] = await other.engine.publish(books(AAPL, 2), fence=other.fence)
    assert position.seq == 2


async def test_what_goes_together_with_something_refused_is_not_refused(
    two: list[EngineNode],
) -> None:
    """An old feed's publications take no others with them."""
    one, other = two
    await one.cluster.election.resign()
    await other.leads()
    refused = asyncio.ensure_future(one.engine.publish(books(AAPL, 1), fence=one.fence))
    taken = asyncio.ensure_future(one.engine.publish(books(AAPL, 2)))
    assert [position.seq for position in await taken] == [1]
    with pytest.raises(FencedError):
        await refused


async def test_leadership_moves_at_once_when_it_is_given_up(
    redis_url: str,
) -> None:
    """The next one gets what is wanted, and those who wait learn who it is."""
    times = RedisTimes(election=ElectionTimes(lock=600.0))  # it doesn't wait for that
    async with nodes(redis_url, "one", "two", times=times) as (one, other):
        await other.follow(AAPL)
        await eventually(lambda: one.wanted == {AAPL}, "the demand")
        await one.cluster.election.resign()
        await other.leads()
        assert (one.wanted, other.wanted) == (set(), {AAPL})
        await one.cluster.election.resign()  # as the end does once more


async def test_leadership_moves_when_a_node_dies(two: list[EngineNode]) -> None:
    """Without a word, after the time that a lock lasts; its demand lasts no longer than it."""
    one, other = two
    await one.follow(TSLA)
    await other.follow(AAPL)
    await eventually(lambda: one.wanted == {AAPL, TSLA}, "the demand")
    await one.die()
    await other.leads()
    assert AAPL in other.wanted
    await eventually(lambda: other.wanted == {AAPL}, "the end of the dead one's demand")


async def test_demand_of_all_nodes_reaches_the_one_with_the_feed(two: list[EngineNode]) -> None:
    """Until no node wants a topic any more."""
    one, other = two
    await one.follow(AAPL)
    await other.follow(AAPL, TSLA)
    await eventually(lambda: one.wanted == {AAPL, TSLA}, "the demand of both")
    one.deliveries.release(AAPL)
    other.deliveries.release(TSLA)
    await eventually(lambda: one.wanted == {AAPL}, "the end of one")
    other.deliveries.release(AAPL)
    await eventually(lambda: not one.wanted, "the end of all")
    assert other.wanted == set()


async def test_demand_of_a_node_that_ends_ends_with_it(redis_url: str) -> None:
    """At once, since it says so."""
    async with node(redis_url, "one") as one:
        await one.leads()
        async with node(redis_url, "two") as other:
            await other.follow(AAPL)
            await eventually(lambda: one.wanted == {AAPL}, "the demand")
        await eventually(lambda: not one.wanted, "its end")


async def test_a_node_without_a_feed_runs_none(redis_url: str) -> None:
    """So it never stands in the way of one that has."""
    async with (
        node(redis_url, "without", feeds=False) as without,
        node(redis_url, "with") as other,
    ):
        await other.leads()
        assert without.elected is None
        await without.cluster.election.resign()
        await without.follow(AAPL)
        await eventually(lambda: other.wanted == {AAPL}, "the demand")


async def test_who_wants_a_topic_that_is_followed_gets_what_is_known_at_once(
    two: list[EngineNode],
) -> None:
    """Nobody waits for Redis."""
    one, other = two
    await one.engine.publish(trade(TRADES, 1, 2, 3))
    await other.engine.prepare([TRADES, AAPL])
    assert other.delivered == []
    other.deliveries.want(TRADES)
    assert sizes(other.delivered) == [1, 2, 3]
    other.deliveries.release(TRADES)
    [position] = await one.engine.publish(trade(TRADES, 4))
    await other.hears()
    assert sizes(other.delivered) == [1, 2, 3]
    snapshot = await other.engine.snapshot(TRADES)
    assert snapshot is not None
    assert snapshot.position == position


async def test_many_who_ask_for_a_topic_wait_for_one_answer(two: list[EngineNode]) -> None:
    """It is read once."""
    one, other = two
    await one.engine.publish(books(AAPL, 1))
    await other.hears()
    calls = other.engine._link.calls
    await asyncio.gather(*(other.engine.prepare([AAPL]) for _ in range(20)))
    assert AAPL in other.engine._log_sync.gap_detector
    assert other.engine._link.calls - calls <= 3


async def test_what_nobody_wants_is_let_go(redis_url: str) -> None:
    """After a while, and it can be wanted again."""
    times = RedisTimes(engine=EngineTimes(audit=0.02, linger=0.05))
    async with node(redis_url, times=times) as one:
        await one.follow(AAPL, TSLA)
        await one.engine.prepare([QUOTE])
        one.deliveries.release(AAPL)
        await eventually(
            lambda: one.engine._log_sync.gap_detector.topics() == [TSLA], "the others to be let go"
        )
        await one.engine.publish(books(AAPL, 1))
        await one.hears()
        assert one.delivered == []
        await one.follow(AAPL)
        [position] = await one.engine.publish(books(AAPL, 2))
        await one.has(AAPL, position)
        assert one.seqs(AAPL) == [1, 2]


@pytest.mark.parametrize("keeps_books", [False, True])
async def test_books_have_a_history_where_they_are_kept(redis_url: str, keeps_books: bool) -> None:
    """As trades and final candles have, bounded."""
    rules = RedisRules(3, LogRules(3, 3, keeps_books))
    async with node(redis_url, rules=rules) as one:
        await one.engine.publish(books(AAPL, 1, 2, 3, 4, 5))
        await one.follow(AAPL)
        assert one.seqs(AAPL) == ([3, 4, 5] if keeps_books else [5])


async def test_a_history_in_redis_is_bounded(redis_url: str, redis_server: RedisServer) -> None:
    """Roughly: Redis cuts whole pieces. Of what nobody publishes any more, all is forgotten."""
    async with node(redis_url, rules=RedisRules(10, LogRules(10))) as one:
        for _ in range(20):
            await one.engine.publish(trade(TRADES, *range(50)))
        state, history, _ = KEYS.topic(TRADES)
        assert int(redis_server.cli("XLEN", history)) < 250
        for key in (state, history):
            assert 0 < int(redis_server.cli("TTL", key)) <= KEEP_SECONDS


async def test_times_and_marks_go_with_an_update(two: list[EngineNode]) -> None:
    """From one node to the other."""
    one, other = two
    await other.follow(CANDLES)
    await one.engine.publish([Publication(CANDLES, candle(1, final=True), 5.0, 6.0, backfill=True)])
    await eventually(lambda: len(other.delivered) == 1, "the candle")
    [update] = other.delivered
    assert (update.exchange_ms, update.feed_ms, update.backfill) == (5.0, 6.0, True)
    assert (update.server_ms > 1e12, update.engine_restored) == (True, False)


async def test_topics_that_have_expired_are_listed_no_more(
    two: list[EngineNode], redis_server: RedisServer
) -> None:
    """As if they had never been."""
    one, other = two
    await one.engine.publish([*books(AAPL, 1), *books(TSLA, 1)])
    redis_server.cli("DEL", KEYS.topic(AAPL)[0])
    assert [head.topic for head in await other.engine.heads()] == [TSLA]
    assert other.engine.status().topics == 1


async def test_a_record_that_cannot_be_read_takes_nothing_else_with_it(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Its topic goes on with the next update."""
    async with nodes(redis_url, "one", "two", times=AUDITS_OFTEN) as (one, other):
        await one.engine.publish(books(AAPL, 1))
        redis_server.cli("HSET", KEYS.topic(AAPL)[0], "d", "nonsense")
        await other.engine.prepare([AAPL, TSLA])
        other.deliveries.want(AAPL)
        other.deliveries.want(TSLA)
        [position, second] = await one.engine.publish([*books(TSLA, 1), *books(AAPL, 2)])
        await other.has(TSLA, position)
        await other.has(AAPL, second)


async def test_numbers_and_status_tell_how_it_is(two: list[EngineNode]) -> None:
    """For Prometheus and for people."""
    one, _ = two
    await one.follow(AAPL)
    numbers = one.engine.numbers()
    assert numbers["topics_followed"] == 1
    assert numbers["calls"] > 0
    assert numbers["connections"] >= 1
    for name in ("away", "outages", "failures", "subscriptions_lost", "repaired", "given_back"):
        assert numbers[name] == 0, name
    status = one.engine.status()
    assert (status.kind, status.state, status.topics, status.detail) == (
        "redis",
        "connected",
        1,
        None,
    )


async def test_an_end_leaves_nothing_behind(redis_url: str, redis_server: RedisServer) -> None:
    """No task, no connection; what was published stays."""
    before = set(asyncio.all_tasks())
    ended = EngineNode(backend(redis_url, "ended"))
    await ended.start()
    await ended.hears()
    await ended.leads()
    await ended.follow(AAPL)
    busy = [asyncio.ensure_future(ended.engine.publish(books(AAPL, n))) for n in range(50)]
    await ended.stop()
    await asyncio.gather(*busy, return_exceptions=True)
    await eventually(lambda: tasks_begun(before) == set(), f"{tasks_begun(before)} to end")
    clients = "name=bookcast"
    await eventually(lambda: clients not in redis_server.cli("CLIENT", "LIST"), "connections")
    assert redis_server.cli("GET", KEYS.lock) == ""
    assert redis_server.cli("ZCARD", KEYS.nodes) == "0"
    assert redis_server.cli("EXISTS", KEYS.node("ended"), KEYS.demand("ended")) == "0"


@pytest.mark.no_cover
async def test_a_batch_of_many_goes_through(two: list[EngineNode]) -> None:
    """Several thousand at once, and large ones."""
    one, other = two
    await other.follow(TRADES)
    many = [Publication(TRADES, trades(*range(50))) for _ in range(5000)]
    positions = await one.engine.publish(many)
    assert [position.seq for position in positions] == list(range(1, 5001))
    await other.has(TRADES, Position(positions[0].epoch, 5000))
    seqs = other.seqs(TRADES)
    assert seqs == list(range(seqs[0], 5001))


async def test_final_candles_stay_in_redis_as_long_as_one_forms(
    two: list[EngineNode], redis_server: RedisServer
) -> None:
    """One of a month forms for longer than what nobody publishes is kept."""
    one, _ = two
    key = KEYS.topic(CANDLES).history
    await one.engine.publish([Publication(CANDLES, candle(1, final=True))], fence=one.fence)
    redis_server.cli("EXPIRE", key, "100")
    await one.engine.publish([Publication(CANDLES, candle(2))], fence=one.fence)
    assert int(redis_server.cli("TTL", key)) > KEEP_SECONDS - 100
