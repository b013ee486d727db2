"""Sessions on the shelf: only the owner's last word counts."""

from __future__ import annotations

import pytest

from bookcast.engine.shelf import LIVE_SECONDS, Shelf
from bookcast.errors import EngineAwayError
from tests.backplane.links import link
from tests.fakes.redis_server import RedisServer

KEY = "bc:s:key"


async def test_a_session_is_kept_and_taken(redis_url: str) -> None:
    """With its data, once; its owner before is told."""
    async with link(redis_url) as (made, _):
        one, other = Shelf(made, "one", 60), Shelf(made, "two", 60)
        assert (await other.claim(KEY)).kind == "none"
        generation = await one.save(KEY, 0, b"data\x00\n", live=False)
        assert generation > 0
        assert (await one.claim(KEY)).kind == "mine"
        claim = await other.claim(KEY)
        assert (claim.kind, claim.generation, claim.owner, claim.data) == (
            "taken",
            generation + 1,
            "one",
            b"data\x00\n",
        )
        assert (await other.claim(KEY)).kind == "mine"


async def test_what_an_owner_of_before_says_late_is_refused(redis_url: str) -> None:
    """It can neither save, nor keep, nor end what is another's by now."""
    async with link(redis_url) as (made, _):
        one, other = Shelf(made, "one", 60), Shelf(made, "two", 60)
        before = await one.save(KEY, 0, b"before", live=False)
        taken = (await other.claim(KEY)).generation
        assert await other.save(KEY, taken, b"after", live=False) == taken
        assert await one.save(KEY, before, b"late", live=False) == 0
        assert await one.save(KEY, 0, b"late", live=False) == 0
        assert not await one.touch(KEY, before)
        await one.end(KEY, before)
        claim = await one.claim(KEY)
        assert (claim.kind, claim.data) == ("taken", b"after")
        # The same node again, but what it said before it had lost it is as late as ever.
        assert await one.save(KEY, before, b"late", live=False) == 0
        assert await one.save(KEY, claim.generation, b"now", live=False) == claim.generation


async def test_a_session_whose_client_is_connected_is_taken_by_force_alone(redis_url: str) -> None:
    """Otherwise one learns who has it."""
    async with link(redis_url) as (made, _):
        one, other = Shelf(made, "one", 60), Shelf(made, "two", 60)
        generation = await one.save(KEY, 0, b"data", live=True)
        claim = await other.claim(KEY)
        assert (claim.kind, claim.owner, claim.data) == ("live", "one", b"")
        assert await one.touch(KEY, generation)
        claim = await other.claim(KEY, force=True)
        assert (claim.kind, claim.data) == ("taken", b"data")
        # Whoever took it has its client: nobody takes it away without asking.
        assert (await one.claim(KEY)).kind == "live"


async def test_sessions_last_as_long_as_they_are_to(
    redis_url: str, redis_server: RedisServer
) -> None:
    """A connected client's longer, which is renewed."""
    async with link(redis_url) as (made, _):
        shelf = Shelf(made, "one", 30)
        generation = await shelf.save(KEY, 0, b"data", live=False)
        assert 29_000 < int(redis_server.cli("PTTL", KEY)) <= 30_000
        await shelf.save(KEY, generation, b"data", live=True)
        longest = (30 + LIVE_SECONDS) * 1000
        assert longest - 1000 < int(redis_server.cli("PTTL", KEY)) <= longest
        redis_server.cli("PEXPIRE", KEY, 5000)
        assert await shelf.touch(KEY, generation)
        assert int(redis_server.cli("PTTL", KEY)) > longest - 1000
        await shelf.end(KEY, generation)
        assert redis_server.cli("EXISTS", KEY) == "0"
        assert not await shelf.touch(KEY, generation)


async def test_a_new_session_under_an_old_key_is_another_one(redis_url: str) -> None:
    """So what was said of the old one doesn't touch it."""
    async with link(redis_url) as (made, _):
        shelf, other = Shelf(made, "one", 60), Shelf(made, "two", 60)
        first = await shelf.save(KEY, 0, b"first", live=False)
        claim = await other.claim(KEY)
        await other.end(KEY, claim.generation)
        second = await shelf.save(KEY, 0, b"second", live=False)
        assert second >= first
        await other.end(KEY, claim.generation if claim.generation != second else first)
        assert (await other.claim(KEY)).data == b"second"


async def test_what_redis_has_forgotten_can_be_saved_again(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Under the generation that it had."""
    async with link(redis_url) as (made, _):
        shelf = Shelf(made, "one", 60)
        generation = await shelf.save(KEY, 0, b"data", live=True)
        redis_server.cli("FLUSHALL")
        assert not await shelf.touch(KEY, generation)
        assert await shelf.save(KEY, generation, b"data", live=True) == generation


async def test_while_redis_is_away_everything_fails(redis_url: str) -> None:
    """At once."""
    async with link(redis_url) as (made, breaker):
        shelf = Shelf(made, "one", 60)
        breaker.fail("gone")
        for attempt in (
            shelf.save(KEY, 0, b"", live=True),
            shelf.touch(KEY, 1),
            shelf.end(KEY, 1),
            shelf.claim(KEY),
        ):
            with pytest.raises(EngineAwayError, match="gone"):
                await attempt


async def test_a_session_is_kept_where_redis_has_an_earlier_owner_again(
    redis_url: str, redis_server: RedisServer
) -> None:
    """A replica took over that hadn't heard that it changed hands."""
    async with link(redis_url) as (made, _):
        shelf, other = Shelf(made, "one", 60), Shelf(made, "two", 60)
        first = await shelf.save(KEY, 0, b"data", live=False)
        claim = await other.claim(KEY)
        redis_server.cli("HSET", KEY, "g", first, "o", "one")
        assert not await other.touch(KEY, claim.generation)
        assert await other.save(KEY, claim.generation, b"newer", live=True) == claim.generation
        assert await shelf.save(KEY, first, b"older", live=False) == 0
