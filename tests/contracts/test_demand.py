"""What all nodes want together, in memory and in Redis."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.demand.base import Demand
from bookcast.cluster.demand.memory import MemoryDemand, SharedDemand
from bookcast.cluster.demand.redis import DemandTimes, RedisDemand
from bookcast.cluster.members.base import Node
from bookcast.cluster.members.redis import RedisMembers
from bookcast.model.topics import Topic
from tests.backplane.links import KEYS
from tests.contracts.twins import TWINS, Planes, listen, twin
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, PATIENCE, QUOTE, TSLA, eventually


class Feed:
    """The feed of a node, and what it was told."""

    def __init__(self, demand: Demand) -> None:
        self.demand = demand
        self.told: list[tuple[str, Topic]] = []

    def want(self, topic: Topic) -> None:
        self.told.append(("wanted", topic))

    def want_to_read(self, topic: Topic) -> None:
        self.told.append(("read", topic))

    def release(self, topic: Topic) -> None:
        self.told.append(("unwanted", topic))

    async def follow(self) -> None:
        await self.demand.follow(self)

    def ranks(self) -> dict[Topic, str]:
        """Return what it takes for wanted, and by whom; nothing may be told twice."""
        found: dict[Topic, str] = {}
        for what, topic in self.told:
            assert found.get(topic, "unwanted") != what
            found[topic] = what
        return {topic: what for topic, what in found.items() if what != "unwanted"}

    def wanted(self) -> set[Topic]:
        """Return what subscribers want."""
        return {topic for topic, what in self.ranks().items() if what == "wanted"}

    async def has(self, ranks: dict[Topic, str]) -> None:
        """Wait until this is what is wanted."""
        await eventually(lambda: self.ranks() == ranks, f"{ranks}, not {self.ranks()}")


class World(ABC):
    """Nodes that want something of one feed."""

    @abstractmethod
    async def make(self, name: str) -> Demand:
        """Make the demand of a node."""

    @abstractmethod
    async def lose(self, name: str, demand: Demand) -> None:
        """Make a node count as dead: what it wanted is forgotten."""

    @abstractmethod
    async def settled(self, name: str, count: int) -> None:
        """Wait until others can know that a node wants so many things."""


class InMemory(World):
    """Nodes of one process."""

    def __init__(self) -> None:
        self._shared = SharedDemand()

    async def make(self, name: str) -> Demand:
        return MemoryDemand(self._shared)

    async def lose(self, name: str, demand: Demand) -> None:
        assert isinstance(demand, MemoryDemand)
        self._shared.leave(demand)

    async def settled(self, name: str, count: int) -> None:
        """They do at once."""


class InRedis(World):
    """Nodes that share nothing but a Redis."""

    def __init__(self, planes: Planes, server: RedisServer) -> None:
        self._planes = planes
        self._server = server
        self._members: list[RedisMembers] = []

    async def make(self, name: str) -> Demand:
        plane = await self._planes.make()
        # Nobody's pulse goes on here.
        times = PulseTimes(living=600.0)
        members = RedisMembers(plane, lambda: Node(name, "group"), times)
        demand = RedisDemand(plane, members, DemandTimes(look=0.05), living=times.living)
        self._members.append(members)
        for one in reversed(self._members):
            await one.pulse.beat()  # so that all know of it
        await listen(plane)
        return demand

    async def lose(self, name: str, demand: Demand) -> None:
        await demand.close()
        self._server.cli("DEL", KEYS.demand(name))

    async def settled(self, name: str, count: int) -> None:
        await eventually(
            lambda: int(self._server.cli("SCARD", KEYS.demand(name))) == count, "the demand"
        )


@pytest.fixture(params=TWINS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with twin(request, InMemory, InRedis) as made:
        yield made


@pytest.fixture
async def three(world: World) -> AsyncIterator[tuple[Feed, Feed, Feed]]:
    one, two, three = [Feed(await world.make(name)) for name in ("one", "two", "three")]
    yield one, two, three
    for feed in (one, two, three):
        await asyncio.wait_for(feed.demand.close(), PATIENCE)


async def test_the_feed_is_told_what_any_node_wants(
    world: World, three: tuple[Feed, Feed, Feed]
) -> None:
    """When it begins, and from then on; each topic once."""
    one, two, third = three
    one.demand.want(AAPL)
    two.demand.want(AAPL)
    third.demand.want(TSLA)
    await world.settled("two", 1)
    await world.settled("three", 1)
    assert one.told == []
    await one.follow()
    await one.follow()
    assert one.wanted() == {AAPL, TSLA}
    two.demand.want(QUOTE)
    await one.has({AAPL: "wanted", TSLA: "wanted", QUOTE: "wanted"})
    one.demand.release(AAPL)
    third.demand.release(TSLA)
    await one.has({AAPL: "wanted", QUOTE: "wanted"})
    two.demand.release(AAPL)
    two.demand.release(QUOTE)
    await one.has({})
    assert two.told == third.told == []


async def test_what_this_node_wants_reaches_its_feed_at_once(
    three: tuple[Feed, Feed, Feed],
) -> None:
    """Without a task, since a subscriber waits."""
    one, _, _ = three
    await one.follow()
    one.demand.want(AAPL)
    one.demand.want_to_read(TSLA)
    assert one.told == [("wanted", AAPL), ("read", TSLA)]
    one.demand.want(TSLA)
    assert one.told[2:] == [("wanted", TSLA)]
    one.demand.release(AAPL)
    await one.has({TSLA: "wanted"})
    one.demand.want_to_read(TSLA)
    await one.has({TSLA: "read"})


async def test_what_any_node_subscribes_is_no_read(
    world: World, three: tuple[Feed, Feed, Feed]
) -> None:
    """Whoever reads it beside; when the last subscriber leaves, the reads count."""
    one, other, _ = three
    one.demand.want_to_read(AAPL)
    other.demand.want_to_read(TSLA)
    other.demand.want(QUOTE)
    await world.settled("two", 2)
    await one.follow()
    assert one.ranks() == {AAPL: "read", TSLA: "read", QUOTE: "wanted"}
    other.demand.want(AAPL)
    other.demand.want(TSLA)
    await one.has({AAPL: "wanted", TSLA: "wanted", QUOTE: "wanted"})
    one.demand.want_to_read(QUOTE)
    one.demand.want(TSLA)
    other.demand.want_to_read(TSLA)
    other.demand.release(AAPL)
    other.demand.release(QUOTE)
    await one.has({AAPL: "read", TSLA: "wanted", QUOTE: "read"})
    one.demand.want_to_read(TSLA)
    one.demand.release(AAPL)
    one.demand.release(QUOTE)
    await one.has({TSLA: "read"})
    other.demand.release(TSLA)
    one.demand.release(TSLA)
    await one.has({})


async def test_who_runs_the_feed_no_more_wants_nothing_of_it(
    world: World, three: tuple[Feed, Feed, Feed]
) -> None:
    """Another one takes over what is wanted; it begins anew with the next time."""
    one, other, _ = three
    one.demand.want(AAPL)
    await world.settled("one", 1)
    await one.follow()
    await one.demand.unfollow()
    await one.demand.unfollow()
    assert one.ranks() == {}
    one.demand.want(TSLA)
    await world.settled("one", 2)
    assert one.ranks() == {}
    await other.follow()
    assert other.wanted() == {AAPL, TSLA}
    await other.demand.unfollow()
    await one.follow()
    assert one.wanted() == {AAPL, TSLA}


@pytest.mark.parametrize("how", ["dies", "wants nothing"])
async def test_what_a_node_wanted_ends_with_it(
    world: World, three: tuple[Feed, Feed, Feed], how: str
) -> None:
    """However it ends; what others want stays."""
    one, other, third = three
    other.demand.want(AAPL)
    other.demand.want(TSLA)
    third.demand.want_to_read(AAPL)
    await world.settled("two", 2)
    await world.settled("three", 1)
    await one.follow()
    assert one.wanted() == {AAPL, TSLA}
    if how == "dies":
        await world.lose("two", other.demand)
    else:
        other.demand.release(AAPL)
        other.demand.release(TSLA)
    await one.has({AAPL: "read"})


async def test_of_many_changes_the_last_counts(
    world: World, three: tuple[Feed, Feed, Feed]
) -> None:
    """However often somebody changes their mind."""
    one, other, _ = three
    await one.follow()
    for _ in range(50):
        other.demand.want(AAPL)
        other.demand.want_to_read(TSLA)
        other.demand.release(AAPL)
        await asyncio.sleep(0)
    other.demand.want(QUOTE)
    await one.has({TSLA: "read", QUOTE: "wanted"})
