"""Nodes of an engine on Redis, as many as a test wants, in one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.names import name_of, shard_of
from bookcast.engine.peers import Node
from bookcast.engine.redis import RedisEngine, RedisRules
from bookcast.model import LOSSLESS, Book, Level, Position, Publication, Topic, Trades, Update
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, Deliveries, eventually, trades

HISTORY = RedisRules()

TIMEOUT = 0.5
"""Seconds that a Redis may take to answer that is going to be silent."""


class EngineNode:
    """An engine, and what it is attached to."""

    def __init__(self, engine: RedisEngine, *, feeds: bool = True) -> None:
        self.engine = engine
        self.deliveries = Deliveries(engine)
        self.delivered = self.deliveries.all
        self.unreadable: list[tuple[Topic, Position]] = []
        self.removed: list[Topic] = []
        self.wanted: set[Topic] = set()
        self.fences: list[int | None] = []
        self.lost = 0
        self.returned = 0
        self.dead = False
        engine.attach(
            notice=self.deliveries.notice,
            wanted=self.wanted.add,
            unwanted=self.wanted.discard,
            unreadable=lambda topic, position: self.unreadable.append((topic, position)),
            removed=self.removed.append,
        )
        engine.on_return(self._return)
        if feeds:
            engine.lead(gained=self._gain, lost=self._lose)

    @property
    def id(self) -> str:
        """Its name among the nodes."""
        return self.engine.shared.peers.id if self.engine.shared else ""

    @property
    def fence(self) -> int:
        """Under which it runs the feed, as its feed was told."""
        fence = self.fences[-1]
        assert fence is not None
        return fence

    async def _gain(self, fence: int | None) -> None:
        self.fences.append(fence)

    async def _lose(self) -> None:
        self.lost += 1

    def _return(self) -> None:
        self.returned += 1

    async def leads(self) -> None:
        """Wait until it runs the feed."""
        await eventually(lambda: self.engine.fence is not None and bool(self.fences), "leadership")

    async def hears(self) -> None:
        """Wait until Redis tells it what is said, and it has heard all that was said before."""
        await eventually(lambda: self.engine.status().state == "connected", "a subscription")
        heard = asyncio.Event()

        async def hear(_body: bytes) -> bytes:
            heard.set()
            return b""

        assert self.engine.shared is not None
        self.engine.shared.peers.handlers["hears"] = hear
        async with asyncio.timeout(PATIENCE):
            while not heard.is_set():  # a word may be lost with a connection
                await self.engine.shared.peers.tell(self.id, "hears", b"")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), 0.5)

    async def follow(self, *topics: Topic) -> None:
        """Want topics, and wait until they are followed."""
        await self.deliveries.follow(*topics)
        await eventually(
            lambda: all(one in self.engine._follower.mirror for one in topics), "the mirror"
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
        engine = self.engine
        await engine._work.end()
        for task in (engine._leadership._task, engine._committer._task):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await engine._demand.close()
        await engine._subscriber.close()
        await engine._link.close()


def engine(
    url: str,
    name: str,
    *,
    rules: RedisRules = HISTORY,
    patience: float = 5.0,
    ca_file: str | None = None,
    prefix: str = "bookcast",
) -> RedisEngine:
    """Make an engine that isn't started."""
    return RedisEngine(
        LinkSettings(url, timeout=patience, ca_file=ca_file, prefix=prefix),
        myself=lambda: Node(name, name),
        rules=rules,
    )


@asynccontextmanager
async def node(
    url: str,
    name: str = "one",
    *,
    rules: RedisRules = HISTORY,
    patience: float = 5.0,
    ca_file: str | None = None,
    prefix: str = "bookcast",
    feeds: bool = True,
    hears: bool = True,
) -> AsyncIterator[EngineNode]:
    """Run a node; ``hears``: from the beginning, so Redis has to be there.

    ``patience``: seconds that Redis may take to answer.
    """
    made = engine(url, name, rules=rules, patience=patience, ca_file=ca_file, prefix=prefix)
    running = EngineNode(made, feeds=feeds)
    await running.engine.start()
    try:
        if hears:
            await running.hears()
        yield running
    finally:
        if not running.dead:
            await asyncio.wait_for(running.engine.stop(), PATIENCE)


@asynccontextmanager
async def nodes(
    url: str, *names: str, rules: RedisRules = HISTORY, patience: float = 5.0
) -> AsyncIterator[list[EngineNode]]:
    """Run several nodes, of which the first runs the feed."""
    async with AsyncExitStack() as stack:
        running: list[EngineNode] = []
        for name in names:
            running.append(
                await stack.enter_async_context(node(url, name, rules=rules, patience=patience))
            )
            await running[0].leads()
        yield running


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
