"""What all nodes want together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bookcast.backplane.link import Link
from bookcast.backplane.names import name_of, topics_of
from bookcast.engine import demand as demand_module
from bookcast.engine.demand import READ, Demand
from bookcast.engine.peers import LIVING_MS
from bookcast.model import Symbol, Topic
from tests.backplane.links import KEYS, link
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, QUOTE, TSLA, eventually


class Wanted:
    """What one node's feed is told."""

    def __init__(self, made: Link, name: str, living: list[str]) -> None:
        self.told: list[tuple[str, Topic]] = []
        self.demand = Demand(
            made,
            name,
            living=lambda: living,
            wanted=lambda topic: self.told.append(("wanted", topic)),
            wanted_to_read=lambda topic: self.told.append(("read", topic)),
            unwanted=lambda topic: self.told.append(("unwanted", topic)),
        )

    def now(self) -> set[Topic]:
        """Give what the feed takes for wanted; nothing may be told twice."""
        return {topic for topic, what in self.ranks().items() if what == "wanted"}

    def ranks(self) -> dict[Topic, str]:
        """Return what it takes for wanted, and what for wanted by reads alone."""
        found: dict[Topic, str] = {}
        for what, topic in self.told:
            assert found.get(topic, "unwanted") != what
            found[topic] = what
        return {topic: what for topic, what in found.items() if what != "unwanted"}


@asynccontextmanager
async def two(url: str) -> AsyncIterator[tuple[Wanted, Wanted]]:
    """Give two nodes' demand."""
    async with link(url) as (made, _):
        living = ["one", "two"]
        one, other = Wanted(made, "one", living), Wanted(made, "two", living)
        yield one, other
        await one.demand.close()
        await other.demand.close()


@pytest.fixture(autouse=True)
def _quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look more often than one would."""
    monkeypatch.setattr(demand_module, "LOOK_SECONDS", 0.02)


def told(server: RedisServer, node: str) -> int:
    """Count what a node has told."""
    return int(server.cli("SCARD", KEYS.demand(node)))


async def test_the_feed_is_told_what_any_node_wants(
    redis_url: str, redis_server: RedisServer
) -> None:
    """When it begins, and from then on; each topic once."""
    async with two(redis_url) as (one, other):
        one.demand.want(AAPL)
        other.demand.want(AAPL)
        other.demand.want(TSLA)
        await eventually(lambda: told(redis_server, "two") == 2, "the demand in Redis")
        assert one.told == []
        await one.demand.follow()
        await one.demand.follow()
        assert one.now() == one.demand.all == {AAPL, TSLA}
        one.demand.want(QUOTE)
        assert one.now() == {AAPL, TSLA, QUOTE}  # it needn't come by way of Redis
        one.demand.release(AAPL)
        one.demand.release(QUOTE)
        other.demand.release(TSLA)
        await eventually(lambda: one.now() == {AAPL}, "the end of two")
        assert other.told == []


async def test_what_any_node_subscribes_is_no_read(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Whoever reads it beside; when the last subscriber leaves, the reads count."""
    async with two(redis_url) as (one, other):
        one.demand.want_to_read(AAPL)
        other.demand.want_to_read(TSLA)
        other.demand.want(QUOTE)
        await eventually(lambda: told(redis_server, "two") == 2, "the demand in Redis")
        await one.demand.follow()
        assert one.ranks() == {AAPL: "read", TSLA: "read", QUOTE: "wanted"}
        assert (one.demand.all, one.demand.read) == ({AAPL, TSLA, QUOTE}, {AAPL, TSLA})
        other.demand.want(AAPL)
        other.demand.want(TSLA)
        await eventually(lambda: one.now() == {AAPL, TSLA, QUOTE}, "the subscribers")
        one.demand.want_to_read(QUOTE)
        one.demand.want(TSLA)
        other.demand.want_to_read(TSLA)
        other.demand.release(AAPL)
        other.demand.release(QUOTE)
        left = {AAPL: "read", TSLA: "wanted", QUOTE: "read"}
        await eventually(lambda: one.ranks() == left, "what is left")
        one.demand.want_to_read(TSLA)
        one.demand.release(AAPL)
        one.demand.release(QUOTE)
        await eventually(lambda: one.ranks() == {TSLA: "read"}, "the reads")
        other.demand.release(TSLA)
        await eventually(lambda: told(redis_server, "two") == 0, "its end")
        assert told(redis_server, "one") == 1
        one.demand.tell_anew()
        await one.demand.unfollow()
        assert one.ranks() == {}
        await one.demand.follow()
        assert one.ranks() == {TSLA: "read"}


def test_releases_that_know_no_reads_pass_them_over() -> None:
    """Their names look like those of a channel that only a later release has."""
    assert topics_of([f"{READ}{name_of(AAPL)}".encode(), name_of(TSLA).encode()]) == [TSLA]


async def test_who_runs_the_feed_no_more_wants_nothing_of_it(redis_url: str) -> None:
    """And begins anew with the next time."""
    async with two(redis_url) as (one, _):
        one.demand.want(AAPL)
        await one.demand.follow()
        await one.demand.unfollow()
        await one.demand.unfollow()
        assert (one.now(), one.demand.all) == (set(), set())
        one.demand.want(TSLA)
        assert one.now() == set()
        await one.demand.follow()
        assert one.now() == {AAPL, TSLA}


async def test_what_is_wanted_for_a_moment_leaves_nothing(
    redis_url: str, redis_server: RedisServer
) -> None:
    """However often it changes; the last word counts."""
    async with two(redis_url) as (one, _):
        for _ in range(50):
            one.demand.want(AAPL)
            one.demand.want(TSLA)
            one.demand.release(AAPL)
            await asyncio.sleep(0)
        await eventually(lambda: told(redis_server, "one") == 1, "the last word")
        ttl = int(redis_server.cli("PTTL", KEYS.demand("one")))
        assert 0 < ttl <= LIVING_MS


async def test_a_new_node_is_heard_before_it_is_known_to_live(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clients needn't wait for its next pulse."""
    monkeypatch.setattr(demand_module, "LOOK_SECONDS", 1000)
    async with link(redis_url) as (made, _):
        one, new = Wanted(made, "one", ["one"]), Wanted(made, "new", [])
        await one.demand.follow()
        new.demand.want(AAPL)
        await eventually(lambda: new.demand._telling is None, "it to be told")
        one.demand.note_change("new")
        await eventually(lambda: one.now() == {AAPL}, "its demand")
        await one.demand.close()
        await new.demand.close()


async def test_the_dead_want_nothing(redis_url: str, redis_server: RedisServer) -> None:
    """What they wanted has run out by itself."""
    async with two(redis_url) as (one, other):
        other.demand.want(AAPL)
        await eventually(lambda: told(redis_server, "two") == 1, "the demand in Redis")
        await one.demand.follow()
        assert one.now() == {AAPL}
        redis_server.cli("DEL", KEYS.demand("two"))
        await eventually(lambda: one.now() == set(), "its end")
        other.demand.tell_anew()
        await eventually(lambda: one.now() == {AAPL}, "it to be told anew")


async def test_a_word_that_gets_lost_is_said_again(tmp_path: Path) -> None:
    """Although nothing else is amiss with Redis."""
    with RedisServer(tmp_path) as server:
        async with (
            FaultyProxy(server.port) as proxy,
            link(f"redis://{HOST}:{proxy.port}/0", patience=5) as (made, breaker),
        ):
            one = Wanted(made, "one", ["one"])
            one.demand.want(AAPL)
            await eventually(lambda: told(server, "one") == 1, "the demand in Redis")
            server.pause()
            before = proxy.bytes_to_target
            one.demand.want(TSLA)
            await eventually(lambda: proxy.bytes_to_target > before, "it to be on its way")
            proxy.cut()
            await eventually(lambda: proxy.open_connections <= 1, "the connection to be lost")
            server.resume()
            await eventually(lambda: told(server, "one") == 2, "all of it")
            assert not breaker.is_open
            await one.demand.close()


async def test_while_redis_is_away_this_node_counts(
    redis_url: str, redis_server: RedisServer
) -> None:
    """What others wanted last is still wanted; afterwards everything is told anew."""
    async with link(redis_url) as (made, breaker):
        one, other = Wanted(made, "one", ["one", "two"]), Wanted(made, "two", ["one", "two"])
        other.demand.want(AAPL)
        await eventually(lambda: told(redis_server, "two") == 1, "the demand in Redis")
        await one.demand.follow()
        breaker.fail("gone")
        one.demand.want(TSLA)
        assert one.now() == {AAPL, TSLA}
        await one.demand.unfollow()
        await one.demand.follow()
        assert one.now() == {TSLA}
        redis_server.cli("FLUSHALL")
        breaker.succeed()
        one.demand.tell_anew()
        other.demand.tell_anew()
        await eventually(lambda: one.now() == {AAPL, TSLA}, "the demand of both")
        assert told(redis_server, "one") == told(redis_server, "two") == 1
        await one.demand.close()
        await other.demand.close()


async def test_many_topics_are_told_together(redis_url: str, redis_server: RedisServer) -> None:
    """In a call or two."""
    async with link(redis_url) as (made, _):
        one = Wanted(made, "one", ["one"])
        for number in range(5000):
            one.demand.want(Topic("orderbook", Symbol(f"US.S{number}")))
        await eventually(lambda: told(redis_server, "one") == 5000, "all of them")
        assert made.calls <= 2
        await one.demand.close()
