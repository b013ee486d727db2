"""One node runs the feed at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import Link
from bookcast.backplane.names import SHARDS
from bookcast.engine import leadership
from bookcast.engine.leadership import Leadership
from tests.backplane.links import KEYS, link
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, eventually


class Candidate:
    """Who may run the feed, and what became of that."""

    def __init__(self, made: Link, name: str) -> None:
        self.told: list[str] = []
        self.now = 0.0
        self.before_gain: Callable[[], object] = lambda: None
        self.leadership = Leadership(
            made, name, gained=self._gain, lost=self._lose, clock=lambda: self.now
        )

    async def _gain(self, fence: int) -> None:
        self.before_gain()
        self.told.append(f"gained {fence}")

    async def _lose(self) -> None:
        self.told.append("lost")

    @property
    def fence(self) -> int | None:
        return self.leadership.fence

    async def leads(self) -> int:
        await eventually(lambda: self.told[-1:] == [f"gained {self.fence}"], "leadership")
        assert self.fence is not None
        return self.fence


@pytest.fixture(autouse=True)
def _quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(leadership, "LOCK_MS", 300)


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Candidate, Candidate, Breaker]]:
    """Give one who runs the feed, another, and the breaker before both."""
    async with link(url) as (made, breaker):
        one, other = Candidate(made, "one"), Candidate(made, "two")
        one.leadership.start()
        await one.leads()
        other.leadership.start()
        yield one, other, breaker
        for each in (one, other):
            await asyncio.wait_for(each.leadership.close(), PATIENCE)


async def turns(count: int = 3) -> None:
    """Let everybody look at the lock so often."""
    await asyncio.sleep(leadership.RENEW_SECONDS * count)


async def test_the_lock_is_renewed_for_as_long_as_its_holder_lives(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Under one number; nobody else gets it."""
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
    async with link(redis_url) as (made, _):
        one = Candidate(made, "one")
        fences: list[str] = []
        one.before_gain = lambda: fences.extend(
            redis_server.cli("GET", KEYS.fence(shard)) for shard in range(SHARDS)
        )
        redis_server.cli("SET", KEYS.fence(3), 2**50)
        one.leadership.start()
        fence = await one.leads()
        assert fences.count(str(fence)) == SHARDS - 1
        assert fences[3] == str(2**50)  # a fence never sinks
        await one.leadership.close()


async def test_who_resigns_is_followed_at_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one has a higher number, and is told of it."""
    async with two(redis_url) as (one, other, _):
        before = await one.leads()
        await one.leadership.close()
        assert one.told[-1] == "lost"
        other.leadership.note_free()
        assert await other.leads() > before


async def test_a_lock_that_nobody_renews_is_taken(redis_url: str) -> None:
    """Its holder was stopped, perhaps; once it goes on, it learns that it is over."""
    async with two(redis_url) as (one, other, _):
        before = await one.leads()
        await one.leadership._changing.acquire()  # it stands still
        assert await other.leads() > before
        assert one.fence == before
        one.leadership._changing.release()
        await eventually(lambda: one.told[-1] == "lost", "the end of the first")
        assert one.fence is None


async def test_who_is_refused_ends_its_feed(redis_url: str) -> None:
    """Unless it was under a number of before."""
    async with two(redis_url) as (one, _, _):
        fence = await one.leads()
        await one.leadership.fenced(fence - 1)
        assert one.told == [f"gained {fence}"]
        await one.leadership.fenced(fence)
        assert one.told[1] == "lost"


async def test_a_lock_that_is_lost_is_taken_again_under_its_number(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Nobody else has had it since, so the feed needn't end."""
    async with two(redis_url) as (one, other, _):
        other.now = -1.0
        other.leadership._away_until = 0.0  # it gives way, as after Redis was away
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
    async with link(redis_url) as (made, _):
        one = Candidate(made, "one")
        one.leadership.start()
        before = await one.leads()
        # Meanwhile another had it, and has died.
        redis_server.cli("SET", KEYS.lock_number, before + 5)
        redis_server.cli("DEL", KEYS.lock)
        await eventually(lambda: len(one.told) == 3, "a new beginning")
        assert one.told == [f"gained {before}", "lost", f"gained {one.fence}"]
        assert one.fence is not None
        assert one.fence > before + 5
        await one.leadership.close()


async def test_while_redis_is_away_the_feed_goes_on(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Afterwards whoever had it has the first word, for a while."""
    async with two(redis_url) as (one, other, breaker):
        fence = await one.leads()
        await one.leadership._changing.acquire()
        breaker.fail("gone")
        await turns()
        await eventually(lambda: other.leadership._away_until > 0, "it to be noticed")
        redis_server.cli("FLUSHALL")
        breaker.succeed()
        await turns()
        assert (one.fence, other.fence) == (fence, None)
        other.now = leadership.PATIENCE_SECONDS + 0.1  # nobody said a word
        await other.leads()
        one.leadership._changing.release()
        await eventually(lambda: one.told[-1] == "lost", "the end of the first")


async def test_a_fault_of_the_feed_does_not_end_the_looking(
    redis_url: str, caplog: pytest.LogCaptureFixture, redis_server: RedisServer
) -> None:
    """The log tells."""
    async with link(redis_url) as (made, _):
        one = Candidate(made, "one")
        one.before_gain = lambda: 1 / 0
        one.leadership.start()
        await eventually(lambda: "a fault of ours" in caplog.text, "the fault")
        redis_server.cli("DEL", KEYS.lock)
        await eventually(lambda: redis_server.cli("GET", KEYS.lock) != "", "the lock")
        await one.leadership.close()
        assert redis_server.cli("GET", KEYS.lock) == ""


async def test_an_end_before_the_beginning_is_no_fault(redis_url: str) -> None:
    """Nor a second end."""
    async with link(redis_url) as (made, breaker):
        one = Candidate(made, "one")
        await one.leadership.close()
        one.leadership.start()
        await one.leads()
        breaker.fail("gone")
        await one.leadership.close()
        await one.leadership.close()
        assert one.told[-1] == "lost"
