"""Subscribing, views, resync, unsubscribing."""

from __future__ import annotations

from tests.golden.scenarios.base import (
    book,
    brokers,
    candle,
    quote,
    scenario,
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
