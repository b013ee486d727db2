"""The feed's status, as every node knows it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest

from bookcast.cluster.feed_status.redis import RedisFeedStatus
from bookcast.errors import EngineAwayError, FencedError
from tests.backplane.links import KEYS, plane
from tests.engine.nodes import node
from tests.fakes.redis_server import RedisServer
from tests.support import eventually


async def test_notices_are_at_hand_at_all_nodes(redis_url: str) -> None:
    """Changes are sent, removed entries disappear, and a new node reads all of them."""
    async with node(redis_url, "one") as one, node(redis_url, "two") as other:
        board, theirs = one.cluster.feed_status, other.cluster.feed_status
        await one.leads()
        for notices in (
            {"a": b"1", "b": b"1"},
            {"a": b"1", "b": b"2"},
            {"b": b"2", "c": b"3"},
            {"c": b"4"},
        ):
            await board.post(partial(dict, notices), one.fence)
            await eventually(lambda notices=notices: theirs.notices == notices, "them")  # type: ignore[misc] # no type can be inferred for a lambda with a default
            await one.hears()
            assert board.notices == notices
        async with node(redis_url, "three") as third:
            newest = third.cluster.feed_status
            await eventually(lambda: newest.notices == {"c": b"4"}, "them at a new node")
        await board.post(dict, one.fence)
        await eventually(lambda: theirs.notices == {}, "their end")


async def test_what_has_not_changed_is_not_told(redis_url: str) -> None:
    """No call to Redis is made."""
    async with plane(redis_url) as made:
        board = RedisFeedStatus(made)
        await board.post(lambda: {"a": b"1"}, 1)
        calls = made.link.calls
        await board.post(lambda: {"a": b"1"}, 1)
        assert made.link.calls == calls
        board.begin()
        await board.post(lambda: {"a": b"1"}, 1)
        assert made.link.calls == calls + 1


async def test_who_begins_takes_away_what_another_had_posted(redis_url: str) -> None:
    """Also when nothing takes its place."""
    async with plane(redis_url) as made:
        one, other = RedisFeedStatus(made), RedisFeedStatus(made)
        await one.post(lambda: {"a": b"1"}, 1)
        await other.post(dict, 2)
        await one.read()
        assert one.notices == {}


async def test_who_runs_the_feed_no_more_can_post_nothing(
    redis_url: str, redis_server: RedisServer
) -> None:
    """All of it stays as it was."""
    async with plane(redis_url) as made:
        old, new = RedisFeedStatus(made), RedisFeedStatus(made)
        await old.post(lambda: {"a": b"old"}, 1)
        redis_server.cli("SET", KEYS.lock_number, 2)
        await new.post(lambda: {"a": b"new"}, 2)
        with pytest.raises(FencedError):
            await old.post(lambda: {"a": b"older"}, 1)
        await new.read()
        assert new.notices == {"a": b"new"}


async def test_what_could_not_be_posted_is_posted_as_a_whole(
    redis_url: str, redis_server: RedisServer
) -> None:
    """It is unknown which part of it reached Redis."""
    async with plane(redis_url) as made:
        board = RedisFeedStatus(made)
        await board.post(lambda: {"a": b"1", "b": b"1"}, 1)
        made.breaker.fail("gone")
        with suppress(EngineAwayError):
            await board.post(lambda: {"a": b"2", "b": b"1"}, 1)
        await board.read()  # which keeps what was known
        redis_server.cli("FLUSHALL")
        made.breaker.succeed()
        await board.post(lambda: {"a": b"2", "b": b"1"}, 1)
        await board.read()
        assert board.notices == {"a": b"2", "b": b"1"}
