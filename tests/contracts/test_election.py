"""One node runs the feed at a time, in memory and in Redis."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable

import pytest

from bookcast.cluster.election.base import Election
from bookcast.cluster.election.memory import MemoryElection, MemoryLock
from bookcast.cluster.election.redis import ElectionTimes, RedisElection
from tests.backplane.links import KEYS
from tests.contracts.twins import TWINS, Planes, listen, twin
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, eventually

TIMES = ElectionTimes(lock=600.0, renewal=0.05)  # no caller waits for its end


class Runner:
    """The feed of a node, and a record of its starts and stops."""

    def __init__(self, election: Election) -> None:
        self.election = election
        self.told: list[str] = []
        self.is_running = False

    async def gain(self, fence: int) -> None:
        assert not self.is_running
        assert fence == self.election.fence
        self.is_running = True
        self.told.append(f"gained {fence}")

    async def lose(self) -> None:
        assert self.is_running
        self.is_running = False
        self.told.append("lost")

    async def leads(self) -> int:
        await eventually(lambda: self.is_running, "the feed")
        assert self.election.fence is not None
        return self.election.fence


class World(ABC):
    """Nodes that contend for the feed."""

    @abstractmethod
    async def make(self, name: str) -> Election:
        """Return the election of a node."""

    @abstractmethod
    async def lose(self, election: Election) -> None:
        """Make the leader count as dead, as if it had hung for too long."""


class InMemory(World):
    """Nodes of one process."""

    def __init__(self) -> None:
        self._lock = MemoryLock()

    async def make(self, name: str) -> Election:
        return MemoryElection(self._lock)

    async def lose(self, election: Election) -> None:
        assert isinstance(election, MemoryElection)
        self._lock.release(election)


class InRedis(World):
    """Nodes that share nothing but a Redis."""

    def __init__(self, planes: Planes, server: RedisServer) -> None:
        self._planes = planes
        self._server = server

    async def make(self, name: str) -> Election:
        plane = await self._planes.make()
        election = RedisElection(plane, name, TIMES)
        await listen(plane)
        return election

    async def lose(self, election: Election) -> None:
        assert isinstance(election, RedisElection)
        await election._looking.close()
        self._server.cli("DEL", KEYS.lock)


@pytest.fixture(params=TWINS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with twin(request, InMemory, InRedis) as made:
        yield made


@pytest.fixture
async def three(world: World) -> AsyncIterator[list[Runner]]:
    """Yield three nodes; the first one runs the feed."""
    runners = [Runner(await world.make(name)) for name in ("one", "two", "three")]
    for runner in runners:
        await runner.election.start(runner)
        await runners[0].leads()
    yield runners
    for runner in runners:
        await asyncio.wait_for(runner.election.resign(), PATIENCE)


def running(runners: list[Runner]) -> list[Runner]:
    """Return the nodes that consider themselves leaders."""
    return [one for one in runners if one.is_running]


async def another(runners: list[Runner], *before: Runner) -> Runner:
    """Wait until a different node runs the feed."""

    def found() -> bool:
        return any(one not in before for one in running(runners))

    await eventually(found, "another")
    return next(one for one in running(runners) if one not in before)


async def test_one_node_runs_the_feed(three: list[Runner]) -> None:
    """It has a fencing token; the other nodes have none and got no call."""
    fence = await three[0].leads()
    assert fence > 0
    assert [one.election.fence for one in three] == [fence, None, None]
    assert [one.told for one in three] == [[f"gained {fence}"], [], []]


async def test_the_only_one_runs_it(world: World) -> None:
    """And again, after others had their turn and ended."""
    one = Runner(await world.make("one"))
    await one.election.start(one)
    fence = await one.leads()
    other = Runner(await world.make("two"))
    await other.election.start(other)
    await one.election.resign()
    assert await other.leads() > fence
    await other.election.resign()
    assert [each.told[-1] for each in (one, other)] == ["lost", "lost"]
    assert [each.election.fence for each in (one, other)] == [None, None]


async def test_who_resigns_is_followed_at_once(three: list[Runner]) -> None:
    """The next one has a higher number, each time."""
    fences = [await three[0].leads()]
    gone: list[Runner] = []
    leader = three[0]
    for _ in range(2):
        await leader.election.resign()
        assert leader.told[-1] == "lost"
        assert leader.election.fence is None
        gone.append(leader)
        leader = await another(three, *gone)
        fences.append(await leader.leads())
        assert running(three) == [leader]
    assert fences == sorted(set(fences))


async def test_who_counts_as_dead_is_followed(world: World, three: list[Runner]) -> None:
    """With a higher number; should it live, it ends its feed once it is refused."""
    first = three[0]
    before = await first.leads()
    await world.lose(first.election)
    leader = await another(three, first)
    assert await leader.leads() > before
    assert first.is_running
    await first.election.note_fenced(before)
    assert (first.told[-1], first.election.fence) == ("lost", None)
    assert running(three) == [leader]


async def test_a_refusal_of_before_ends_nothing(three: list[Runner]) -> None:
    """It was under another number; nor does one that isn't this node's."""
    fence = await three[0].leads()
    await three[0].election.note_fenced(fence - 1)
    await three[1].election.note_fenced(fence)
    assert [one.told for one in three] == [[f"gained {fence}"], [], []]


@pytest.mark.parametrize("when", ["before", "waiting", "twice"])
async def test_who_resigns_without_the_feed_is_no_fault(world: World, when: str) -> None:
    """Before it was started, while another runs it, and once more."""
    one, other = Runner(await world.make("one")), Runner(await world.make("two"))
    if when != "before":
        await one.election.start(one)
        await one.leads()
        await other.election.start(other)
    await other.election.resign()
    if when == "twice":
        await other.election.resign()
    assert other.told == []
    await one.election.resign()
    await one.election.resign()
    assert one.told[1:] == (["lost"] if when != "before" else [])


async def test_many_who_come_and_go_never_run_it_together(world: World) -> None:
    """Each under its own number; in the end the one that is left does."""
    runners: list[Runner] = []
    fences: list[int] = []

    def note(runner: Runner) -> Callable[[int], object]:
        gain = runner.gain

        async def gained(fence: int) -> None:
            assert running(runners) == []
            fences.append(fence)
            await gain(fence)

        return gained

    for number in range(6):
        runner = Runner(await world.make(f"node{number}"))
        runner.gain = note(runner)  # type: ignore[method-assign,assignment] # it is watched
        runners.append(runner)
        await runner.election.start(runner)
    for _ in range(5):
        leader = await another(runners)
        await leader.election.resign()
        assert not leader.is_running
    last = await another(runners)
    assert len(fences) == 6
    assert fences == sorted(set(fences))
    await last.election.resign()
