"""Other nodes: which are alive, and what they answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from bookcast.backend.redis import RedisTimes
from bookcast.backplane.base import Backplane
from bookcast.backplane.formats import NEWEST, OLDEST
from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.members.base import Members, Node
from bookcast.cluster.members.redis import RedisMembers
from bookcast.errors import EngineAwayError
from tests.backplane.links import KEYS, plane
from tests.engine.nodes import EngineNode, node, nodes
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, eventually


@pytest.fixture
async def two(redis_url: str) -> AsyncIterator[list[EngineNode]]:
    async with nodes(redis_url, "one", "two") as running:
        yield running


def members_of(running: EngineNode) -> Members:
    return running.cluster.members


def alone(made: Backplane, name: str) -> RedisMembers:
    return RedisMembers(
        made, lambda: Node(name, "group", worker=1, leads=True, connections=5), PulseTimes()
    )


async def test_who_lives_knows_of_all_others(redis_url: str, redis_server: RedisServer) -> None:
    """With what they say of themselves, until they end or say nothing for too long."""
    async with plane(redis_url) as made:
        one, other, third = (alone(made, name) for name in ("one", "two", "three"))
        for each in (one, other, third, one):
            assert await each.say()
        assert set(one.living) == {"one", "two", "three"}
        assert one.living["two"] == Node(
            "two", "group", worker=1, leads=True, connections=5, record_format=NEWEST
        )
        await other.close()
        assert 0 < int(redis_server.cli("PTTL", KEYS.node("three"))) <= PulseTimes().living * 1000
        redis_server.cli("DEL", KEYS.node("three"))
        await one.say()
        assert set(one.living) == {"one"}


async def test_who_was_forgotten_is_told(redis_url: str, redis_server: RedisServer) -> None:
    """But not with the first pulse."""
    async with plane(redis_url) as made:
        one = alone(made, "one")
        assert await one.say()
        assert await one.say()
        redis_server.cli("FLUSHALL")
        assert not await one.say()
        assert await one.say()


async def test_while_redis_is_away_nobody_answers(redis_url: str) -> None:
    """The caller doesn't wait for an answer."""
    async with node(redis_url, "one") as one:
        one.backend._plane.breaker.fail("gone")
        asked = members_of(one)
        async with asyncio.timeout(PATIENCE / 2):
            with pytest.raises(EngineAwayError):
                await asked.ask("two", "turn", b"", PATIENCE)
            assert await asked.ask_all(["two"], "turn", b"", PATIENCE) == {"two": None}
            await asked.tell("two", "turn", b"")


async def test_a_node_asks_itself_also_while_redis_is_away(redis_url: str) -> None:
    """The request doesn't go through Redis."""
    async with node(redis_url, "one") as one:
        asked = members_of(one)

        async def turn(body: bytes) -> bytes:
            return body[::-1]

        asked.handlers["turn"] = turn
        for _ in range(2):
            assert await asked.ask("one", "turn", b"ab", PATIENCE) == b"ba"
            assert await asked.ask("one", "unknown", b"", PATIENCE) is None
            one.backend._plane.breaker.fail("gone")


async def test_who_ends_leaves_questions_unanswered(two: list[EngineNode]) -> None:
    """Without holding up its end."""
    one, other = map(members_of, two)
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


async def test_nodes_write_what_all_who_live_can_read(
    redis_url: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One that announces nothing reads the oldest format; they decide anew as nodes come and go."""
    async with plane(redis_url) as made:
        one, other = alone(made, "one"), alone(made, "two")
        assert one.form == OLDEST  # as long as no other node is known
        for each in (one, other, one):
            await each.say()
        assert (one.form, other.form) == (NEWEST, NEWEST)
        caplog.set_level("INFO")
        for announced, form in (({}, OLDEST), ({"record_format": 9}, NEWEST)):
            said = {"id": "old", "group": "g", "version": "0.0.9", "later": [1]} | announced
            redis_server.cli("SET", KEYS.node("old"), msgspec.msgpack.encode(said))
            redis_server.cli("ZADD", KEYS.nodes, time.time() * 1000, "old")
            for each in (one, other):
                await each.say()
                assert each.form == form
        assert "writing records in format 1, for old (0.0.9)" in caplog.text
        assert "writing records in format 2: all nodes read it" in caplog.text


@pytest.mark.parametrize("said", ["", "nonsense", msgspec.msgpack.encode({"id": 5, "group": "g"})])
async def test_a_node_whose_word_cant_be_read_lives_all_the_same(
    redis_url: str, redis_server: RedisServer, said: bytes | str
) -> None:
    """Its formats are unknown, so records are written in the oldest one."""
    async with plane(redis_url) as made:
        log = made.unreadable
        one = RedisMembers(made, lambda: Node("one", "group"), PulseTimes())
        redis_server.cli("SET", KEYS.node("odd"), said)
        redis_server.cli("ZADD", KEYS.nodes, time.time() * 1000, "odd")
        await one.say()
        assert set(one.living) == {"one", "odd"}
        assert one.form == OLDEST
        assert log.count == 1
        one._hear(b"of another release")
        assert log.count == 2


async def test_a_node_that_speaks_up_is_written_to_at_once(
    redis_url: str, redis_server: RedisServer
) -> None:
    """It doesn't have to wait for the next pulse of the others until it can read them."""
    times = RedisTimes(pulse=PulseTimes(pulse=1000.0, deaf=2001.0, living=2001.0))
    async with node(redis_url, "one", times=times) as one:
        await eventually(lambda: members_of(one).form == NEWEST, "the newest format")
        said = msgspec.msgpack.encode({"id": "old", "group": "g"})
        redis_server.cli("SET", KEYS.node("old"), said)
        redis_server.cli("ZADD", KEYS.nodes, time.time() * 1000, "old")
        redis_server.cli("PUBLISH", KEYS.demand_channel, "old")
        await eventually(lambda: members_of(one).form == OLDEST, "the oldest format")
