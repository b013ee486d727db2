"""Subscribing, views, resync, unsubscribing."""

from __future__ import annotations

from tests.golden.scenarios.base import (
    book,
    brokers,
    candle,
    quote,
    scenario,
    sold,
    timeframe,
    trade,
)
from tests.golden.world import World


@scenario
async def base_subscribe(world: World) -> None:
    """A base client subscribes: known and unknown symbols, spellings, errors, the address."""
    node = await world.node()
    await node.publish("AAPL", book(1))
    a = await world.join("a", node, v1=False)
    await a.say("subscribe", symbol="AAPL")
    await a.say("subscribe", symbol="TSLA")
    await node.publish("TSLA", book(1))
    await node.publish("US.AAPL", book(2))
    await a.say("subscribe", symbol="US.AAPL")
    await node.publish("AAPL", book(3))
    await a.say("ping")
    await a.say("dance")
    await a.say("subscribe")
    await a.send("{")
    b = await world.join("b", node, v1=False, query="symbols=AAPL,TSLA,NVDA")
    await node.publish("NVDA", '{"bids":[[1.50,10]],"asks":[],"more":"kept"}')
    await a.say("unsubscribe", symbol="AAPL")
    await b.say("unsubscribe", symbol="MSFT")
    await node.publish("AAPL", book(4))
    await a.say("subscribe", symbol="AAPL")
    await b.close()
    await node.publish("AAPL", book(5))


@scenario
async def subscribe_each_channel(world: World) -> None:
    """A v1 client subscribes to each channel, before and after something is known."""
    node = await world.node()
    a = await world.join("a", node)
    for channel in ("orderbook", "quote", "trades", "brokers", "timeframe"):
        await a.say("subscribe", symbol="AAPL", channel=channel, id=channel)
    await a.say("subscribe", symbol="AAPL", channel="candles", period="1m", id=7)
    for number in (1, 2):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", quote(number), "quote")
        await node.publish("AAPL", trade(number), "trades")
        await node.publish("AAPL", candle(0, number), "candles", "1m")
        await node.publish("AAPL", brokers(number), "brokers")
        await node.publish("AAPL", timeframe(number), "timeframe")
    b = await world.join("b", node)
    for channel in ("orderbook", "quote", "trades", "brokers", "timeframe"):
        await b.say("subscribe", symbol="US.AAPL", channel=channel)
    await b.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await b.say("list", id="l")
    for channel in ("orderbook", "trades"):
        await b.say("why", symbol="AAPL", channel=channel)
    await world.wait(31)


@scenario
async def views_of_one_book(world: World) -> None:
    """Clients see one book at different depths, whole and as deltas; equal views share prev_seq."""
    node = await world.node()
    a, b, c, d, e = [await world.join(name, node) for name in "abcde"]
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await node.publish("AAPL", book(1, 4))
    await node.publish("AAPL", book(2, 4))
    await b.say("subscribe", symbol="AAPL", mode="delta")
    await c.say("subscribe", symbol="AAPL", depth=1)
    await d.say("subscribe", symbol="AAPL", depth=2, mode="delta")
    await e.say("subscribe", symbol="US.AAPL", mode="DELTA", dept=3, id="e")
    await node.publish("AAPL", book(3, 4))
    await node.publish("AAPL", book(3, 3))
    changed = book(3, 3)
    changed["bids"][2] = [97.5, 1]
    await node.publish("AAPL", changed)
    await node.publish("AAPL", changed)
    await node.publish("AAPL", {"bids": [], "asks": [[101, 1]]})
    for one in (c, d):
        await one.say("why", symbol="AAPL")
    await d.say("subscribe", symbol="AAPL", depth=3, mode="full")
    await d.say("subscribe", symbol="AAPL", depth=3, mode="delta")
    await node.publish("AAPL", book(4, 4))
    await node.publish("AAPL", book(5, 4))


@scenario
async def resync(world: World) -> None:
    """Clients ask for the whole state once more; others of their view aren't touched."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL", mode="delta")
        await one.say("subscribe", symbol="AAPL", channel="trades")
    await a.say("resync", symbol="AAPL")
    await node.publish("AAPL", book(1))
    await node.publish("AAPL", book(2))
    await a.say("resync", symbol="AAPL", id=1)
    await node.publish("AAPL", book(3))
    await node.publish("AAPL", trade(1), "trades")
    await a.say("resync", symbol="AAPL", channel="trades")
    await a.say("resync", symbol="TSLA", id=2)
    await a.say("resync", symbol="AAPL", channel="quote")
    await node.publish_together(("AAPL", book(4)), ("AAPL", book(5)))
    await b.say("resync", symbol="AAPL")
    await a.hold()
    await a.say("resync", symbol="AAPL")
    await node.publish("AAPL", book(6))
    await a.release()
    await node.publish("AAPL", book(7))
    await a.say("why", symbol="AAPL")


@scenario
async def unsubscribe_and_subscribe_again(world: World) -> None:
    """Clients leave topics and come back to them; replacing a view misses nothing."""
    node = await world.node(history_size=4)
    a, b = await world.join("a", node), await world.join("b", node)
    for one in (a, b):
        await one.say("subscribe", symbols=["AAPL", "TSLA"], mode="delta", id="s")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    for number in (1, 2):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    await a.say("unsubscribe", symbols=["AAPL", "MSFT"], id="u")
    await node.publish("AAPL", book(3))
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await node.publish("AAPL", book(4))
    await b.say("unsubscribe", symbol="AAPL")
    await a.say("unsubscribe", symbol="AAPL")
    await node.publish("AAPL", book(5))
    await a.say("subscribe", symbol="AAPL", mode="delta", depth=1)
    await node.publish("AAPL", book(6))
    # A view of trades that is replaced goes on where it was.
    await node.publish("AAPL", trade(3), "trades")
    await a.say("subscribe", symbol="US.AAPL", channel="trades")
    await node.publish("AAPL", trade(4), "trades")
    await a.say("unsubscribe", symbol="AAPL", channel="trades")
    await node.publish("AAPL", trade(5), "trades")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await node.publish("AAPL", trade(6), "trades")


@scenario
async def history(world: World) -> None:
    """Clients ask for history: less than there is, more, what there is none of."""
    node = await world.node(history_size=4)
    for number in range(1, 7):
        await node.publish("AAPL", trade(number), "trades")
    three = {"trades": [one for number in (7, 8, 9) for one in trade(number)["trades"]]}
    await node.publish("AAPL", three, "trades")
    for minute in range(6):
        await node.publish("AAPL", candle(minute, 1), "candles", "1m")
        await node.publish("AAPL", candle(minute, 2, final=True), "candles", "1m")
    await node.publish("AAPL", candle(6, 1), "candles", "1m")
    a, b, c, d, e = [await world.join(name, node) for name in "abcde"]
    await a.say("subscribe", symbol="AAPL", channel="trades", history=2)
    await b.say("subscribe", symbol="AAPL", channel="trades", history=100)
    await c.say("subscribe", symbol="AAPL", channel="trades", history=5)
    await d.say("subscribe", symbol="TSLA", channel="trades", history=5)
    await e.say("subscribe", symbol="AAPL", history=5)
    await a.say("subscribe", symbol="AAPL", channel="candles", period="1m", history=2)
    await b.say("subscribe", symbol="AAPL", channel="candles", period="1m", history=100)
    await c.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await node.publish("AAPL", trade(10), "trades")
    await node.publish("TSLA", trade(1), "trades")
    await node.publish("AAPL", candle(6, 2), "candles", "1m")
    await a.say("subscribe", symbol="AAPL", channel="trades", history=3)
    await node.publish("AAPL", trade(11), "trades")


@scenario
async def past_that_the_feed_fetches(world: World) -> None:
    """The feed publishes what was before anybody asked: only who asked for history is shown it."""
    node = await world.node(feeds=True)
    a, b = await world.join("a", node), await world.join("b", node)
    await a.say("subscribe", symbol="AAPL", channel="trades", history=3)
    await b.say("subscribe", symbol="AAPL", channel="trades")
    await node.feed(*(one._replace(backfill=True) for one in sold(1, 2, 3, 4)))
    await node.feed(*sold(5))
    c = await world.join("c", node)
    await c.say("subscribe", symbol="AAPL", channel="trades", history=2)
    await node.feed(*(one._replace(breaks=True) for one in sold(6)))
    await node.feed(*sold(7))


@scenario
async def topic_removed(world: World) -> None:
    """A topic is removed while clients see it, and published anew."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node, v1=False)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await b.say("subscribe", symbol="AAPL")
    for number in (1, 2):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    await node.http("DELETE", "/topics/orderbook/AAPL")
    await node.http("DELETE", "/topics/trades/AAPL")
    await node.http("DELETE", "/topics/orderbook/TSLA")
    await world.wait(1)
    c = await world.join("c", node)
    await c.say("subscribe", symbol="AAPL", mode="delta")
    await node.publish("AAPL", book(3))
    await node.publish("AAPL", trade(3), "trades")
    await node.publish("AAPL", book(4))


@scenario
async def statuses_and_refusals(world: World) -> None:
    """What can't be subscribed; a publisher's connection is lost; statuses follow time."""
    node = await world.node(stale_after_orderbook=5)
    a, p = await world.join("a", node), await world.join("p", node)
    await a.say("subscribe", symbols=["AAPL", "", "US.", 7], id=1)
    await a.say("subscribe", symbol="AAPL", channel="candles")
    await a.say("subscribe", symbol="AAPL", channel="weather")
    await p.say("publish", channel="orderbook", symbol="AAPL", data=book(1), id="p1")
    await p.say("publish", channel="orderbook", symbol="AAPL", data={"bids": 1}, id="p2")
    await p.vanish()
    await world.wait(1)
    await world.wait(6)
    await node.publish("AAPL", book(2))
    await world.wait(6)
