"""One node runs the feed at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bookcast.backplane.base import Backplane
from bookcast.backplane.breaker import Breaker
from bookcast.backplane.names import SHARDS
from bookcast.cluster.election.redis import ElectionTimes, RedisElection
from tests.backplane.links import KEYS, plane
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, eventually

TIMES = ElectionTimes(lock=0.3, renewal=0.02)


class Candidate:
    """A node that may run the feed, and a record of its terms as the leader."""

    def __init__(self, made: Backplane, name: str) -> None:
        self.told: list[str] = []
        self.now = 0.0
        self.before_gain: Callable[[], object] = lambda: None
        self.election = RedisElection(made, name, TIMES, clock=lambda: self.now)

    async def start(self) -> None:
        await self.election.start(self)

    async def gain(self, fence: int) -> None:
        self.before_gain()
        self.told.append(f"gained {fence}")

    async def lose(self) -> None:
        self.told.append("lost")

    @property
    def fence(self) -> int | None:
        return self.election.fence

    async def leads(self) -> int:
        await eventually(lambda: self.told[-1:] == [f"gained {self.fence}"], "leadership")
        assert self.fence is not None
        return self.fence


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Candidate, Candidate, Breaker]]:
    """Yield a candidate that leads, another one, and the breaker that both use."""
    async with plane(url) as made:
        one, other = Candidate(made, "one"), Candidate(made, "two")
        await one.start()
        await one.leads()
        await other.start()
        yield one, other, made.breaker
        for each in (one, other):
            await asyncio.wait_for(each.election.resign(), PATIENCE)


async def turns(count: int = 3) -> None:
    """Wait until every candidate has looked at the lock `count` times."""
    await asyncio.sleep(TIMES.renewal * count)


async def test_the_lock_is_renewed_for_as_long_as_its_holder_lives(
    redis_url: str, redis_server: RedisServer
) -> None:
    """The fencing token stays the same, and no other node gets the lock."""
    async with two(redis_url) as (one, other, _):
        fence = one.fence
        assert redis_server.cli("GET", KEYS.lock) == f"{fence} one"
        redis_server.cli("PEXPIRE", KEYS.lock, 100)
        await eventually(lambda: int(redis_server.cli("PTTL", KEYS.lock)) > 200, "renewal")
        assert (one.told, other.told, other.fence) == ([f"gained {fence}"], [], None)


async def test_every_shard_is_fenced_before_the_feed_begins(
    redis_url: str, redis_server: RedisServer
) -> None:
    """So nothing of the one before comes after it."""
    async with plane(redis_url) as made:
        one = Candidate(made, "one")
        fences: list[str] = []
        one.before_gain = lambda: fences.extend(
            redis_server.cli("GET", KEYS.fence(shard)) for shard in range(SHARDS)
        )
        redis_server.cli("SET", KEYS.fence(3), 2**50)
        await one.start()
        fence = await one.leads()
        assert fences.count(str(fence)) == SHARDS - 1
        assert fences[3] == str(2**50)  # a fence never sinks
        await one.election.resign()


async def test_who_resigns_is_followed_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next leader has a higher fencing token, and its runner is notified."""
    async with two(redis_url) as (one, other, _):
        before = await one.leads()
        await one.election.resign()
        assert one.told[-1] == "lost"
        other.election.note_free()
        assert await other.leads() > before


async def test_a_lock_that_nobody_renews_is_taken(redis_url: str) -> None:
    """Its holder was stopped, perhaps; once it goes on, it learns that it is over."""
    async with two(redis_url) as (one, other, _):
        before = await one.leads()
        await one.election._changing.acquire()  # the node hangs
        assert await other.leads() > before
        assert one.fence == before
        one.election._changing.release()
        await eventually(lambda: one.told[-1] == "lost", "the end of the first")
        assert one.fence is None


async def test_who_is_refused_ends_its_feed(redis_url: str) -> None:
    """Unless it was under a number of before."""
    async with two(redis_url) as (one, _, _):
        fence = await one.leads()
        await one.election.note_fenced(fence - 1)
        assert one.told == [f"gained {fence}"]
        await one.election.note_fenced(fence)
        assert one.told[1] == "lost"


async def test_a_lock_that_is_lost_is_taken_again_under_its_number(
    redis_url: str, redis_server: RedisServer
) -> None:
    """No other node has led since, so the feed needn't stop."""
    async with two(redis_url) as (one, other, _):
        other.now = -1.0
        other.election._away_until = 0.0  # it resigns, as after an outage of Redis
        fence = await one.leads()
        for command in (("DEL", KEYS.lock), ("FLUSHALL",)):
            redis_server.cli(*command)
            await eventually(
                lambda: redis_server.cli("GET", KEYS.lock) == f"{fence} one", "the lock"
            )
        assert redis_server.cli("GET", KEYS.lock_number) == str(fence)
        # The fences of the shards as well, which keep out who ran the feed before.
        for shard in range(SHARDS):
            key = KEYS.fence(shard)
            await eventually(lambda key=key: redis_server.cli("GET", key) == str(fence), key)  # type: ignore[misc] # no type can be inferred for a lambda with a default
        assert one.told == [f"gained {fence}"]
        assert other.told == []


async def test_who_comes_back_after_another_begins_anew(
    redis_url: str, redis_server: RedisServer
) -> None:
    """What it has under way is refused, so its feed has to learn of the new number."""
    async with plane(redis_url) as made:
        one = Candidate(made, "one")
        await one.start()
        before = await one.leads()
        # Meanwhile another node led, and has died.
        redis_server.cli("SET", KEYS.lock_number, before + 5)
        redis_server.cli("DEL", KEYS.lock)
        await eventually(lambda: len(one.told) == 3, "a new beginning")
        assert one.told == [f"gained {before}", "lost", f"gained {one.fence}"]
        assert one.fence is not None
        assert one.fence > before + 5
        await one.election.resign()


async def test_while_redis_is_away_the_feed_goes_on(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Afterwards the former leader has precedence for a while."""
    async with two(redis_url) as (one, other, breaker):
        fence = await one.leads()
        await one.election._changing.acquire()
        breaker.fail("gone")
        await turns()
        await eventually(lambda: other.election._away_until > 0, "it to be noticed")
        redis_server.cli("FLUSHALL")
        breaker.succeed()
        await turns()
        assert (one.fence, other.fence) == (fence, None)
        other.now = TIMES.precedence + 0.1  # no node was notified
        await other.leads()
        one.election._changing.release()
        await eventually(lambda: one.told[-1] == "lost", "the end of the first")


async def test_a_fault_of_the_feed_does_not_end_the_looking(
    redis_url: str, caplog: pytest.LogCaptureFixture, redis_server: RedisServer
) -> None:
    """The error is logged."""
    async with plane(redis_url) as made:
        one = Candidate(made, "one")
        one.before_gain = lambda: 1 / 0
        await one.start()
        await eventually(lambda: "a fault of ours" in caplog.text, "the fault")
        redis_server.cli("DEL", KEYS.lock)
        await eventually(lambda: redis_server.cli("GET", KEYS.lock) != "", "the lock")
        await one.election.resign()
        assert redis_server.cli("GET", KEYS.lock) == ""


async def test_an_end_before_the_beginning_is_no_fault(redis_url: str) -> None:
    """Nor a second end."""
    async with plane(redis_url) as made:
        one = Candidate(made, "one")
        await one.election.resign()
        await one.start()
        await one.leads()
        made.breaker.fail("gone")
        await one.election.resign()
        await one.election.resign()
        assert one.told[-1] == "lost"
