"""Publishing: what comes while a call is under way goes together in the next one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bookcast.backplane.link import Link
from bookcast.engine.redis import batch_publisher as committer_module
from bookcast.engine.redis import records
from bookcast.engine.redis.batch_publisher import BatchPublisher
from bookcast.errors import EngineAwayError, FencedError
from bookcast.model.market_data import Book
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication, Update
from tests.backplane.links import KEYS, link
from tests.engine.nodes import books, trade
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, PATIENCE, TRADES


def batch_publisher(made: Link, name: str = "node", *, keeps_books: bool = False) -> BatchPublisher:
    return BatchPublisher(
        made, node=name, history_size=100, keeps_books=keeps_books, clock=lambda: 1.5
    )


ELSEWHERE = Position("local", 1)


def publish(
    one: BatchPublisher, publications: list[Publication], fence: int | None = None
) -> asyncio.Future[list[Position]]:
    return one.publish(publications, fence, restored=lambda _topic: False)


@pytest.fixture
async def made(redis_url: str) -> AsyncIterator[Link]:
    async with link(redis_url) as (running, _):
        yield running


async def test_what_comes_meanwhile_goes_together(made: Link) -> None:
    """In order; one call for each shard."""
    one = batch_publisher(made)
    await publish(one, books(AAPL, 0))
    calls = made.calls
    positions = await asyncio.gather(*(publish(one, books(AAPL, n)) for n in range(1, 200)))
    assert [found[0].seq for found in positions] == list(range(2, 201))
    assert made.calls - calls <= 2
    await one.close()


async def test_no_more_go_together_than_is_right(
    made: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But one batch that is larger goes through."""
    monkeypatch.setattr(committer_module, "MAX_TOGETHER", 10)
    one = batch_publisher(made)
    batches = [publish(one, books(AAPL, *range(size))) for size in (4, 4, 4, 25, 1)]
    positions = await asyncio.gather(*batches)
    assert [len(found) for found in positions] == [4, 4, 4, 25, 1]
    assert [position.seq for found in positions for position in found] == list(range(1, 39))
    assert made.calls == 4
    await one.close()


async def test_an_update_is_written_as_it_is(made: Link, redis_server: RedisServer) -> None:
    """With the time, and whether it is the first after an outage; others read the same."""
    one = batch_publisher(made)
    outcome = one.publish(
        [*books(AAPL, 1), *trade(TRADES, 1)], None, restored=lambda topic: topic == TRADES
    )
    book, print_ = await outcome
    for topic, position, restored in ((AAPL, book, False), (TRADES, print_, True)):
        state, history, _ = KEYS.topic(topic)
        found = await made.call("read", [state, history], ["", 0, 100])
        update = records.decode(topic, position, found[2])
        assert (update.server_ms, update.engine_restored) == (1500, restored)
        assert (found[0].decode(), int(found[1])) == (position.epoch, position.seq)
        assert len(found) == (5 if topic == TRADES else 3)
        assert redis_server.cli("HGET", state, "m") in {"1500", "1500.0"}
    await one.close()


async def test_where_something_was_lost_an_epoch_begins(made: Link) -> None:
    """Several in one call are all different, and the history holds the last one alone."""
    one = batch_publisher(made)
    publications = [
        publication._replace(breaks=number in {2, 4})
        for number, publication in enumerate(trade(TRADES, *range(6)))
    ]
    positions = await one.publish(publications, None, restored=lambda _topic: False)
    assert [position.seq for position in positions] == [1, 2, 3, 4, 5, 6]
    epochs = [position.epoch for position in positions]
    assert epochs[0] == epochs[1]
    assert epochs[2] == epochs[3]
    assert epochs[4] == epochs[5]
    assert len(set(epochs)) == 3
    state, history, _ = KEYS.topic(TRADES)
    found = await made.call("read", [state, history], ["", 0, 100])
    assert [int(seq) for seq in found[3::2]] == [5, 6]
    await one.close()


async def test_an_epoch_is_never_used_twice(made: Link, redis_server: RedisServer) -> None:
    """Neither by another node, nor after Redis has forgotten everything."""
    one, other = batch_publisher(made, "one"), batch_publisher(made, "two")
    epochs = []
    for _ in range(3):
        for each in (one, other):
            [position] = await each.publish(books(AAPL, 1), None, restored=lambda _topic: False)
            epochs.append(position.epoch)
            redis_server.cli("FLUSHALL")
    assert len(set(epochs)) == 6
    await one.close()
    await other.close()


async def test_an_older_fence_is_refused_and_takes_no_other_with_it(made: Link) -> None:
    """Those without one go on."""
    one = batch_publisher(made)
    await publish(one, books(AAPL, 1), 20)
    refused, free, current = (
        publish(one, books(AAPL, 2), 10),
        publish(one, books(AAPL, 3)),
        publish(one, books(AAPL, 4)),
    )
    with pytest.raises(FencedError):
        await refused
    assert [position.seq for position in [*await free, *await current]] == [2, 3]
    assert len(await publish(one, books(AAPL, 5), 20)) == 1
    assert len(await publish(one, books(AAPL, 6), 21)) == 1
    with pytest.raises(FencedError):
        await publish(one, books(AAPL, 7), 20)
    await one.close()


async def test_a_call_that_comes_late_is_refused(made: Link) -> None:
    """What came after it has been published already."""
    one = batch_publisher(made)
    await publish(one, books(AAPL, 1))
    await publish(one, books(AAPL, 2))
    one._number -= 2
    with pytest.raises(EngineAwayError, match="LATE"):
        await publish(one, books(AAPL, 3))
    made._breaker.succeed()
    [position] = await publish(one, books(AAPL, 9))  # the number of the last: its answer
    assert position.seq == 2
    await one.close()


async def test_what_cannot_be_done_is_told_to_everybody_in_it(tmp_path: Path) -> None:
    """And what waits behind it doesn't wait for nothing."""
    with RedisServer(tmp_path) as server:
        async with link(server.url) as (made, breaker):
            one = batch_publisher(made)
            await publish(one, books(AAPL, 1))
            server.kill()
            first = publish(one, [*books(AAPL, 2), *trade(TRADES, 1)])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            second = publish(one, books(AAPL, 3))
            outcomes = await asyncio.gather(first, second, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [EngineAwayError] * 2
            assert breaker.is_open
            server.start()
            breaker.succeed()
            [position] = await publish(one, books(AAPL, 4))
            assert position.seq == 1
            await one.close()


async def test_a_full_redis_does_all_of_a_call_or_nothing(tmp_path: Path) -> None:
    """Nobody is told of what isn't kept."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(40)]
    with RedisServer(tmp_path) as server:
        async with link(server.url) as (made, breaker):
            one = batch_publisher(made)
            server.cli("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(EngineAwayError, match="is full"):
                await publish(one, [one_ for topic in topics for one_ in books(topic, 1)])
            assert server.cli("DBSIZE") == "0"
            server.cli("CONFIG", "SET", "maxmemory", "0")
            breaker.succeed()
            positions = await publish(one, [one_ for topic in topics for one_ in books(topic, 1)])
            assert {position.seq for position in positions} == {1}
            await one.close()


async def test_what_waits_at_the_end_is_given_up(tmp_path: Path) -> None:
    """Whoever published it is told, and nothing is left."""
    with RedisServer(tmp_path) as server:
        async with link(server.url, patience=5) as (made, _):
            one = batch_publisher(made)
            await one.close()
            await publish(one, books(AAPL, 1))
            server.pause()
            waiting = [publish(one, books(AAPL, number)) for number in range(3)]
            await asyncio.sleep(0)
            await asyncio.wait_for(one.close(), PATIENCE)
            assert all(outcome.cancelled() for outcome in waiting)


async def test_many_topics_of_any_name_go_in_one_call(made: Link) -> None:
    """Each gets its own position."""
    one = batch_publisher(made)
    symbols = ["US.{A}", "US.a:b", "US.ü漢", "US.%s", "US. x", "US.\\n"]
    topics = [Topic("orderbook", Symbol(symbol)) for symbol in symbols]
    positions = await publish(
        one, [Publication(topic, Book((), ())) for topic in topics for _ in range(2)]
    )
    assert [position.seq for position in positions] == [1, 2] * len(topics)
    await one.close()


def hand_in(
    one: BatchPublisher, size: int, *, at: float, place: Position = ELSEWHERE
) -> asyncio.Future[list[Position]]:
    """Publish what was published before, at some time and place."""
    [state] = books(AAPL, size)
    late = Update(AAPL, place, state.data, server_ms=at)
    return one.publish([state], None, restored=lambda _topic: False, late=late)


async def test_what_is_of_an_earlier_time_gives_way_to_what_was_published_since(
    made: Link,
) -> None:
    """Where nothing was, it begins an epoch, with the time that it is of."""
    one, other = batch_publisher(made), batch_publisher(made, "other")
    [first] = await publish(one, books(AAPL, 1))  # at 1500 ms
    [late] = await hand_in(one, 7, at=1400.0)
    assert late == first
    [late] = await hand_in(one, 7, at=1500.0)
    assert late == first
    newer = hand_in(other, 8, at=1600.0)
    together = publish(other, books(AAPL, 9))
    assert [one.seq for one in (*await newer, *await together)] == [2, 3]
    await one.close()
    await other.close()


async def test_what_redis_has_lost_is_taken_whatever_clocks_say(
    made: Link, redis_server: RedisServer
) -> None:
    """It has an earlier place of the same epoch, so what is handed in came after that."""
    one = batch_publisher(made)
    first, second = await publish(one, books(AAPL, 1, 2))
    redis_server.cli("HSET", KEYS.topic(AAPL).state, "s", first.seq)
    [again] = await hand_in(one, 2, at=100.0, place=second)
    assert (again.seq, again.epoch != first.epoch) == (2, True)
    [late] = await hand_in(one, 2, at=100.0, place=second)
    assert late == again
    await one.close()
