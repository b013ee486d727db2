"""Views with an interval."""

from __future__ import annotations

from tests.golden.scenarios.base import book, scenario, trade
from tests.golden.world import World


@scenario
async def interval_views(world: World) -> None:
    """Updates within an interval are conflated; a quiet symbol is sent at once; others join."""
    node = await world.node(history_size=4)
    a, b, c, d = [await world.join(name, node) for name in "abcd"]
    await a.say("subscribe", symbol="AAPL", interval_ms=1000, mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="trades", interval_ms=1000)
    await b.say("subscribe", symbol="AAPL", mode="delta")
    for number in range(1, 4):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
        await world.wait(0.1)
    await c.say("subscribe", symbol="AAPL", interval_ms=1000, mode="delta")
    await c.say("subscribe", symbol="AAPL", channel="trades", interval_ms=1000)
    await d.say("subscribe", symbol="AAPL", interval_ms=250)
    await a.say("resync", symbol="AAPL")
    await world.wait(1)
    await world.wait(3)
    for number in range(4, 10):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    await a.say("why", symbol="AAPL")
    await world.wait(2)
    await a.say("why", symbol="AAPL", channel="trades")
    await node.publish("AAPL", book(10))
    await node.publish("AAPL", book(11))
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await c.hold()
    await node.publish("AAPL", book(12))
    await world.wait(2)
    await c.release()
    await world.wait(2)


@scenario
async def interval_of_many_symbols(world: World) -> None:
    """Busy symbols with one interval come together at common moments."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node)
    symbols = ["AAPL", "MSFT", "TSLA"]
    await a.say("subscribe", symbols=symbols, interval_ms=400)
    await b.say("subscribe", symbols=symbols[:2], interval_ms=1000)
    for number in range(1, 16):
        for symbol in symbols:
            await node.publish(symbol, book(number))
            await world.wait(0.03)
    await world.wait(2)


@scenario
async def resume_into_an_interval(world: World) -> None:
    """Clients come back to an interval view in which others wait, and to one of nobody."""
    node = await world.node(history_size=4)
    a, b = await world.join("a", node), await world.join("b", node)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL", interval_ms=2000, mode="delta")
        await one.say("subscribe", symbol="AAPL", channel="trades", interval_ms=2000)
    await node.publish("AAPL", book(1))
    await node.publish("AAPL", trade(1), "trades")
    await world.wait(3)
    await a.vanish()
    for number in (2, 3):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    a2 = await world.join("a2", node)
    places = [a.position(), a.position("trades")]
    await a2.say("resume", session=a.session, positions=places)
    await world.wait(3)
    for number in (4, 5):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    c = await world.join("c", node)
    await c.say(
        "subscribe", symbol="AAPL", channel="trades", interval_ms=2000, since=a.place("trades")
    )
    await world.wait(3)
    for one in (a2, b, c):
        await one.vanish()
    for number in (6, 7):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")
    b2 = await world.join("b2", node)
    await b2.say("resume", session=b.session, positions=[b.position(), b.position("trades")])
    await world.wait(3)


@scenario
async def rhythm_of_an_interval(world: World) -> None:
    """When a view is due again: after it was busy, a little late, quiet for long."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node)
    await a.say("subscribe", symbol="AAPL", interval_ms=1000, mode="delta")
    await b.say("subscribe", symbol="AAPL", interval_ms=300)
    published = {0, 3, 5, 23, 24, 26, 29, 55, 57, 64, 65}
    for tenth in range(80):
        if tenth in published:
            await node.publish("AAPL", book(tenth + 1))
        await world.wait(0.1)
