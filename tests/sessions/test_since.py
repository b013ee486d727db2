"""Subscribing from a position that the client has, without its session."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from bookcast import Server, TradesData
from bookcast.auth.principal import Principal, Rights
from bookcast.model.market_data import Book, Level, Quote
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication
from bookcast.protocol.subscriptions import ConnectionRules
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import RedisServer
from tests.sessions.world import ClientTransport, SessionWorld
from tests.support import (
    AAPL,
    CANDLES,
    ROOT,
    TRADES,
    Client,
    candle,
    connect,
    eventually,
    nodes,
    registry_of,
    run_through,
    trades,
)

V1: Any = ["bookcast.v1"]
QUOTE = Topic("quote", AAPL.symbol)


def newcomer(world: SessionWorld, name: str = "me", **options: Any) -> ClientTransport:
    """Connect a client, past its welcome."""
    peer = world.enter(name, v1=True, **options)
    peer.messages()
    return peer


def since(
    peer: ClientTransport, seq: int, channel: str = "trades", epoch: str = "e", **view: Any
) -> list[Any]:
    """Subscribe from a position, and return what comes but for how the topic stands."""
    place = {"epoch": epoch, "seq": seq}
    peer.say("subscribe", symbol="AAPL", channel=channel, since=place, **view)
    return [message for message in peer.messages() if message["type"] != "status"]


async def publish_trades(world: SessionWorld, *sizes: int) -> None:
    for size in sizes:
        await world.publish(size, TRADES)


def sizes_of(messages: list[Any]) -> list[int]:
    return [
        trade["size"]
        for message in messages
        if message["type"] == "trade"
        for trade in message["data"]["trades"]
    ]


async def test_each_trade_after_the_position_comes_once_and_then_live() -> None:
    """Nobody was subscribed meanwhile, and no session waited."""
    world = SessionWorld()
    await publish_trades(world, 1, 2, 3, 4)
    client = newcomer(world)
    confirmed, missed = since(client, 2)
    assert (confirmed["recovered"], confirmed["epoch"], confirmed["seq"]) == (True, "e", 2)
    assert (missed["prev_seq"], missed["seq"], sizes_of([missed])) == (2, 4, [3, 4])
    await publish_trades(world, 5)
    assert client.trades() == [5]


async def test_the_example_of_the_document_is_answered_as_it_says() -> None:
    """docs/protocol-v1.md has the question, and the confirmation field by field."""
    document = (ROOT / "docs" / "protocol-v1.md").read_text()
    example = document.partition("#### Without a session")[2]
    question, answer = (
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", example, re.DOTALL)[:2]
    )
    world = SessionWorld()
    await world.publish(1, TRADES)
    for place in (question["since"], answer):
        place |= {"epoch": "e", "seq": 1}
    client = newcomer(world)
    client.say(**question)
    assert client.messages()[0] == answer


async def test_who_has_everything_is_told_so_and_gets_nothing() -> None:
    """Up to what comes next; of a book as of trades."""
    world = SessionWorld()
    await publish_trades(world, 1)
    await world.publish(7)
    client = newcomer(world)
    for channel in ("trades", "orderbook"):
        [confirmed] = since(client, 1, channel)
        assert (confirmed["recovered"], confirmed["seq"]) == (True, 1)


async def test_what_the_log_has_lost_is_a_gap_and_the_rest_follows() -> None:
    """The gap goes on from the confirmation's position, and the first trade from the gap."""
    world = SessionWorld(history_size=3)
    await publish_trades(world, *range(1, 9))
    confirmed, gap, rest = since(newcomer(world), 2)
    assert (confirmed["recovered"], confirmed["seq"]) == (False, 2)
    assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (3, 5, "history")
    assert (rest["prev_seq"], sizes_of([rest])) == (5, [6, 7, 8])


async def test_what_does_not_fit_an_outbox_is_a_gap_too() -> None:
    """The confirmation tells the truth about it."""
    world = SessionWorld(history_size=100_000)
    await world.engine.publish([Publication(TRADES, trades(*range(1000))) for _ in range(30)])
    confirmed, gap, rest = since(newcomer(world), 1)
    assert confirmed["recovered"] is False
    assert (gap["from_seq"], gap["reason"]) == (2, "overflow")
    assert (confirmed["seq"], gap["to_seq"], rest["seq"]) == (1, rest["prev_seq"], 30)


@pytest.mark.parametrize(("epoch", "seq"), [("another", 2), ("another", 99), ("e", 99)])
async def test_a_position_that_was_never_here_is_a_break(epoch: str, seq: int) -> None:
    """Of another epoch, or later than the newest: what is known follows the gap."""
    world = SessionWorld()
    await publish_trades(world, 1, 2, 3)
    client = newcomer(world)
    confirmed, gap, *rest = since(client, seq, epoch=epoch)
    assert (confirmed["recovered"], confirmed["epoch"]) == (False, "e")
    assert (gap["epoch"], gap["from_seq"], gap["to_seq"], gap["reason"]) == (
        ("e", None, None, "epoch")
    )
    expected = [] if epoch == "e" else [1, 2, 3]
    assert (sizes_of(rest), confirmed["seq"]) == (expected, 3 - len(expected))
    await publish_trades(world, 4)
    [live] = [one for one in client.messages() if one["type"] == "trade"]
    assert (live["prev_seq"], sizes_of([live])) == (3, [4])


async def test_where_nothing_is_known_the_gap_comes_with_what_comes_first() -> None:
    """After a restart of a single node, for instance."""
    world = SessionWorld()
    client = newcomer(world)
    [confirmed] = since(client, 5, epoch="before")
    assert (confirmed["recovered"], confirmed["epoch"], confirmed["seq"]) == (False, None, None)
    await publish_trades(world, 1)
    assert client.trades() == [-1, 1]


async def test_a_break_that_waits_for_the_next_flush_is_no_recovery() -> None:
    """What the earlier epoch had can't be told any more."""
    world = SessionWorld()
    other = newcomer(world, "other")
    other.say("subscribe", symbol="AAPL", channel="trades")
    await publish_trades(world, 1, 2)
    await world.engine.publish([Publication(TRADES, trades(3), breaks=True)])
    client = newcomer(world)
    client.messages()
    confirmed, *rest = since(client, 1)
    assert confirmed["recovered"] is False
    assert [one["type"] for one in rest] == ["gap", "trade"]


async def test_a_state_is_shown_whole_where_a_newer_one_is_known() -> None:
    """Of another epoch it isn't recovered; nor in an epoch where the position is later."""
    world = SessionWorld()
    for size in (1, 2, 3):
        await world.publish(size)
        await world.engine.publish([Publication(QUOTE, Quote(volume=size))])
    for channel in ("orderbook", "quote"):
        for seq, epoch, recovered in ((1, "e", True), (1, "f", False), (9, "e", False)):
            confirmed, state = since(newcomer(world), seq, channel, epoch)
            assert (confirmed["recovered"], confirmed["seq"], state["seq"]) == (recovered, 3, 3)


async def test_deltas_begin_with_a_whole_book_even_where_nothing_is_new() -> None:
    """Nobody knows how deep the book is that the client has."""
    world = SessionWorld()
    await world.publish(1)
    client = newcomer(world)
    confirmed, whole = since(client, 1, "orderbook", mode="delta", depth=1)
    assert (confirmed["recovered"], whole["type"]) == (True, "orderbook_update")
    await world.publish(2)
    [delta] = client.messages()
    assert (delta["type"], delta["prev_seq"]) == ("orderbook_delta", 1)


async def test_final_candles_come_and_the_one_that_is_forming() -> None:
    """Each final one after the position; what was forming meanwhile doesn't matter."""
    world = SessionWorld()
    for minute in range(3):
        for final in (False, False, True):
            await world.engine.publish([Publication(CANDLES, candle(minute, final=final))])
    await world.engine.publish([Publication(CANDLES, candle(3))])
    confirmed, *rest = since(newcomer(world), 4, "candles", period="1m")
    assert confirmed["recovered"] is True
    assert [(one["seq"], one["data"]["final"]) for one in rest] == [
        (6, True),
        (9, True),
        (10, False),
    ]
    [confirmed] = since(newcomer(world), 10, "candles", period="1m")
    assert confirmed["recovered"] is True


async def test_final_candles_that_the_log_may_have_lost_are_a_gap() -> None:
    """Their numbers alone don't show it to who begins with what is kept."""
    world = SessionWorld(history_size=3)
    for minute in range(6):
        await world.engine.publish([Publication(CANDLES, candle(minute, final=True))])
    confirmed, gap, *rest = since(newcomer(world), 1, "candles", period="1m")
    assert (confirmed["recovered"], confirmed["seq"]) == (False, 1)
    assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (2, 3, "history")
    assert [one["seq"] for one in rest] == [4, 5, 6]


async def test_a_candle_that_forms_in_a_new_epoch_brings_no_earlier_ones_again() -> None:
    """Neither to who was there, nor to who comes back from within that epoch."""
    world = SessionWorld()
    watcher = newcomer(world, "watcher")
    watcher.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    for volume in range(5):
        update = Publication(CANDLES, candle(volume, final=volume < 2), breaks=volume == 2)
        await world.engine.publish([update])
        world.flush()
    heard = [one for one in watcher.messages() if one["type"] in {"gap", "candle_update"}]
    kinds = [(one["type"], one["epoch"], one.get("seq")) for one in heard]
    assert kinds == [
        ("candle_update", "e", 1),
        ("candle_update", "e", 2),
        ("gap", "e-1", None),
        ("candle_update", "e-1", 3),
        ("candle_update", "e-1", 4),
        ("candle_update", "e-1", 5),
    ]
    confirmed, newest = since(newcomer(world), 3, "candles", "e-1", period="1m")
    assert (confirmed["recovered"], newest["seq"]) == (True, 5)
    confirmed, final, gap, newest = since(newcomer(world), 1, "candles", "e", period="1m")
    assert (confirmed["recovered"], gap["epoch"]) == (False, "e-1")
    assert (final["seq"], newest["seq"]) == (2, 5)


async def test_subscribing_again_with_a_position_goes_on_from_there() -> None:
    """What the client says it has counts, not what this connection was sent."""
    world = SessionWorld()
    client = newcomer(world)
    client.say("subscribe", symbol="AAPL", channel="trades")
    await publish_trades(world, 1, 2, 3)
    assert client.trades() == [1, 2, 3]
    confirmed, again = since(client, 1)
    assert (confirmed["recovered"], sizes_of([again])) == (True, [2, 3])
    await publish_trades(world, 4)
    assert client.trades() == [4]


async def test_an_interval_goes_on_from_the_position_as_well() -> None:
    """At the interval's end, what came since; nothing twice."""
    world = SessionWorld()
    other = newcomer(world, "other")
    other.say("subscribe", symbol="AAPL", channel="trades", interval_ms=1000)
    await publish_trades(world, 1, 2, 3)
    for seq in (0, 1, 2, 3):
        client = newcomer(world, f"me{seq}")
        confirmed, *rest = since(client, seq, interval_ms=1000)
        assert confirmed["recovered"] is True
        world.timer.run_until(world.timer.now + 2)
        assert sizes_of(rest) + client.trades() == [1, 2, 3][seq:]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"symbols": ["AAPL", "TSLA"]}, "since: a position belongs to one symbol, not to 2"),
        ({"symbol": "AAPL", "history": 5}, "leave out 'history', or 'since'"),
        ({"symbol": "AAPL", "since": {"epoch": "e"}}, "since.seq is missing"),
        (
            {"symbol": "AAPL", "since": {"epoch": 1, "seq": 1}},
            "since.epoch: expected text, got a whole number",
        ),
        (
            {"symbol": "AAPL", "since": {"epoch": "e", "seq": "1"}},
            "since.seq: expected a whole number, got text",
        ),
        (
            {"symbol": "AAPL", "since": {"epoch": "e", "seq": -1}},
            "since.seq: expected a whole number >= 0",
        ),
        ({"symbol": "AAPL", "since": 17}, "since: expected"),
    ],
)
async def test_a_position_that_makes_no_sense_is_refused_with_its_place(
    fields: dict[str, Any], sentence: str
) -> None:
    """Nothing is subscribed then."""
    world = SessionWorld()
    client = newcomer(world)
    place = {"epoch": "e", "seq": 1}
    client.say("subscribe", **{"channel": "trades", "since": place, "id": 5, **fields})
    [error] = client.messages()
    assert (error["code"], error["id"]) == ("invalid_message", 5)
    assert sentence in error["message"]
    assert client.session.subscription_count == 0


async def test_one_symbol_of_a_list_and_null_are_taken() -> None:
    """Null is as good as absent: then nothing tells of a recovery."""
    world = SessionWorld()
    await publish_trades(world, 1, 2)
    client = newcomer(world)
    place = {"epoch": "e", "seq": 1}
    client.say("subscribe", symbols=["AAPL"], channel="trades", since=place)
    confirmed, trade = [one for one in client.messages() if one["type"] != "status"]
    assert (confirmed["recovered"], trade["seq"]) == (True, 2)
    client.say("subscribe", symbol="TSLA", channel="trades", since=None)
    assert "recovered" not in client.messages()[0]


async def test_rights_and_limits_are_those_of_any_subscription() -> None:
    """A position opens no door."""
    rights = Rights(frozenset({"read"}), channels=frozenset({"orderbook"}), max_depth=1)
    world = SessionWorld(ConnectionRules(max_subscriptions=1))
    await publish_trades(world, 1)
    book = Book((Level(2, 1), Level(1, 1)), ())
    await world.engine.publish([Publication(AAPL, book)])
    client = newcomer(world, principal=Principal("jwt", "alice", rights))
    [refused] = since(client, 0)
    assert refused["code"] == "forbidden"
    confirmed, shown = since(client, 0, "orderbook", depth=5)
    assert (confirmed["view"]["depth"], len(shown["data"]["bids"])) == (1, 1)
    client.say("subscribe", symbol="TSLA", since={"epoch": "e", "seq": 0})
    assert client.messages()[0]["code"] == "too_many_subscriptions"


async def test_a_session_that_is_gone_says_what_to_do() -> None:
    """To subscribe with each position: then nothing is lost without a word."""
    world = SessionWorld()
    client = newcomer(world)
    client.say("resume", session="gone", positions=[])
    [error] = client.messages()
    assert error["code"] == "unknown_session"
    assert "'since'" in error["message"]


# Whatever happens meanwhile

steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 9)),
        st.tuples(st.just("break"), st.just(0)),
        st.tuples(st.just("remove"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("watch"), st.sampled_from([0, 1000])),
        st.tuples(st.just("leave"), st.just(0)),
        st.tuples(st.just("since"), st.sampled_from([0, 1000])),
        st.tuples(st.just("drop"), st.just(0)),
    ),
    max_size=40,
)


COME_BACK = [("since", 0), ("publish", 1), ("flush", 0)]


class Reader:
    """What a client has of the trades over all its connections, as far as it goes by positions."""

    def __init__(self) -> None:
        self.place: tuple[str, int] | None = None
        self.seen: set[tuple[str, int]] = set()
        self.lost: set[tuple[str, int]] = set()
        self.broke: set[str] = set()

    def hear(self, message: Any) -> None:
        """Take a message; trades that go on elsewhere than the client is have to be a gap."""
        match message["type"]:
            case "subscription_confirmed" if message["epoch"] is not None and self.place is None:
                self.place = (message["epoch"], message["seq"])
            case "subscription_confirmed" if self.place and message["epoch"] == self.place[0]:
                assert message["seq"] == self.place[1]
            case "gap":
                self._lose(message)
            case "trade":
                epoch, first = message["epoch"], message["prev_seq"] + 1
                if self.place is not None and self.place[0] == epoch:
                    assert first == self.place[1] + 1, "a hole that nobody told of"
                elif self.place is not None:
                    assert epoch in self.broke, "a break that nobody told of"
                for seq in range(first, message["seq"] + 1):
                    assert (epoch, seq) not in self.seen, "it came twice"
                    self.seen.add((epoch, seq))
                self.place = (epoch, message["seq"])

    def _lose(self, gap: Any) -> None:
        epoch = gap["epoch"]
        if gap["to_seq"] is None:
            self.broke.add(epoch)
            return
        assert (
            self.place is None or self.place == (epoch, gap["from_seq"] - 1) or epoch in self.broke
        )
        self.place = (epoch, gap["to_seq"])


@given(steps)
def test_what_comes_and_the_gaps_cover_everything(script: list[tuple[str, int]]) -> None:
    """However often a client comes back with nothing but its position: each trade once, or told."""
    run_through(_play(script))


async def _play(script: list[tuple[str, int]]) -> None:
    world = SessionWorld(history_size=6)
    reader, client, watcher = Reader(), None, None
    size = 0

    def listen() -> None:
        if client is not None:
            for message in client.messages():
                reader.hear(message)

    for kind, number in [*script, *COME_BACK, ("drop", 0), ("publish", 9), *COME_BACK]:
        match kind:
            case "publish":
                for _ in range(number):
                    size += 1
                    await world.engine.publish([Publication(TRADES, trades(size))])
            case "break":
                size += 1
                await world.engine.publish([Publication(TRADES, trades(size), breaks=True)])
            case "remove":
                await world.engine.remove(TRADES)
            case "flush":
                world.timer.run_until(world.timer.now + 3)
                listen()
            case "watch":
                watcher = newcomer(world, "watcher")
                watcher.say("subscribe", symbol="AAPL", channel="trades", interval_ms=number)
            case "leave" if watcher is not None:
                watcher.goodbye()
                watcher = None
            case "since" if client is None:
                client = newcomer(world)
                place = reader.place
                client.say(
                    "subscribe",
                    symbol="AAPL",
                    channel="trades",
                    interval_ms=number,
                    **({"since": {"epoch": place[0], "seq": place[1]}} if place else {}),
                )
                listen()
            case "drop" if client is not None:
                listen()
                client.goodbye()
                client = None
    newest = await world.engine.snapshot(TRADES)
    assert newest is not None
    assert reader.place == (newest.position.epoch, newest.position.seq)


# Many nodes


async def publish_to(server: Server, *sizes: int) -> Any:
    """Publish trades of these sizes, and return the last one's place."""
    for size in sizes:
        trade: TradesData = {"trades": [{"price": 1, "size": size}]}
        published = await server.publish("AAPL", trade, channel="trades")
    return {"epoch": published.epoch, "seq": published.seq}


async def begin_since(client: Client, place: Any) -> Any:
    """Subscribe to trades since a place, and return the confirmation."""
    await client.say({"action": "subscribe", "symbol": "AAPL", "channel": "trades", "since": place})
    while (message := await client.hear())["type"] != "subscription_confirmed":
        pass
    return message


async def go_on(client: Client, place: Any, last: int) -> tuple[Any, list[Any]]:
    """Subscribe to trades since a place; return the confirmation, and all up to a trade's size."""
    confirmed = await begin_since(client, place)
    heard = [await client.hear()]
    while last not in sizes_of(heard[-1:]):
        heard.append(await client.hear())
    return confirmed, [one for one in heard if one["type"] != "status"]


async def test_a_node_that_nobody_asked_for_the_topic_reads_the_log_first(redis_url: str) -> None:
    """Its confirmation tells what Redis has, and nothing comes twice."""
    async with nodes(redis_url, 2, history_size=4) as (here, there):
        await publish_to(here, 1)
        place = await publish_to(here, 2)
        await publish_to(here, 3, 4, 5)
        async with connect(there.ws_url + "me", subprotocols=V1) as client:
            confirmed, rest = await go_on(client, place, 5)
            assert confirmed["recovered"] is True
            assert (confirmed["epoch"], confirmed["seq"]) == (place["epoch"], place["seq"])
            assert sizes_of(rest) == [3, 4, 5]
            await publish_to(here, 6)
            assert sizes_of([await client.hear()]) == [6]
        await publish_to(here, 7, 8, 9, 10)
        async with connect(there.ws_url + "me", subprotocols=V1) as client:
            confirmed, rest = await go_on(client, place, 10)
            assert confirmed["recovered"] is False
            assert [one["type"] for one in rest] == ["gap", "trade"]
            assert (rest[0]["from_seq"], rest[0]["to_seq"]) == (3, 6)
            assert sizes_of(rest) == [7, 8, 9, 10]


async def test_a_redis_that_forgot_everything_is_a_break(redis_url: str) -> None:
    """The next trade begins a new epoch, and a gap says so."""
    async with nodes(redis_url, 2) as (here, there):
        place = await publish_to(here, 1, 2)
        with redis.Redis.from_url(redis_url) as client_of_redis:
            client_of_redis.flushall()
        async with connect(there.ws_url + "me", subprotocols=V1) as client:
            publishing = asyncio.create_task(go_on(client, place, 3))
            await eventually(lambda: bool(registry_of(there).subscription_count()), "the client")
            await publish_to(here, 3)
            confirmed, rest = await publishing
        assert confirmed["recovered"] is False
        assert [one["type"] for one in rest] == ["gap", "trade"]
        assert rest[0]["reason"] == "epoch"


async def test_while_redis_is_away_nothing_is_called_recovered(
    redis_url: str, redis_server: RedisServer
) -> None:
    """When it is back all comes, each trade once."""
    async with (
        nodes(redis_url, 1) as [here],
        FaultyProxy(redis_server.port) as way,
        nodes(f"redis://127.0.0.1:{way.port}", 1, redis_timeout=0.3) as [there],
    ):
        place = await publish_to(here, 1, 2)
        await publish_to(here, 3, 4)
        way.refuse()
        way.cut()
        engine = there.parts.backend.engine
        await eventually(lambda: engine.status().state == "away", "Redis to be away")
        async with connect(there.ws_url + "me", subprotocols=V1) as client:
            going_on = asyncio.create_task(go_on(client, place, 4))
            await eventually(lambda: bool(registry_of(there).subscription_count()), "the client")
            way.accept()
            confirmed, rest = await going_on
            await publish_to(here, 5)
            while not (live := sizes_of([await client.hear()])):
                pass
        assert (confirmed["recovered"], confirmed["epoch"]) == (False, None)
        assert [one for one in rest if one["type"] == "gap"] == []
        assert (sizes_of(rest), live) == ([3, 4], [5])


@pytest.mark.no_cover
async def test_a_client_that_keeps_coming_back_anywhere_misses_nothing(redis_url: str) -> None:
    """While trades are published at all nodes, and each of its sessions ends at once."""
    count, done = 150, asyncio.Event()
    async with nodes(redis_url, 2) as servers:

        async def publish() -> None:
            for size in range(1, count + 1):
                await publish_to(servers[size % 2], size)
                await asyncio.sleep(0.003)
            done.set()

        place = await publish_to(servers[0], 0)
        publishing = asyncio.create_task(publish())
        seen: list[int] = []
        visits = 0
        while not (done.is_set() and seen and seen[-1] == count):
            visits += 1
            async with connect(servers[visits % 2].ws_url + "me", subprotocols=V1) as client:
                assert (await begin_since(client, place))["recovered"] is True
                for _ in range(visits % 4):
                    if seen and seen[-1] == count:
                        break
                    message = await client.hear()
                    if message["type"] == "trade":
                        assert message["prev_seq"] == place["seq"]
                        place = {"epoch": message["epoch"], "seq": message["seq"]}
                        seen += sizes_of([message])
        await publishing
        assert seen == list(range(1, count + 1))
        assert visits > 5
