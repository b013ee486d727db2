"""Subscribing from a position, without a session: `since`."""

from __future__ import annotations

from tests.golden.scenarios.base import book, candle, quote, scenario, trade
from tests.golden.world import World


@scenario
async def since(world: World) -> None:
    """Positions that are known, the newest, newer than known, of another epoch, before all."""
    node = await world.node(history_size=4)
    a = await world.join("a", node)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await a.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await a.say("subscribe", symbol="AAPL", channel="quote")
    for number in range(1, 7):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
        await node.publish("AAPL", candle(number, 1, final=True), "candles", "1m")
        await node.publish("AAPL", quote(number), "quote")
    await node.publish("AAPL", candle(7, 1), "candles", "1m")
    epoch = a.place()["epoch"]
    places = [
        {"epoch": epoch, "seq": 4},
        {"epoch": epoch, "seq": 6},
        {"epoch": epoch, "seq": 7},
        {"epoch": epoch, "seq": 1},
        {"epoch": epoch, "seq": 0},
        {"epoch": epoch, "seq": 1000},
        {"epoch": "m-other", "seq": 3},
    ]
    for number, place in enumerate(places):
        b = await world.join(f"b{number}", node)
        for channel in ("orderbook", "trades", "quote"):
            await b.say("subscribe", symbol="AAPL", channel=channel, since=place, id=channel)
        await b.say("subscribe", symbol="AAPL", channel="candles", period="1m", since=place)
        await b.say("subscribe", symbol="AAPL", mode="delta", since=place)
        await b.say("unsubscribe", symbol="AAPL")
        await b.say("subscribe", symbol="AAPL", mode="delta", since=place)
    await node.publish("AAPL", book(7))
    await node.publish("AAPL", trade(7), "trades")
    await node.publish("AAPL", candle(7, 2, final=True), "candles", "1m")


@scenario
async def since_where_nothing_is_known(world: World) -> None:
    """Positions of topics that nobody has published here; and positions that can't be."""
    node = await world.node()
    a = await world.join("a", node)
    place = {"epoch": "m-other", "seq": 3}
    await a.say("subscribe", symbol="AAPL", since=place, id=1)
    await a.say("subscribe", symbol="AAPL", channel="trades", since=place, id=2)
    await a.say("subscribe", symbol="AAPL", channel="candles", period="1m", since=place, id=3)
    await a.say("subscribe", symbol="TSLA", since=place, history=3, id=4)
    await a.say("subscribe", symbols=["TSLA", "MSFT"], since=place, id=5)
    await a.say("subscribe", symbol="TSLA", since={"epoch": "e"}, id=6)
    await a.say("subscribe", symbol="TSLA", since={"epoch": "e", "seq": -1}, id=7)
    await node.publish("AAPL", book(1))
    await node.publish("AAPL", trade(1), "trades")
    await node.publish("AAPL", candle(1, 1), "candles", "1m")
    await node.publish("AAPL", book(2))
    await node.publish("AAPL", trade(2), "trades")


@scenario
async def since_of_a_removed_topic(world: World) -> None:
    """A topic was removed after the position: what is new begins another epoch."""
    node = await world.node()
    a = await world.join("a", node)
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await node.publish("AAPL", trade(1), "trades")
    await node.publish("AAPL", trade(2), "trades")
    place = a.place("trades")
    await a.close()
    await node.http("DELETE", "/topics/trades/AAPL")
    b = await world.join("b", node)
    await b.say("subscribe", symbol="AAPL", channel="trades", since=place)
    await node.publish("AAPL", trade(3), "trades")
    c = await world.join("c", node)
    await c.say("subscribe", symbol="AAPL", channel="trades", since=place)
    await node.publish("AAPL", trade(4), "trades")
