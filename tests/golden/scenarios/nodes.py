"""Several nodes that share a Redis."""

from __future__ import annotations

from tests.golden.scenarios.base import book, candle, quote, redis_scenario, trade
from tests.golden.world import World


@redis_scenario
async def what_redis_knows(world: World) -> None:
    """Topics that nobody here sees are read first: states, history, positions, removed ones."""
    one, two = await world.node("one", history_size=4), await world.node("two", history_size=4)
    for number in range(1, 8):
        await one.publish("AAPL", trade(number), "trades")
    for number in (1, 2):
        await one.publish("AAPL", book(number))
        await one.publish("AAPL", quote(number), "quote")
        await one.publish("AAPL", candle(number, 1, final=True), "candles", "1m")
    a = await world.join("a", two)
    await a.send_together(
        {"action": "subscribe", "symbol": "AAPL", "mode": "delta"},
        {"action": "subscribe", "symbols": ["AAPL", "TSLA"], "channel": "quote"},
        {"action": "ping", "id": 1},
        {"action": "subscribe", "symbol": "AAPL", "channel": "trades", "history": 2},
        {"action": "subscribe", "symbol": "AAPL", "channel": "candles", "period": "1m"},
        {"action": "list", "id": 2},
    )
    b = await world.join("b", two)
    await b.say("subscribe", symbol="AAPL", channel="trades", since={**a.place("trades"), "seq": 5})
    c = await world.join("c", one)
    await c.say("subscribe", symbol="AAPL", channel="trades", since={**a.place("trades"), "seq": 1})
    await one.publish("AAPL", book(3))
    await two.publish("AAPL", trade(8), "trades")
    p = await world.join("p", two)
    await p.send_together(
        {"action": "publish", "id": 1, "channel": "orderbook", "symbol": "AAPL", "data": book(4)},
        {"action": "subscribe", "symbol": "AAPL"},
        {"action": "publish", "id": 2, "channel": "orderbook", "symbol": "AAPL", "data": book(5)},
        {"action": "ping", "id": 3},
    )
    await p.vanish()
    await world.wait(1)
    await one.http("DELETE", "/topics/orderbook/AAPL")
    await world.wait(1)
    await one.publish("AAPL", book(6))


@redis_scenario
async def sessions_go_on_at_another_node(world: World) -> None:
    """v1 and base clients come back at another node, lost or still connected at the first."""
    one, two = await world.node("one"), await world.node("two")
    a, b = await world.join("a", one), await world.join("b", one, v1=False)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await b.say("subscribe", symbol="AAPL")
    await b.say("subscribe", symbol="US.TSLA")
    for number in (1, 2):
        await one.publish("AAPL", book(number))
        await two.publish("AAPL", trade(number), "trades")
    await world.wait(4)
    await a.vanish()
    await b.vanish()
    await world.wait(1)
    await two.publish("AAPL", book(3))
    await two.publish("AAPL", trade(3), "trades")
    a2 = await world.join("a2", two)
    await a2.say("resume", session=a.session, positions=[a.position(), a.position("trades")])
    b2 = await world.join("b2", two, client_id="b", v1=False)
    await one.publish("AAPL", book(4))
    await one.publish("AAPL", trade(4), "trades")
    await world.wait(4)
    # Both are still connected.
    a3 = await world.join("a3", one)
    await a3.say("resume", session=a2.session, positions=[a2.position()])
    b3 = await world.join("b3", one, client_id="b", v1=False)
    await world.wait(2)
    await two.publish("AAPL", book(5))
    # One that doesn't answer.
    b2.answers = False
    b4 = await world.join("b4", one, client_id="b", v1=False)
    await world.wait(3)
    await two.publish("AAPL", book(6))
    await two.publish("TSLA", book(1))
    await b3.say("ping")
    await b4.say("ping")
    await a3.say("resume", session="nobody")


@redis_scenario
async def nodes_end(world: World) -> None:
    """Nodes are drained: their clients are told, and go on at another."""
    one, two = await world.node("one", drain_seconds=2), await world.node("two", drain_seconds=2)
    three = await world.node("three")
    a, b = await world.join("a", one), await world.join("b", two, v1=False)
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await b.say("subscribe", symbol="AAPL")
    await one.publish("AAPL", book(1))
    await one.publish("AAPL", trade(1), "trades")
    for name, node in (("one", one), ("two", two)):
        world.say(f"node {name} is drained")
        world.begin(node.server.drain(), "drain")
    await world.wait(3)
    await three.publish("AAPL", book(2))
    await three.publish("AAPL", trade(2), "trades")
    a2 = await world.join("a2", three)
    await a2.say("resume", session=a.session, positions=[a.position("trades")])
    await world.join("b2", three, client_id="b", v1=False)
    await three.publish("AAPL", book(3))
    await three.publish("AAPL", trade(3), "trades")


@redis_scenario
async def ahead_of_the_node(world: World) -> None:
    """Who has more than the node knows is shown nothing older, until that comes or 5 s are over."""
    node = await world.node()
    for number in (1, 2, 3):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    a = await world.join("a", node)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades")
    later = [{**a.place(channel), "seq": 5} for channel in ("orderbook", "trades")]
    b, c = await world.join("b", node), await world.join("c", node)
    for one in (b, c):
        await one.say("subscribe", symbol="AAPL", mode="delta", since=later[0])
        await one.say("subscribe", symbol="AAPL", channel="trades", since=later[1])
    await node.publish("AAPL", book(4))
    await node.publish("AAPL", trade(4), "trades")
    await b.say("resync", symbol="AAPL")
    await c.hold()
    await world.wait(2)
    for number in (5, 6):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    await c.release()
    d, e = await world.join("d", node), await world.join("e", node)
    for one in (d, e):
        await one.say("subscribe", symbol="AAPL", since={**later[0], "seq": 100})
        await one.say("subscribe", symbol="AAPL", channel="trades", since={**later[1], "seq": 100})
    await node.publish("AAPL", book(7))
    await node.publish("AAPL", trade(7), "trades")
    await e.hold()
    await world.wait(6)
    await e.release()
    await node.publish("AAPL", book(8))
    await node.publish("AAPL", trade(8), "trades")
