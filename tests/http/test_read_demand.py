"""What reads want of the feed, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from bookcast.engine.memory import MemoryEngine
from bookcast.errors import InvalidInput
from bookcast.http import read_demand
from bookcast.http.read_demand import MAX_TOPICS_EACH, MAX_WAITING_EACH, ReadInterests
from bookcast.model.market_data import Quote
from bookcast.model.topic_log import StateLog
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication
from tests.support import AAPL, PATIENCE, QUOTE, TSLA, Deliveries, eventually, update

LINGER = 10.0


class World:
    """Readers of an engine, subscribers beside them, and what the feed is told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wanted: dict[Topic, str] = {}
        self.engine = MemoryEngine()
        self.deliveries = Deliveries(self.engine)
        self.delivered = self.deliveries.all
        self.readers = ReadInterests(self.engine, linger_seconds=LINGER, clock=lambda: self.now)
        self.engine.attach(
            notice=self.readers.tap(self.deliveries.notice),
            wanted=lambda topic: self.wanted.update({topic: "subscribed"}),
            wanted_to_read=lambda topic: self.wanted.update({topic: "read"}),
            unwanted=self.wanted.__delitem__,
        )

    def read(self, topic: Topic, who: str = "alice") -> None:
        self.readers.read(topic, who, None)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.readers.check()


async def never() -> bool:
    return False


def quote(number: int) -> Topic:
    return Topic("quote", Symbol(f"US.{number}"))


def test_what_was_read_is_wanted_for_as_long_as_it_lingers() -> None:
    """Counted from the last read of anybody."""
    world = World()
    world.read(AAPL)
    world.later(9)
    world.read(AAPL, "bob")
    world.later(9)
    assert world.wanted == {AAPL: "read"}
    assert world.readers.holds(AAPL)
    world.read(AAPL)
    world.later(9.9)
    assert world.wanted == {AAPL: "read"}
    world.later(0.1)
    assert world.wanted == {}
    world.read(AAPL)
    assert world.wanted == {AAPL: "read"}


def test_what_is_subscribed_is_no_concern_of_readers() -> None:
    """When the last subscriber leaves, what was read lately lingers."""
    world = World()
    world.deliveries.want(AAPL)
    world.read(AAPL)
    assert world.wanted == {AAPL: "subscribed"}
    world.later(5)
    world.deliveries.release(AAPL)
    assert world.wanted == {AAPL: "read"}
    world.deliveries.want(AAPL)
    assert world.wanted == {AAPL: "subscribed"}
    world.later(5)
    assert world.wanted == {AAPL: "subscribed"}
    world.deliveries.release(AAPL)
    assert world.wanted == {}


def test_a_subscriber_after_a_read_gets_what_is_known() -> None:
    """As if nobody had read it."""
    world = World()
    world.read(QUOTE)
    asyncio.run(world.engine.publish([Publication(QUOTE, Quote(last=1))]))
    del world.delivered[:]
    world.deliveries.want(QUOTE)
    assert [one.data for one in world.delivered] == [Quote(last=1)]


def test_somebody_reads_twenty_topics_that_nobody_is_subscribed_to() -> None:
    """Others read others; one is free when the first has lingered; subscribed ones don't count."""
    world = World()
    world.deliveries.want(AAPL)
    world.read(AAPL)
    for number in range(MAX_TOPICS_EACH):
        world.read(quote(number))
        world.later(0.1)
    with pytest.raises(InvalidInput, match="You read 20 topics") as refused:
        world.read(TSLA)
    assert (refused.value.code, refused.value.reason) == ("too_many_reads", "reads_of_one")
    assert refused.value.retry_after == pytest.approx(LINGER - 2)
    assert TSLA not in world.wanted
    world.read(quote(7))  # as often as they like
    world.read(TSLA, "bob")
    world.deliveries.want(quote(0))
    world.read(TSLA)
    world.deliveries.release(quote(0))
    with pytest.raises(InvalidInput):
        world.read(QUOTE)
    world.later(LINGER)
    world.read(QUOTE)


def test_all_together_read_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read already may be read by more."""
    monkeypatch.setattr(read_demand, "MAX_TOPICS", 2)
    world = World()
    world.read(AAPL, "alice")
    world.read(TSLA, "bob")
    world.read(AAPL, "carol")
    with pytest.raises(InvalidInput) as refused:
        world.read(QUOTE, "dave")
    assert refused.value.reason == "reads_of_all"


def test_of_many_readers_those_who_read_the_longest_ago_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What they alone have read goes a little early."""
    monkeypatch.setattr(read_demand, "MAX_PAIRS", 2)
    world = World()
    world.read(AAPL, "alice")
    world.read(TSLA, "bob")
    world.read(TSLA, "carol")
    assert world.wanted == {TSLA: "read"}


async def test_whoever_waits_is_woken_by_the_first_update() -> None:
    """At once."""
    world = World()
    world.read(QUOTE)
    waiting = asyncio.create_task(world.readers.wait(QUOTE, "alice", 60, never))
    await asyncio.sleep(0)
    await world.engine.publish([Publication(QUOTE, Quote(last=1))])
    assert await asyncio.wait_for(waiting, PATIENCE) is True
    assert world.readers.has_news(QUOTE)


async def test_what_was_known_before_is_no_news() -> None:
    """But a new epoch is."""
    world = World()
    notice = world.readers.tap(world.deliveries.notice)
    for place, news in [
        (Position("m-1", 6), False),
        (Position("m-1", 7), False),
        (Position("m-1", 8), True),
        (Position("m-2", 1), True),
    ]:
        world.readers.read(AAPL, "alice", Position("m-1", 7))
        log = StateLog(AAPL, 1)
        log.append(update(place.seq, epoch=place.epoch))
        notice(log)
        assert world.readers.has_news(AAPL) is news
        world.later(LINGER)
    world.readers.read(AAPL, "alice", Position("1800-a", 7))
    late = StateLog(AAPL, 1)
    late.append(update(9, epoch="1700-a"))  # which Redis tells late
    notice(late)
    assert not world.readers.has_news(AAPL)


async def test_nobody_waits_in_vain_or_past_the_end() -> None:
    """Neither for what can't come, nor too long, nor when the server ends."""
    world = World()
    world.read(QUOTE)

    async def vain() -> bool:
        return True

    assert await world.readers.wait(QUOTE, "alice", 60, vain) is False
    assert await world.readers.wait(QUOTE, "alice", 0, never) is False
    assert await world.readers.wait(TSLA, "alice", 60, never) is False  # nobody has read it
    waiting = asyncio.create_task(world.readers.wait(QUOTE, "alice", 60, never))
    await asyncio.sleep(0)
    world.readers.close()
    assert await asyncio.wait_for(waiting, PATIENCE) is False


async def test_what_is_waited_for_is_wanted_meanwhile() -> None:
    """However short it lingers."""
    world = World()
    world.read(QUOTE)
    waiting = asyncio.create_task(world.readers.wait(QUOTE, "alice", 60, never))
    await asyncio.sleep(0)
    world.later(LINGER + 1)
    assert world.wanted == {QUOTE: "read"}
    await world.engine.publish([Publication(QUOTE, Quote(last=1))])
    assert await waiting is True
    assert world.wanted == {}


async def test_few_may_wait_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered at once, until some have been."""
    monkeypatch.setattr(read_demand, "MAX_WAITING", MAX_WAITING_EACH + 1)
    world = World()
    world.read(QUOTE)
    waiting = [
        asyncio.create_task(world.readers.wait(QUOTE, "alice", 60, never))
        for _ in range(MAX_WAITING_EACH)
    ]
    await asyncio.sleep(0)
    assert await world.readers.wait(QUOTE, "alice", 60, never) is False
    waiting.append(asyncio.create_task(world.readers.wait(QUOTE, "bob", 60, never)))
    await asyncio.sleep(0)
    assert await world.readers.wait(QUOTE, "carol", 60, never) is False
    await world.engine.publish([Publication(QUOTE, Quote(last=1))])
    assert await asyncio.gather(*waiting) == [True] * (MAX_WAITING_EACH + 1)
    world.later(LINGER)
    world.read(QUOTE)
    again = asyncio.create_task(world.readers.wait(QUOTE, "alice", 60, never))
    await eventually(lambda: not again.done(), "somebody who waits")
    again.cancel()
