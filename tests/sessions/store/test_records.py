"""The records of sessions: only the owner's last word counts, and all that a client saw is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.backplane.link import Link
from bookcast.errors import EngineAwayError
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Update
from bookcast.sessions.store import records
from bookcast.sessions.store.base import ANY
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.times import SessionTimes
from tests.backplane.links import link
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, trades

TIMES = SessionTimes()
KEY = "bc:s:key"


def records_of(link: Link, node: str) -> SessionRecords:
    return SessionRecords(link, node, 60, TIMES.live)


async def test_a_session_is_kept_and_taken(redis_url: str) -> None:
    """With its data, once; its owner before is told."""
    async with link(redis_url) as (made, _):
        one, other = records_of(made, "one"), records_of(made, "two")
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
        one, other = records_of(made, "one"), records_of(made, "two")
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
        one, other = records_of(made, "one"), records_of(made, "two")
        generation = await one.save(KEY, 0, b"data", live=True)
        claim = await other.claim(KEY)
        assert (claim.kind, claim.owner, claim.data) == ("live", "one", b"")
        assert await one.touch(KEY, generation)
        claim = await other.claim(KEY, mark=ANY)
        assert (claim.kind, claim.data) == ("taken", b"data")
        # Whoever took it has its client: nobody takes it away without asking.
        assert (await one.claim(KEY)).kind == "live"


async def test_sessions_last_as_long_as_they_are_to(
    redis_url: str, redis_server: RedisServer
) -> None:
    """A connected client's longer, which is renewed."""
    async with link(redis_url) as (made, _):
        one = SessionRecords(made, "one", 30, TIMES.live)
        generation = await one.save(KEY, 0, b"data", live=False)
        assert 29_000 < int(redis_server.cli("PTTL", KEY)) <= 30_000
        await one.save(KEY, generation, b"data", live=True)
        longest = (30 + TIMES.live) * 1000
        assert longest - 1000 < int(redis_server.cli("PTTL", KEY)) <= longest
        redis_server.cli("PEXPIRE", KEY, 5000)
        assert await one.touch(KEY, generation)
        assert int(redis_server.cli("PTTL", KEY)) > longest - 1000
        await one.end(KEY, generation)
        assert redis_server.cli("EXISTS", KEY) == "0"
        assert not await one.touch(KEY, generation)


async def test_a_new_session_under_an_old_key_is_another_one(redis_url: str) -> None:
    """So what was said of the old one doesn't touch it."""
    async with link(redis_url) as (made, _):
        one, other = records_of(made, "one"), records_of(made, "two")
        first = await one.save(KEY, 0, b"first", live=False)
        claim = await other.claim(KEY)
        await other.end(KEY, claim.generation)
        second = await one.save(KEY, 0, b"second", live=False)
        assert second >= first
        await other.end(KEY, claim.generation if claim.generation != second else first)
        assert (await other.claim(KEY)).data == b"second"


async def test_what_redis_has_forgotten_can_be_saved_again(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Under the generation that it had."""
    async with link(redis_url) as (made, _):
        one = records_of(made, "one")
        generation = await one.save(KEY, 0, b"data", live=True)
        redis_server.cli("FLUSHALL")
        assert not await one.touch(KEY, generation)
        assert await one.save(KEY, generation, b"data", live=True) == generation


async def test_while_redis_is_away_everything_fails(redis_url: str) -> None:
    """At once."""
    async with link(redis_url) as (made, breaker):
        one = records_of(made, "one")
        breaker.fail("gone")
        for attempt in (
            one.save(KEY, 0, b"", live=True),
            one.touch(KEY, 1),
            one.end(KEY, 1),
            one.claim(KEY),
        ):
            with pytest.raises(EngineAwayError, match="gone"):
                await attempt


async def test_a_session_is_kept_where_redis_has_an_earlier_owner_again(
    redis_url: str, redis_server: RedisServer
) -> None:
    """A replica took over that hadn't heard that it changed hands."""
    async with link(redis_url) as (made, _):
        one, other = records_of(made, "one"), records_of(made, "two")
        first = await one.save(KEY, 0, b"data", live=False)
        claim = await other.claim(KEY)
        redis_server.cli("HSET", KEY, "g", first, "o", "one")
        assert not await other.touch(KEY, claim.generation)
        assert await other.save(KEY, claim.generation, b"newer", live=True) == claim.generation
        assert await one.save(KEY, first, b"older", live=False) == 0


# What is in a record

TOPICS = st.builds(
    Topic, st.sampled_from(["orderbook", "trades"]), st.text(max_size=9).map(Symbol), st.just("")
)
SPECS = st.builds(
    ViewSpec,
    protocol=st.just(""),
    requested_symbol=st.text(max_size=9),
    depth=st.none() | st.integers(1, 50),
    delta=st.booleans(),
    interval_ms=st.integers(0, 60_000),
    lossless=st.booleans(),
    deflate=st.just(False),  # the new connection says whether that one is
    exclusive=st.just(0),
)
CURSORS = st.builds(
    Cursor, st.builds(Position, st.text(max_size=20), st.integers(0, 2**53)), base=st.none()
)


@given(st.dictionaries(TOPICS, st.tuples(SPECS, st.none() | CURSORS), max_size=5))
def test_what_a_client_saw_survives(
    seen: dict[Topic, tuple[ViewSpec, Cursor | None]],
) -> None:
    """Each topic, how it is shown, and how far the client has it."""
    assert records.read(records.write(seen)) == seen


def test_of_an_update_its_place_is_kept() -> None:
    """The rest is known elsewhere."""
    place = Position("e", 7)
    spec = ViewSpec("", "AAPL")
    written = records.write({AAPL: (spec, Cursor.at(Update(AAPL, place, trades(1), 0.0)))})
    assert records.read(written) == {AAPL: (spec, Cursor(place))}


@given(st.text(min_size=1, max_size=50))
def test_a_session_that_has_moved_tells_where(token: str) -> None:
    """By the token that it is found by now."""
    assert records.read(records.write_elsewhere(token)) == token


async def test_a_connected_clients_session_is_taken_as_it_was_found_alone(redis_url: str) -> None:
    """Whoever has taken it meanwhile is there, and keeps it."""
    async with link(redis_url) as (made, _):
        one, two, three = (records_of(made, name) for name in ("one", "two", "three"))
        await one.save(KEY, 0, b"data", live=True)
        found, same = await two.claim(KEY), await three.claim(KEY)
        assert (await two.claim(KEY, mark=found.generation)).kind == "taken"
        late = await three.claim(KEY, mark=same.generation)
        assert (late.kind, late.owner) == ("live", "two")
