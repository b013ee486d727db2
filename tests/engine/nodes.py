"""Nodes of an engine on Redis, as many as a test wants, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from bookcast.backend.redis import RedisBackend, RedisTimes
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.names import name_of, shard_of
from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.election.redis import ElectionTimes
from bookcast.cluster.feed_leadership import FeedLeadership
from bookcast.cluster.members.base import Node
from bookcast.engine.redis.engine import RedisRules
from bookcast.engine.redis.times import EngineTimes
from bookcast.model.market_data import LOSSLESS, Book, Level, Trades
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, Update
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, Deliveries, eventually, trades

HISTORY = RedisRules()

SECONDS = RedisTimes()
"""The intervals that a node has."""

AUDITS_OFTEN = RedisTimes(engine=EngineTimes(audit=0.02))
"""Intervals with which what Redis has is compared all the time."""

NEVER_AUDITS = EngineTimes(audit=1000.0, grace=1001.0)

QUICKER = RedisTimes(
    pulse=PulseTimes(pulse=0.1), election=ElectionTimes(lock=0.8, renewal=0.1, precedence=1.0)
)
"""Intervals with which what happens in seconds happens sooner."""

TIMEOUT = 0.5
"""Seconds that a Redis may take to answer that is going to be silent."""


class EngineNode:
    """A backend on Redis, and what it is attached to."""

    def __init__(self, backend: RedisBackend, *, feeds: bool = True) -> None:
        self.backend = backend
        self.engine = backend.engine
        self.cluster = backend.cluster
        self.feeds = feeds
        self.deliveries = Deliveries(self.engine)
        self.delivered = self.deliveries.all
        self.unreadable: list[tuple[Topic, Position]] = []
        self.removed: list[Topic] = []
        self.wanted: set[Topic] = set()
        self.fences: list[int] = []
        self.lost = 0
        self.returned = 0
        self.dead = False
        demand = self.cluster.demand
        self.engine.attach(
            notice=self.deliveries.notice,
            wanted=demand.want,
            wanted_to_read=demand.want_to_read,
            unwanted=demand.release,
            unreadable=lambda topic, position: self.unreadable.append((topic, position)),
            removed=self.removed.append,
        )
        backend.attach(away=lambda: None, returned=self._return)

    async def start(self) -> None:
        """Begin, and stand for election where it has a feed."""
        await self.backend.start()
        if self.feeds:
            await FeedLeadership(self.cluster, self).start()

    async def stop(self) -> None:
        """End."""
        await self.backend.stop()

    @property
    def id(self) -> str:
        """Its name among the nodes."""
        return self.cluster.members.id

    @property
    def elected(self) -> int | None:
        """The fence under which it runs the feed now; None: it doesn't."""
        return self.cluster.election.fence

    @property
    def fence(self) -> int:
        """Under which it runs the feed, as its feed was told."""
        return self.fences[-1]

    # What its feed is told

    def want(self, topic: Topic) -> None:
        """Some node wants a topic."""
        self.wanted.add(topic)

    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want a topic."""

    def release(self, topic: Topic) -> None:
        """No node wants a topic."""
        self.wanted.discard(topic)

    async def run_feed(self, fence: int) -> None:
        """Run the feed."""
        self.fences.append(fence)

    async def stop_feed(self) -> None:
        """Run it no more."""
        self.lost += 1

    def _return(self) -> None:
        self.returned += 1

    async def leads(self) -> None:
        """Wait until it runs the feed."""
        await eventually(lambda: self.elected is not None and bool(self.fences), "leadership")

    async def hears(self) -> None:
        """Wait until Redis tells it what is said, and it has heard all that was said before."""
        await eventually(lambda: self.engine.status().state == "connected", "a subscription")
        heard = asyncio.Event()

        async def hear(_body: bytes) -> bytes:
            heard.set()
            return b""

        self.cluster.members.handlers["hears"] = hear
        async with asyncio.timeout(PATIENCE):
            while not heard.is_set():  # a word may be lost with a connection
                await self.cluster.members.tell(self.id, "hears", b"")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), 0.5)

    async def follow(self, *topics: Topic) -> None:
        """Want topics, and wait until they are followed."""
        await self.deliveries.follow(*topics)
        await eventually(
            lambda: all(one in self.engine._log_sync.gap_detector for one in topics), "the mirror"
        )

    def positions(self, topic: Topic) -> list[Position]:
        """Give the positions of what was delivered of a topic."""
        return [update.position for update in self.delivered if update.topic == topic]

    def seqs(self, topic: Topic) -> list[int]:
        """Give the numbers of what was delivered of a topic."""
        return [position.seq for position in self.positions(topic)]

    async def has(self, topic: Topic, position: Position) -> None:
        """Wait until an update was delivered."""
        await eventually(
            lambda: position in self.positions(topic), f"{position} at {self.id}: {self.delivered}"
        )

    async def away(self) -> None:
        """Wait until it has noticed that Redis is away."""
        await eventually(lambda: self.engine.is_away, "the breaker")

    async def back(self) -> None:
        """Wait until it has noticed that Redis is back."""
        await eventually(lambda: not self.engine.is_away, "Redis to be back")

    async def die(self) -> None:
        """End without a word."""
        self.dead = True
        backend, engine = self.backend, self.engine
        await backend._members.pulse.close()
        await backend._members._answering.end()
        await backend._work.end()
        await backend._election._looking.close()
        await engine._auditing.close()
        await engine._work.end()
        if engine._batch_publisher._task is not None:
            engine._batch_publisher._task.cancel()
            await asyncio.wait([engine._batch_publisher._task])
        await backend._demand.close()
        await backend._feed_status.close()
        await backend._plane.subscriber.close()
        await backend._plane.link.close()


def backend(
    url: str,
    name: str,
    *,
    rules: RedisRules = HISTORY,
    times: RedisTimes = SECONDS,
    patience: float = 5.0,
    ca_file: str | None = None,
    prefix: str = "bookcast",
) -> RedisBackend:
    """Make a backend that isn't started."""
    return RedisBackend(
        LinkSettings(url, timeout=patience, ca_file=ca_file, prefix=prefix),
        myself=lambda: Node(name, name),
        rules=rules,
        times=times,
    )


@asynccontextmanager
async def node(
    url: str,
    name: str = "one",
    *,
    rules: RedisRules = HISTORY,
    times: RedisTimes = SECONDS,
    patience: float = 5.0,
    ca_file: str | None = None,
    prefix: str = "bookcast",
    feeds: bool = True,
    hears: bool = True,
) -> AsyncIterator[EngineNode]:
    """Run a node; ``hears``: from the beginning, so Redis has to be there.

    ``patience``: seconds that Redis may take to answer.
    """
    made = backend(
        url, name, rules=rules, times=times, patience=patience, ca_file=ca_file, prefix=prefix
    )
    running = EngineNode(made, feeds=feeds)
    await running.start()
    try:
        if hears:
            await running.hears()
        yield running
    finally:
        if not running.dead:
            await asyncio.wait_for(running.stop(), PATIENCE)


@asynccontextmanager
async def nodes(
    url: str,
    *names: str,
    rules: RedisRules = HISTORY,
    times: RedisTimes = SECONDS,
    patience: float = 5.0,
) -> AsyncIterator[list[EngineNode]]:
    """Run several nodes, of which the first runs the feed."""
    async with AsyncExitStack() as stack:
        running: list[EngineNode] = []
        for name in names:
            running.append(
                await stack.enter_async_context(
                    node(url, name, rules=rules, times=times, patience=patience)
                )
            )
            await running[0].leads()
        yield running


quick_node = functools.partial(node, times=QUICKER)
quick_nodes = functools.partial(nodes, times=QUICKER)


def book(size: int) -> Book:
    """Make a book that tells its number."""
    return Book(bids=(Level(1, size),), asks=())


def books(topic: Topic, *sizes: int) -> list[Publication]:
    """Make publications of books."""
    return [Publication(topic, book(size)) for size in sizes]


def trade(topic: Topic, *sizes: int) -> list[Publication]:
    """Make publications of a trade each."""
    return [Publication(topic, trades(size)) for size in sizes]


def sizes(updates: Iterable[Update]) -> list[float]:
    """Give what trades and books of :func:`trade` and :func:`books` tell."""
    found: list[float] = []
    for update in updates:
        if isinstance(update.data, Trades):
            found += [one.size for one in update.data.trades]
        elif isinstance(update.data, Book):
            found.append(update.data.bids[0].size)
    return found


async def written_by_another(link: Link, topic: Topic, *written: bytes) -> None:
    """Publish bytes that some other release may have written."""
    shard = shard_of(topic)
    state, history, channel = link.keys.topic(topic)
    producer = secrets.token_hex(4)
    letter = "h" if topic.channel in LOSSLESS else "s"
    await link.call(
        "publish",
        [
            link.keys.fence(shard),
            link.keys.producer(shard, producer),
            link.keys.directory(shard),
            state,
            history,
        ],
        [
            *(1, "", producer, 1000, 60, ""),
            *(name_of(topic), channel, "", 0, letter * len(written)),
            *written,
        ],
    )


def kill_subscriptions(server: RedisServer) -> int:
    """Cut all connections that listen."""
    return int(server.cli("CLIENT", "KILL", "TYPE", "pubsub") or 0)


def tasks_begun(before: set[asyncio.Task[object]]) -> set[str]:
    """Name the tasks that run now and didn't then."""
    return {task.get_name() for task in asyncio.all_tasks() - before}
