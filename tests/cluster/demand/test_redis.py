"""What all nodes want together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from bookcast.backplane.base import Backplane
from bookcast.backplane.names import name_of, topics_of
from bookcast.cluster.demand.redis import READ, DemandTimes, RedisDemand
from bookcast.cluster.members.base import Members, Node
from bookcast.cluster.members.memory import MemoryMembers, MemoryNetwork
from bookcast.model.topics import Symbol, Topic
from tests.backplane.links import KEYS, plane
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, QUOTE, TSLA, eventually

LIVING = 3.5
TIMES = DemandTimes(look=0.02)
SELDOM = DemandTimes(look=1000.0)


def members(name: str, living: Iterable[str]) -> Members:
    """Make a node that knows these."""
    network = MemoryNetwork()
    for other in living:
        MemoryMembers(partial(Node, other, "group"), network)
    return MemoryMembers(partial(Node, name, "group"), network)


class Wanted:
    """What one node's feed is told."""

    def __init__(
        self, made: Backplane, name: str, living: Iterable[str], times: DemandTimes = TIMES
    ) -> None:
        self.told: list[tuple[str, Topic]] = []
        self.demand = RedisDemand(made, members(name, living), times, living=LIVING)

    def want(self, topic: Topic) -> None:
        self.told.append(("wanted", topic))

    def want_to_read(self, topic: Topic) -> None:
        self.told.append(("read", topic))

    def release(self, topic: Topic) -> None:
        self.told.append(("unwanted", topic))

    async def follow(self) -> None:
        await self.demand.follow(self)

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
    async with plane(url) as made:
        living = ["one", "two"]
        one, other = Wanted(made, "one", living), Wanted(made, "two", living)
        yield one, other
        await one.demand.close()
        await other.demand.close()


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
        await one.follow()
        await one.follow()
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
        await one.follow()
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
        await one.follow()
        assert one.ranks() == {TSLA: "read"}


def test_releases_that_know_no_reads_pass_them_over() -> None:
    """Their names look like those of a channel that only a later release has."""
    assert topics_of([f"{READ}{name_of(AAPL)}".encode(), name_of(TSLA).encode()]) == [TSLA]


async def test_who_runs_the_feed_no_more_wants_nothing_of_it(redis_url: str) -> None:
    """And begins anew with the next time."""
    async with two(redis_url) as (one, _):
        one.demand.want(AAPL)
        await one.follow()
        await one.demand.unfollow()
        await one.demand.unfollow()
        assert (one.now(), one.demand.all) == (set(), set())
        one.demand.want(TSLA)
        assert one.now() == set()
        await one.follow()
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
        assert 0 < ttl <= LIVING * 1000


async def test_a_new_node_is_heard_before_it_is_known_to_live(
    redis_url: str,
) -> None:
    """Its clients needn't wait for its next pulse."""
    async with plane(redis_url) as made:
        one, new = Wanted(made, "one", ["one"], SELDOM), Wanted(made, "new", [], SELDOM)
        await one.follow()
        new.demand.want(AAPL)
        await eventually(lambda: new.demand._telling.is_idle, "it to be told")
        one.demand._hear(b"new")
        await eventually(lambda: one.now() == {AAPL}, "its demand")
        await one.demand.close()
        await new.demand.close()


async def test_the_dead_want_nothing(redis_url: str, redis_server: RedisServer) -> None:
    """What they wanted has run out by itself."""
    async with two(redis_url) as (one, other):
        other.demand.want(AAPL)
        await eventually(lambda: told(redis_server, "two") == 1, "the demand in Redis")
        await one.follow()
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
            plane(f"redis://{HOST}:{proxy.port}/0", patience=5) as made,
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
            assert not made.breaker.is_open
            await one.demand.close()


async def test_while_redis_is_away_this_node_counts(
    redis_url: str, redis_server: RedisServer
) -> None:
    """What others wanted last is still wanted; afterwards everything is told anew."""
    async with plane(redis_url) as made:
        one, other = Wanted(made, "one", ["one", "two"]), Wanted(made, "two", ["one", "two"])
        other.demand.want(AAPL)
        await eventually(lambda: told(redis_server, "two") == 1, "the demand in Redis")
        await one.follow()
        made.breaker.fail("gone")
        one.demand.want(TSLA)
        assert one.now() == {AAPL, TSLA}
        await one.demand.unfollow()
        await one.follow()
        assert one.now() == {TSLA}
        redis_server.cli("FLUSHALL")
        made.breaker.succeed()
        one.demand.tell_anew()
        other.demand.tell_anew()
        await eventually(lambda: one.now() == {AAPL, TSLA}, "the demand of both")
        assert told(redis_server, "one") == told(redis_server, "two") == 1
        await one.demand.close()
        await other.demand.close()


async def test_many_topics_are_told_together(redis_url: str, redis_server: RedisServer) -> None:
    """In a call or two."""
    async with plane(redis_url) as made:
        one = Wanted(made, "one", ["one"])
        for number in range(5000):
            one.demand.want(Topic("orderbook", Symbol(f"US.S{number}")))
        await eventually(lambda: told(redis_server, "one") == 5000, "all of them")
        assert made.link.calls <= 2
        await one.demand.close()
