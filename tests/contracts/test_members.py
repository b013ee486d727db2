"""The contract between the nodes of a cluster, in memory and in Redis."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator

import pytest

from bookcast.backplane.base import Backplane
from bookcast.backplane.formats import NEWEST
from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.members.base import Members, Node
from bookcast.cluster.members.memory import MemoryMembers, MemoryNetwork
from bookcast.cluster.members.redis import RedisMembers
from tests.contracts.twins import TWINS, Planes, listen, twin
from tests.support import PATIENCE, eventually

TIMES = PulseTimes(pulse=0.1, deaf=3.0, living=1.0)


class World(ABC):
    """A cluster that nodes join and leave."""

    def __init__(self) -> None:
        self.said: dict[str, Node] = {}

    @abstractmethod
    async def make(self, name: str) -> Members:
        """Make a node that joins."""

    @abstractmethod
    async def lose(self, members: Members) -> None:
        """Cut a node off, as when it dies."""

    async def join(self, name: str) -> Members:
        """Return a node that has joined with data about itself."""
        self.said[name] = Node(name, "group", worker=len(self.said), connections=5)
        return await self.make(name)


class InMemory(World):
    """Nodes of one process."""

    def __init__(self) -> None:
        super().__init__()
        self._network = MemoryNetwork()

    async def make(self, name: str) -> Members:
        return MemoryMembers(lambda: self.said[name], self._network)

    async def lose(self, members: Members) -> None:
        self._network.lose(members.id)


class InRedis(World):
    """Nodes that share nothing but a Redis."""

    def __init__(self, planes: Planes) -> None:
        super().__init__()
        self._planes = planes
        self._plane_of: dict[Members, Backplane] = {}

    async def make(self, name: str) -> Members:
        plane = await self._planes.make()
        members = RedisMembers(plane, lambda: self.said[name], TIMES)
        self._plane_of[members] = plane
        await members.pulse.beat()
        await listen(plane)
        members.pulse.start()
        return members

    async def lose(self, members: Members) -> None:
        assert isinstance(members, RedisMembers)
        await members.pulse.close()
        await self._plane_of[members].subscriber.close()


@pytest.fixture(params=TWINS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with twin(request, InMemory, lambda planes, _server: InRedis(planes)) as made:
        yield made


@pytest.fixture
async def two(world: World) -> AsyncIterator[tuple[Members, Members]]:
    one, other = await world.join("one"), await world.join("two")
    await eventually(lambda: set(one.living) == set(other.living) == {"one", "two"}, "both")
    yield one, other
    for each in (one, other):
        await asyncio.wait_for(each.close(), PATIENCE)


async def turned(body: bytes) -> bytes:
    return body[::-1]


async def test_who_lives_knows_of_all_others(world: World, two: tuple[Members, Members]) -> None:
    """With what they say of themselves, until they end, or die."""
    one, other = two
    assert one.living["two"].connections == 5
    third, fourth = await world.join("three"), await world.join("four")
    for each in (one, other, third, fourth):
        await eventually(lambda each=each: len(each.living) == 4, "all four")  # type: ignore[misc] # no type can be inferred for a lambda with a default
        assert each.form == NEWEST
        assert {node.record_format for node in each.living.values()} == {NEWEST}
    await third.close()
    await eventually(lambda: set(one.living) == {"one", "two", "four"}, "the end of one")
    await world.lose(fourth)
    await eventually(lambda: set(one.living) == {"one", "two"}, "the death of one")
    world.said["one"] = Node("one", "group", leads=True)
    one.announce()
    await eventually(lambda: other.living["one"].leads, "what it says now")


async def test_a_node_answers_what_it_is_asked(two: tuple[Members, Members]) -> None:
    """Itself as well as others, several at once, whatever bytes."""
    one, other = two
    one.handlers["turn"] = other.handlers["turn"] = turned
    body = bytes(range(256)) * 100
    assert await one.ask("two", "turn", body, PATIENCE) == body[::-1]
    assert await one.ask("one", "turn", b"ab", PATIENCE) == b"ba"
    answers = await one.ask_all(["one", "two", "none"], "turn", b"ab", PATIENCE)
    assert answers == {"one": b"ba", "two": b"ba", "none": None}
    many = [one.ask("two", "turn", str(number).encode(), PATIENCE) for number in range(10, 100)]
    assert await asyncio.gather(*many) == [str(n)[::-1].encode() for n in range(10, 100)]


async def test_an_answer_may_ask_something_itself(two: tuple[Members, Members]) -> None:
    """It may even ask the node that asked."""
    one, other = two

    async def ask_back(body: bytes) -> bytes:
        return (await other.ask("one", "turn", body, PATIENCE) or b"") + b"!"

    one.handlers["turn"], other.handlers["ask back"] = turned, ask_back
    assert await one.ask("two", "ask back", b"ab", PATIENCE) == b"ba!"


async def test_who_cannot_answer_is_waited_for_no_longer_than_is_right(
    two: tuple[Members, Members], caplog: pytest.LogCaptureFixture
) -> None:
    """If no node listens or none knows the method, there is no wait at all."""
    one, other = two
    never = asyncio.Event()

    async def sleep(_body: bytes) -> bytes:
        await never.wait()
        return b""

    async def fail(_body: bytes) -> bytes:
        raise ValueError("no good")

    other.handlers.update(sleep=sleep, fail=fail)
    async with asyncio.timeout(PATIENCE / 2):
        assert await one.ask("none", "turn", b"", PATIENCE) is None
        assert await one.ask("two", "unknown", b"", PATIENCE) is None
        assert await one.ask("two", "fail", b"", PATIENCE) is None
        assert await one.ask("two", "sleep", b"", 0.05) is None
    assert "answering fail met a fault of ours" in caplog.text
    never.set()  # an answer that comes too late
    assert await one.ask("two", "unknown", b"", PATIENCE) is None


async def test_who_is_dead_is_not_waited_for(world: World, two: tuple[Members, Members]) -> None:
    """No node listens on its channel."""
    one, other = two
    other.handlers["turn"] = turned
    await world.lose(other)
    async with asyncio.timeout(PATIENCE / 2):
        assert await one.ask("two", "turn", b"", PATIENCE) is None


async def test_a_node_can_be_told_something(two: tuple[Members, Members]) -> None:
    """There is no answer; an absent node doesn't get the message."""
    one, other = two
    heard: list[bytes] = []

    async def hear(body: bytes) -> bytes:
        heard.append(body)
        return b"answer"

    other.handlers["hear"] = hear
    await one.tell("two", "hear", b"word")
    await one.tell("none", "hear", b"word")
    await eventually(lambda: heard == [b"word"], "the word")


async def test_who_ends_leaves_questions_unanswered(two: tuple[Members, Members]) -> None:
    """Without holding up its end."""
    one, other = two
    asked = asyncio.Event()

    async def never(_body: bytes) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    other.handlers["never"] = never
    asking = asyncio.ensure_future(one.ask("two", "never", b"", 0.3))
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await asyncio.wait_for(other.close(), PATIENCE)
    assert await asking is None
