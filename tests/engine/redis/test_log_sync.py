"""Following topics, on a real Redis."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.engine.redis.batch_publisher import BatchPublisher
from bookcast.engine.redis.log_sync import LogSync
from bookcast.engine.redis.records import Unreadable
from bookcast.engine.redis.times import EngineTimes
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication, Update
from tests.backplane.links import KEYS, link
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, QUOTE, TRADES, TSLA, eventually, trades, update


class Reader:
    """A node that follows topics, and another one that publishes."""

    def __init__(self) -> None:
        self.shown: list[tuple[Update, bool]] = []
        self.wanted: set[Topic] = set()
        self.given_back: list[Update] = []
        self.unreadable = UnreadableLog()
        self.deaf = False
        self.missed = 0
        self.log_sync: LogSync
        self.batch_publisher: BatchPublisher

    def show(self, updates: Sequence[Update | Unreadable], first: bool) -> None:
        for one in updates:
            if isinstance(one, Update):
                self.shown.append((one, first))

    async def restore(self, states: Sequence[Update]) -> None:
        self.given_back += states

    def connect(self) -> None:
        self.log_sync.read_again()

    def hear(self, channel: str, message: bytes) -> None:
        if self.deaf:
            self.missed += 1
        else:
            self.log_sync.hear(channel, message)

    async def publish(self, *sizes: int, topic: Topic = TRADES) -> None:
        made = [Publication(topic, update(size, topic).data) for size in sizes]
        await self.batch_publisher.publish(made, None, restored=lambda _topic: False)

    def seqs(self) -> list[int]:
        return [one.position.seq for one, _ in self.shown]

    async def has(self, *seqs: int) -> None:
        await eventually(lambda: self.seqs() == list(seqs), f"{seqs}, not {self.seqs()}")


@asynccontextmanager
async def reader(url: str, times: EngineTimes | None = None) -> AsyncIterator[Reader]:
    async with link(url) as (made, _):
        one = Reader()
        subscriber = Subscriber(made, one.connect)
        subscriber.listen_to_others(one.hear)
        one.log_sync = LogSync(
            made,
            subscriber,
            history_size=100,
            log_of=LogRules(100).log_of,
            patience=1,
            show=one.show,
            restore=one.restore,
            is_wanted=one.wanted.__contains__,
            unreadable=one.unreadable,
            times=times,
        )
        one.batch_publisher = BatchPublisher(
            made, node="me", history_size=100, keeps_books=False, clock=time.time
        )
        subscriber.start()
        await eventually(lambda: subscriber.trouble is None, "a subscription")
        yield one
        await subscriber.close()
        await one.log_sync.close()
        await one.batch_publisher.close()


async def test_what_is_known_is_at_hand_once_it_is_prepared(redis_url: str) -> None:
    """Later updates follow, and only those read at first are marked as the first."""
    async with reader(redis_url) as one:
        await one.publish(1, 2)
        await one.log_sync.prepare([TRADES, AAPL])
        assert TRADES in one.log_sync.gap_detector
        assert AAPL in one.log_sync.gap_detector
        assert one.seqs() == [1, 2]
        await one.publish(3)
        await one.has(1, 2, 3)
        assert [first for _, first in one.shown] == [True, True, False]


async def test_what_was_missed_is_read_before_what_comes_next_is_shown(redis_url: str) -> None:
    """In order, and once."""
    async with reader(redis_url) as one:
        await one.log_sync.prepare([TRADES])
        one.deaf = True
        await one.publish(1, 2)
        # The reply of the publication may be here before the message is.
        await eventually(lambda: one.missed > 0, "a message that is missed")
        one.deaf = False
        await one.publish(3)
        await one.has(1, 2, 3)
        assert one.log_sync.repaired >= 1


async def test_what_was_missed_is_found_when_nothing_comes_next(
    redis_url: str,
) -> None:
    """By comparing with what Redis has."""
    async with reader(redis_url, EngineTimes(arrival=1e-6)) as one:
        await one.log_sync.prepare([TRADES])
        one.deaf = True
        await one.publish(1, 2)
        await one.log_sync.audit()
        await one.has(1, 2)
        await one.log_sync.audit()
        assert one.log_sync.repaired == 1


async def test_what_redis_has_lost_is_given_back(redis_url: str, redis_server: RedisServer) -> None:
    """The newest of what stands for itself; of what counts one by one, nothing."""
    async with reader(redis_url) as one:
        await one.log_sync.prepare([TRADES, AAPL, TSLA, QUOTE])
        for topic in (TRADES, AAPL, TSLA):
            await one.publish(1, 2, topic=topic)
        await eventually(lambda: len(one.shown) == 6, "all of it")
        await one.log_sync.audit()
        assert one.given_back == []
        redis_server.cli("DEL", *(KEYS.topic(topic).state for topic in (TRADES, AAPL)))
        redis_server.cli("HSET", KEYS.topic(TSLA).state, "s", 1)
        await one.log_sync.audit()
        await eventually(lambda: len(one.given_back) == 2, "the states")
        assert {update.topic for update in one.given_back} == {AAPL, TSLA}
        assert {update.position.seq for update in one.given_back} == {2}
        assert one.log_sync.given_back == 2


async def test_what_nobody_wants_is_let_go_after_a_while(
    redis_url: str,
) -> None:
    """What is wanted again meanwhile, isn't."""
    async with reader(redis_url, EngineTimes(linger=1e-9)) as one:
        one.wanted.add(AAPL)
        await one.log_sync.prepare([TRADES, AAPL])
        one.log_sync.want(AAPL)
        one.log_sync.release(TRADES)
        await one.log_sync.audit()
        assert one.log_sync.gap_detector.topics() == [AAPL]
        one.wanted.discard(AAPL)
        one.log_sync.release(AAPL)
        one.log_sync.want(AAPL)
        await one.log_sync.audit()
        assert one.log_sync.gap_detector.topics() == [AAPL]


async def test_a_topic_can_be_asked_for_without_being_followed(redis_url: str) -> None:
    """As of a place, where that is in its history."""
    async with reader(redis_url) as one:
        assert (await one.log_sync.ask(TRADES)).newest is None
        await one.publish(1, 2, 3)
        found = await one.log_sync.ask(TRADES)
        assert isinstance(found.newest, Update)
        assert found.newest.data == trades(3)
        later = await one.log_sync.ask(TRADES, found.history[0].position)
        assert [past.position.seq for past in later.history] == [2, 3]
        assert one.log_sync.gap_detector.topics() == []
