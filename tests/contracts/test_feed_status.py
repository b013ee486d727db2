"""The status that the leader publishes of its feed, in memory and in Redis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from functools import partial

import pytest

from bookcast.cluster.feed_status.base import FeedStatusBoard
from bookcast.cluster.feed_status.memory import MemoryFeedStatus, SharedNotices
from bookcast.cluster.feed_status.redis import RedisFeedStatus
from bookcast.errors import FencedError
from tests.backplane.links import KEYS
from tests.contracts.twins import TWINS, Planes, listen, twin
from tests.fakes.redis_server import RedisServer
from tests.support import eventually


class World(ABC):
    """Nodes that read what one of them publishes."""

    @abstractmethod
    async def make(self) -> FeedStatusBoard:
        """Make the board of a node."""

    @abstractmethod
    def elect(self, fence: int) -> None:
        """Elect a node under a fencing token."""


class InMemory(World):
    """Nodes of one process."""

    def __init__(self) -> None:
        self._shared = SharedNotices()

    async def make(self) -> FeedStatusBoard:
        return MemoryFeedStatus(self._shared)

    def elect(self, fence: int) -> None:
        self._shared.raise_fence(fence)


class InRedis(World):
    """Nodes that share nothing but a Redis."""

    def __init__(self, planes: Planes, server: RedisServer) -> None:
        self._planes = planes
        self._server = server

    async def make(self) -> FeedStatusBoard:
        plane = await self._planes.make()
        board = RedisFeedStatus(plane)
        await listen(plane)
        await board.read()
        return board

    def elect(self, fence: int) -> None:
        self._server.cli("SET", KEYS.lock_number, fence)


@pytest.fixture(params=TWINS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with twin(request, InMemory, InRedis) as made:
        yield made


async def post(board: FeedStatusBoard, notices: Mapping[str, bytes], fence: int = 1) -> None:
    await board.post(partial(dict, notices), fence)


async def shows(board: FeedStatusBoard, notices: Mapping[str, bytes]) -> None:
    await eventually(lambda: board.notices == notices, f"{notices}, not {board.notices}")


async def test_notices_are_at_hand_at_all_nodes(world: World) -> None:
    """What changes, and what is taken away; a new node has them too."""
    one, other = await world.make(), await world.make()
    one.begin()
    for notices in (
        {"a": b"1", "b": b"1"},
        {"a": b"1", "b": b"2"},
        {"b": b"2", "c": b"3"},
        {"c": b"4"},
    ):
        await post(one, notices)
        await shows(one, notices)
        await shows(other, notices)
    await shows(await world.make(), {"c": b"4"})
    await post(one, {})
    await shows(other, {})


async def test_who_begins_takes_away_what_another_had_posted(world: World) -> None:
    """Also when nothing takes its place."""
    one, other, third = [await world.make() for _ in range(3)]
    await post(one, {"a": b"1", "b": b"1"})
    await shows(third, {"a": b"1", "b": b"1"})
    world.elect(2)
    other.begin()
    await post(other, {"b": b"2"}, 2)
    await shows(third, {"b": b"2"})
    world.elect(3)
    one.begin()
    await post(one, {}, 3)
    await shows(third, {})


async def test_who_runs_the_feed_no_more_can_post_nothing(world: World) -> None:
    """All of it stays as it was."""
    old, new = await world.make(), await world.make()
    await post(old, {"a": b"old"})
    world.elect(2)
    new.begin()
    await post(new, {"a": b"new"}, 2)
    for notices in ({"a": b"older"}, {}):
        with pytest.raises(FencedError):
            await post(old, notices)
    await shows(old, {"a": b"new"})
    await shows(new, {"a": b"new"})


async def test_what_was_posted_stays_when_its_node_ends(world: World) -> None:
    """Until another one begins: it is the last that is known."""
    one, other = await world.make(), await world.make()
    await post(one, {"a": b"1"})
    await one.close()
    await shows(other, {"a": b"1"})
    await other.close()
