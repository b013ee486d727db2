"""Redis goes away and comes back."""

from __future__ import annotations

from bookcast.model.updates import Publication
from tests.golden.client import Client
from tests.golden.scenarios.base import (
    book,
    candle,
    quote,
    quoted,
    redis_scenario,
    sold,
    trade,
)
from tests.golden.world import Node, World
from tests.support import AAPL, CANDLES, TRADES
from tests.support import candle as candle_of


async def _subscribe(world: World, node: Node) -> tuple[Client, Client]:
    a, b = await world.join("a", node), await world.join("b", node, v1=False)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await a.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await a.say("subscribe", symbol="TSLA", channel="quote")
    await b.say("subscribe", symbol="AAPL")
    return a, b


async def _feed(node: Node, *numbers: int) -> None:
    for number in numbers:
        await node.feed(*quoted(number), *sold(number))
        await node.feed(Publication(CANDLES, candle_of(number)))


@redis_scenario
async def redis_hangs(world: World) -> None:
    """Redis hangs and goes on with what it had: feed, HTTP and a client that comes back."""
    node = await world.node(feeds=True)
    await world.wait(1)
    a, b = await _subscribe(world, node)
    await _feed(node, 1, 2)
    await node.http("POST", "/broadcast/quote?symbol=TSLA", quote(1))
    await world.wait(2)
    await world.hang_redis()
    await _feed(node, 3)
    await node.http("POST", "/broadcast/quote?symbol=TSLA", quote(2))
    await world.wait(5)
    await _feed(node, 4, 5)
    await node.http("POST", "/broadcast/quote?symbol=TSLA", quote(3))
    await node.publish("AAPL", trade(99), "trades")
    c = await world.join("c", node)
    await c.say("subscribe", symbol="AAPL", mode="delta")
    await c.say("subscribe", symbol="AAPL", channel="trades", history=10)
    await a.vanish()
    await _feed(node, 6)
    a2 = await world.join("a2", node)
    places = [a.position(), a.position("trades")]
    await a2.say("resume", session=a.session, positions=places)
    await world.wait(2)
    await b.vanish()
    await world.resume_redis()
    await world.wait(3)
    await _feed(node, 7)
    await node.http("POST", "/broadcast/quote?symbol=TSLA", quote(4))
    await world.join("b2", node, client_id="b", v1=False)
    await _feed(node, 8)
    await world.wait(3)


@redis_scenario
async def redis_is_lost(world: World) -> None:
    """Redis ends and comes back empty: states are told again, trades begin a new epoch."""
    node = await world.node(feeds=True)
    await world.wait(1)
    a, b = await _subscribe(world, node)
    await _feed(node, 1, 2)
    await node.publish("TSLA", quote(1), "quote")
    await node.publish("MSFT", book(1))
    await world.stop_redis()
    await _feed(node, 3)
    await node.publish("TSLA", quote(2), "quote")
    await world.wait(3)
    await _feed(node, 4)
    d = await world.join("d", node)
    await d.say("subscribe", symbol="MSFT")
    await d.say("subscribe", symbol="AAPL", channel="trades", since=a.place("trades"))
    await world.start_redis()
    await world.wait(4)
    await _feed(node, 5)
    await node.publish("TSLA", quote(3), "quote")
    await node.publish("MSFT", book(2))
    await a.vanish()
    a2 = await world.join("a2", node)
    await a2.say("resume", session=a.session, positions=[a.position(), a.position("trades")])
    await b.say("subscribe", symbol="MSFT")
    await _feed(node, 6)


@redis_scenario
async def redis_is_away_without_news(world: World) -> None:
    """Nothing is published while Redis is away; and a second outage follows."""
    node = await world.node(feeds=True)
    await world.wait(1)
    await _subscribe(world, node)
    await _feed(node, 1)
    await world.hang_redis()
    await world.wait(5)
    await world.resume_redis()
    await world.wait(3)
    await _feed(node, 2)
    await world.hang_redis()
    await world.wait(5)
    await _feed(node, 3)
    await world.resume_redis()
    await world.wait(3)
    await _feed(node, 4)


@redis_scenario
async def published_locally_while_redis_is_away(world: World) -> None:
    """ENGINE_DOWN_PUBLISH=local: what others publish goes to this node's clients."""
    node = await world.node(engine_down_publish="local")
    a, b = await _subscribe(world, node)
    for number in (1, 2):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
        await node.publish("AAPL", candle(number, 1, final=True), "candles", "1m")
    await world.hang_redis()
    await world.wait(5)
    for number in (3, 4):
        await node.http("POST", "/broadcast/orderbook?symbol=AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
        await node.publish("AAPL", candle(number, 1, final=True), "candles", "1m")
    await b.vanish()
    await a.vanish()
    await node.publish("AAPL", book(5))
    await node.publish("AAPL", trade(5), "trades")
    a2 = await world.join("a2", node)
    places = [a.position(), a.position("trades"), a.position("candles", period="1m")]
    await a2.say("resume", session=a.session, positions=places)
    await world.join("b2", node, client_id="b", v1=False)
    await world.resume_redis()
    await world.wait(4)
    for number in (6, 7):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
        await node.publish("AAPL", candle(number, 1, final=True), "candles", "1m")
    await world.wait(3)


@redis_scenario
async def unreadable_records(world: World) -> None:
    """What another release wrote can't be read: its place counts, v1 clients are told once."""
    node = await world.node()
    a, b = await _subscribe(world, node)
    for number in (1, 2):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    await world.write_record(AAPL, b"nonsense")
    await world.write_record(TRADES, b"nonsense")
    await world.wait(1)
    await node.publish("AAPL", book(4))
    await node.publish("AAPL", trade(4), "trades")
    await world.wait(10)
    await world.write_record(AAPL, b"nonsense")
    await world.write_record(TRADES, b"nonsense")
    c = await world.join("c", node)
    await c.say("subscribe", symbol="AAPL")
    await c.say("subscribe", symbol="AAPL", channel="trades", history=10)
    await node.publish("AAPL", book(6))
    await node.publish("AAPL", trade(6), "trades")
    await world.wait(61)
    await world.write_record(TRADES, b"nonsense")
    await node.publish("AAPL", trade(8), "trades")
    await a.say("why", symbol="AAPL", channel="trades")
    await b.say("ping")


@redis_scenario
async def two_nodes_without_redis(world: World) -> None:
    """Clients of a node without the feed hear nothing while Redis is away, and why afterwards."""
    one, two = await world.node("one", feeds=True), await world.node("two")
    await world.wait(1)
    a, b = await world.join("a", one), await world.join("b", two)
    c, d = await world.join("c", two, v1=False), await world.join("d", two)
    for one_of_them in (a, b, d):
        await one_of_them.say("subscribe", symbol="AAPL", mode="delta")
        await one_of_them.say("subscribe", symbol="AAPL", channel="trades")
        await one_of_them.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await c.say("subscribe", symbol="AAPL")
    await _feed(one, 1, 2)
    await world.wait(2)
    await world.hang_redis()
    await world.wait(5)
    await _feed(one, 3, 4)
    await b.vanish()
    b2 = await world.join("b2", one)
    await b2.say("resume", session=b.session, positions=[b.position(), b.position("trades")])
    await world.resume_redis()
    await world.wait(4)
    await _feed(one, 5)
    await b2.say("resume", session=b.session, positions=[b.position(), b.position("trades")])
    await two.publish("AAPL", trade(99), "trades")
    await _feed(one, 6)
    await world.wait(2)
