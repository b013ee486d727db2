"""One feed for several nodes, on a real Redis."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import httpx
import pytest

from bookcast import Server, serve
from bookcast.backend.memory import MemoryBackend
from bookcast.backplane.formats import write_supply
from bookcast.backplane.names import name_of
from bookcast.cluster.feed_status.redis import RedisFeedStatus
from bookcast.cluster.members.base import Node
from bookcast.engine.memory import MemoryEngine
from bookcast.errors import FencedError, InvalidInput
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.runner import FeederTimes, FeedRunner
from bookcast.model.feed_state import FeedState, Security
from bookcast.model.market_data import Data
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.auth.keyring import SECRET, sign
from tests.support import AAPL, TRADES, connect, eventually, nodes, published_book, trades, update


class Quiet(Feed):
    """A feed that publishes what it is told to, and notes what it hears."""

    name = "quiet"

    def __init__(self, publish: Publish) -> None:
        super().__init__(publish)
        self.running = False
        self.heard: list[str] = []
        self.backfill: dict[Topic, Sequence[Data]] = {}

    async def run(self) -> None:
        self.running = True
        try:
            await asyncio.Event().wait()
        finally:
            self.running = False

    def status(self) -> FeedStatus:
        return FeedStatus(self.name, "connected", 1)

    def symbols(self) -> Sequence[Symbol]:
        return (Symbol("US.AAPL"),)

    def want(self, topic: Topic) -> None:
        self.heard.append(f"wants {topic}")

    def want_to_read(self, topic: Topic) -> None:
        self.heard.append(f"reads {topic}")

    def release(self, topic: Topic) -> None:
        self.heard.append(f"releases {topic}")

    def go_on_after(self, topic: Topic, past: Sequence[Data]) -> None:
        self.backfill[topic] = past

    def serves(self, topic: Topic) -> bool:
        return topic.symbol != "US.NONE"

    def supply(self, topic: Topic) -> FeedState:
        if topic.symbol == "US.0700.HK":
            meant = (Symbol("HK.00700"), Symbol("JP.0700"))
            return FeedState(
                self.name, "pending", "no", refusal="unknown stock", did_you_mean=meant
            )
        return (
            FeedState(self.name, "halted", "no trading")
            if topic == TRADES
            else FeedState(self.name)
        )


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, "a feeder does what it should")


def leaders(servers: Sequence[Server]) -> list[Server]:
    return [one for one in servers if one._running is not None and one.parts.feeder.leads]


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every server have a feed of this kind."""
    monkeypatch.setattr("bookcast.compose.feeds_of", lambda _settings, publish: [Quiet(publish)])


def feed_of(server: Server) -> Quiet:
    feed = server.parts.feeder._feeds[0]._feed
    assert isinstance(feed, Quiet)
    return feed


async def test_on_a_single_node_the_feed_simply_runs() -> None:
    """It hears what is wanted, and says how it can supply it."""
    backend = MemoryBackend(myself=lambda: Node("me", "us"))
    engine, cluster, made = backend.engine, backend.cluster, []

    def make(publish: Publish) -> list[Feed]:
        made.append(Quiet(publish))
        return list(made)

    feeder = FeedRunner(engine, cluster, make)
    engine.attach(
        notice=lambda _log: None,
        wanted=cluster.demand.want,
        wanted_to_read=cluster.demand.want_to_read,
        unwanted=cluster.demand.release,
    )
    await backend.start()
    await feeder.start()
    await until(lambda: made[0].running)
    assert feeder.leads
    engine.open_now(AAPL).close()
    assert made[0].heard == [f"wants {AAPL}", f"releases {AAPL}"]
    engine.open_now(AAPL, reads=True)
    engine.open_now(AAPL).close()
    assert made[0].heard[2:] == [f"reads {AAPL}", f"wants {AAPL}", f"reads {AAPL}"]
    assert feeder.may_serve(AAPL)
    assert not feeder.may_serve(AAPL._replace(symbol=Symbol("US.NONE")))
    assert feeder.supply(TRADES) == FeedState("quiet", "halted", "no trading")
    assert feeder.supply(AAPL._replace(symbol=Symbol("US.NONE"))) is None
    assert [status.name for status in feeder.statuses()] == ["quiet"]
    await cluster.election.resign()
    assert not made[0].running
    assert [status.name for status in feeder.statuses()] == ["quiet"]
    assert [one.symbol for one in await feeder.search("aap")] == [AAPL.symbol]
    await feeder.close()
    await backend.stop()


@pytest.mark.usefixtures("_quiet")
async def test_one_node_runs_the_feed_for_all(redis_url: str) -> None:
    """What others want reaches it, and they know how it can supply that."""
    async with nodes(redis_url, 3) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        [leader] = leaders(servers)
        other = next(one for one in servers if one is not leader)
        assert [feed_of(one).running for one in servers].count(True) == 1
        async with connect(other.ws_url + "me", subprotocols=["bookcast.v1"]) as client:
            await client.hear()
            await client.say({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
            await until(lambda: f"wants {TRADES}" in feed_of(leader).heard)
            while (message := await client.hear()).get("state") != "halted":
                assert message["type"] in {"subscription_confirmed", "status"}
            assert (message["source"], message["reason"]) == ("quiet", "no trading")
            await feed_of(leader).publish([Publication(TRADES, trades(5))])
            while message["type"] != "trade":
                message = await client.hear()
            assert message["data"]["trades"][0]["size"] == 5
        await until(lambda: f"releases {TRADES}" in feed_of(leader).heard)
        async with httpx.AsyncClient(trust_env=False) as http:
            health = (await http.get(other.http_url + "/health")).json()
        assert [feed["name"] for feed in health["feeds"]] == ["quiet"]


@pytest.mark.usefixtures("_quiet")
async def test_clients_of_other_nodes_hear_what_they_may_have_meant(redis_url: str) -> None:
    """As far as their rights go, which the node that runs the feed doesn't know."""
    rights = {"auth_mode": "jwt", "auth_jwt_secret": SECRET}
    async with nodes(redis_url, 2, **rights) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        other = next(one for one in servers if one not in leaders(servers))
        token = sign(bookcast={"symbols": ["US.*", "HK.*"]})
        headers = {"Authorization": f"Bearer {token}"}
        async with connect(other.ws_url + "me", additional_headers=headers) as client:
            await client.subscribe("0700.HK")
            assert await client.hear() == {
                "type": "error",
                "message": "0700.HK: unknown stock; did you mean HK.00700?",
            }


def lacks(server: Server, symbol: str) -> bool:
    return server.parts.feeder.lacking(Topic("orderbook", Symbol(symbol))) is not None


async def test_what_the_feed_lacks_is_told_at_every_node(redis_url: str) -> None:
    """Each client is told of what it may see; a base client hears nothing."""
    settings = {
        "auth_mode": "jwt",
        "auth_jwt_secret": SECRET,
        "feed": "simulator",
        "simulator_symbols": ["AAPL", "HK.00700", "TSLA"],
    }
    async with nodes(redis_url, 2, **settings) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        bearer = {"Authorization": f"Bearer {sign(bookcast={'symbols': ['US.*']})}"}
        for server in servers:
            await until(partial(lacks, server, "US.X"))
            url = server.ws_url + "me"
            async with (
                connect(url, additional_headers=bearer, subprotocols=["bookcast.v1"]) as client,
                connect(server.ws_url + "base", additional_headers=bearer) as base,
            ):
                await client.hear()
                await client.say({"action": "subscribe", "symbol": "0700.HK"})
                await client.say({"action": "subscribe", "symbol": "APPL"})
                heard = [await client.hear() for _ in range(4)]
                stati = [one for one in heard if one["type"] == "status"]
                assert [one["state"] for one in stati] == ["pending", "pending"]
                assert [one.get("did_you_mean") for one in stati] == [None, ["US.AAPL"]]
                for one in stati:
                    assert one["reason"].endswith("for instance, US.AAPL, US.TSLA")
                await base.subscribe("APPL")
                await base.say({"action": "ping"})
                assert await base.hear() == {"type": "pong"}


@pytest.mark.usefixtures("_quiet")
async def test_a_feed_that_has_more_than_it_names_lacks_nothing(redis_url: str) -> None:
    """OpenD's names what is wanted now; what else there is, nobody knows."""
    async with nodes(redis_url, 2) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        for server in servers:
            feeder = server.parts.feeder
            assert feeder is not None
            await until(lambda feeder=feeder: bool(feeder.statuses()))  # type: ignore[misc] # a default
            for symbol in ("US.TSLA", "US.NONE"):
                assert not lacks(server, symbol)


async def test_what_the_feed_lacks_it_may_not_serve(redis_url: str) -> None:
    """Also where only another node has a feed: nobody asks for it, or waits."""
    simulated = {"feed": "simulator", "simulator_symbols": ["AAPL"]}
    async with (
        serve(port=0, redis_url=redis_url, **simulated),  # type: ignore[arg-type] # settings of many types
        serve(port=0, redis_url=redis_url, feed="none") as other,
    ):
        await until(lambda: lacks(other, "US.TSLA"))
        assert other.parts.feeder.may_serve(AAPL)
        assert not other.parts.feeder.may_serve(AAPL._replace(symbol=Symbol("US.TSLA")))


@pytest.mark.usefixtures("_quiet")
async def test_a_notice_that_cant_be_read_is_as_if_there_were_none(redis_url: str) -> None:
    """It is counted once, however often the topic is judged."""
    async with nodes(redis_url, 2) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        other = next(one for one in servers if one not in leaders(servers))
        board = other.parts.backend.cluster.feed_status
        assert isinstance(board, RedisFeedStatus)
        await until(lambda: "feeds" in board.notices)
        board.notices[name_of(AAPL)] = b"of another release"
        assert [other.parts.feeder.supply(AAPL) for _ in range(3)] == [None] * 3
        assert other.parts.backend.engine.numbers()["unreadable"] == 1
        board.notices["feeds"] = b"of another release"
        assert other.parts.feeder.statuses() == []
        assert other.parts.backend.engine.numbers()["unreadable"] == 2
        board.notices[name_of(AAPL)] = write_supply(FeedState("quiet", "halted"), 1)
        assert other.parts.feeder.supply(AAPL) == FeedState("quiet", "halted")


@pytest.mark.usefixtures("_quiet")
async def test_another_node_takes_over_and_goes_on_where_the_first_one_ended(
    redis_url: str,
) -> None:
    """Its feed is told of the trades that are published already."""
    async with nodes(redis_url, 2) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        [leader] = leaders(servers)
        [other] = [one for one in servers if one is not leader]
        async with connect(other.ws_url + "me", subprotocols=["bookcast.v1"]) as client:
            await client.hear()
            await client.say({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
            await until(lambda: f"wants {TRADES}" in feed_of(leader).heard)
            await feed_of(leader).publish([Publication(TRADES, trades(1, 2))])
            await leader.stop()
            await until(lambda: leaders(servers) == [other])
            await until(lambda: TRADES in feed_of(other).backfill)
            assert list(feed_of(other).backfill[TRADES]) == [trades(1, 2)]
            assert f"wants {TRADES}" in feed_of(other).heard


@pytest.mark.usefixtures("_quiet")
async def test_what_an_old_leader_publishes_is_dropped(redis_url: str) -> None:
    """As one that was paused, and doesn't know yet that another runs the feed."""
    async with nodes(redis_url, 2) as servers:
        await until(lambda: len(leaders(servers)) == 1)
        [leader] = leaders(servers)
        [other] = [one for one in servers if one is not leader]
        fence = leader.parts.feeder._fence
        await leader.stop()
        await until(lambda: leaders(servers) == [other])
        newer, other.parts.feeder._fence = other.parts.feeder._fence, fence
        await feed_of(other).publish([Publication(AAPL, published_book(_book(1)))])
        other.parts.feeder._fence = newer
        assert await other.parts.backend.engine.snapshot(AAPL) is None


def _book(size: int) -> Publication:
    return Publication(AAPL, update(size).data)


@pytest.mark.usefixtures("_quiet")
async def test_searching_works_at_every_node(redis_url: str) -> None:
    """The node that runs the feed is asked."""

    async def search(_text: str) -> list[Any]:
        return [Security(Symbol("US.AAPL"), name="Apple")]

    async with nodes(redis_url, 2) as servers, httpx.AsyncClient(trust_env=False) as http:
        await until(lambda: len(leaders(servers)) == 1)
        for server in servers:
            feed_of(server).search = search  # type: ignore[method-assign, assignment] # a test stands in for it
        await until(
            lambda: all((one.parts.feeder.leads or one.parts.feeder._leader()) for one in servers)
        )
        for server in servers:
            found = (await http.get(server.http_url + "/symbols?q=aap")).json()
            assert found == {"symbols": [{"symbol": "US.AAPL", "name": "Apple"}]}


async def test_a_feed_without_an_engine_drops_what_it_has() -> None:
    """It goes on all the same."""

    class Away(MemoryEngine):
        async def publish(self, *_args: Any, **_kwargs: Any) -> Any:
            raise InvalidInput("engine_unavailable", "away")

    cluster = MemoryBackend(myself=lambda: Node("me", "us")).cluster
    feeder = FeedRunner(Away(), cluster, lambda publish: [Quiet(publish)])
    await feeder._publish([_book(1)])


async def test_a_feed_that_is_refused_ends_and_waits_for_its_next_turn() -> None:
    """Another node may run it by now; here there is none, so it begins anew at once."""

    class Refusing(MemoryEngine):
        async def publish(self, *_args: Any, fence: int | None = None, **_kwargs: Any) -> Any:
            raise FencedError(f"{fence} is over")

    backend = MemoryBackend(myself=lambda: Node("me", "us"))
    feeder = FeedRunner(Refusing(), backend.cluster, lambda publish: [Quiet(publish)])
    await feeder.start()
    assert (feeder.leads, feeder._fence) == (True, 1)
    await feeder._publish([_book(1)])
    assert feeder._fence == 1, "the feed isn't ended within its own publication"
    await until(lambda: feeder._fence == 2 and feeder.leads)
    await backend.stop()
    assert not feeder.leads
    await feeder.close()


async def test_when_no_node_runs_the_feed_it_counts_as_down(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a moment, since a feed may just be handed over."""
    monkeypatch.setattr("bookcast.compose.feeds_of", lambda _settings, publish: [Quiet(publish)])
    async with nodes(redis_url, 1) as [first]:
        await until(lambda: leaders([first]) == [first])
        async with connect(first.ws_url + "me?symbols=AAPL"):
            await until(lambda: f"wants {AAPL}" in feed_of(first).heard)
            board = first.parts.backend.cluster.feed_status
            assert isinstance(board, RedisFeedStatus)
            await until(lambda: len(board._posted or ()) == 2)
        monkeypatch.setattr("bookcast.compose.feeds_of", lambda _settings, _publish: [])
        async with nodes(redis_url, 1) as [second]:
            feeder = second.parts.feeder
            assert feeder is not None
            await until(lambda: bool(feeder.statuses()))
            await first.stop()
            feeder._times = FeederTimes(leaderless=0.1)
            await until(
                lambda: (
                    (found := feeder.supply(AAPL)) is not None
                    and (found.state, found.reason) == ("feed_down", "no node runs the feed now")
                )
            )
            assert feeder.statuses()[0].state == "disconnected"
