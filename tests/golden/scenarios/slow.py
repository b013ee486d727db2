"""Clients who can't take data as fast as it comes, and much between two flushes."""

from __future__ import annotations

from typing import Any

from tests.golden.scenarios.base import book, candle, quote, scenario, trade
from tests.golden.world import World


@scenario
async def slow_client_of_states(world: World) -> None:
    """Held clients get the newest of each state when they can take data again, by one delta."""
    node = await world.node()
    a, b, c = [await world.join(name, node) for name in "abc"]
    d = await world.join("d", node, v1=False)
    for one in (a, b, c):
        await one.say("subscribe", symbol="AAPL", mode="delta")
    await a.say("subscribe", symbol="AAPL", channel="quote")
    await d.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1))
    for one in (a, b, d):
        await one.hold()
    for number in (2, 3, 4):
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", quote(number), "quote")
    await a.say("why", symbol="AAPL")
    await a.say("ping")
    await d.say("ping")
    for one in (a, b, d):
        await one.release()
    await node.publish("AAPL", book(5))
    await a.say("why", symbol="AAPL")
    # Nothing has moved meanwhile; then it has, and is as it was.
    await a.hold()
    await a.release()
    await a.hold()
    await node.publish("AAPL", book(6))
    await node.publish("AAPL", book(5))
    await a.release()
    await node.publish("AAPL", book(7))


@scenario
async def slow_client_of_trades(world: World) -> None:
    """A held client gets every trade, and a gap for what is past HISTORY_SIZE."""
    node = await world.node(history_size=5)
    a, b, c = [await world.join(name, node) for name in "abc"]
    for one in (a, b, c):
        await one.say("subscribe", symbol="AAPL", channel="trades")
    await node.publish("AAPL", trade(1), "trades")
    await a.hold()
    for number in (2, 3, 4):
        await node.publish("AAPL", trade(number), "trades")
    await b.hold()
    for number in range(5, 9):
        await node.publish("AAPL", trade(number), "trades")
    await a.say("why", symbol="AAPL", channel="trades")
    await a.release()
    await b.release()
    await a.say("why", symbol="AAPL", channel="trades")
    await node.publish("AAPL", trade(9), "trades")


@scenario
async def slow_client_past_max_outbox_bytes(world: World) -> None:
    """What waits for a held client is more than MAX_OUTBOX_BYTES: the oldest of it is a gap."""
    node = await world.node(max_outbox_bytes=64 * 1024)
    a, b = await world.join("a", node), await world.join("b", node)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL", channel="trades")
    await a.hold()
    for number in range(1, 6):
        many = {"trades": [one for at in range(160) for one in trade(number * 1000 + at)["trades"]]}
        await node.publish("AAPL", many, "trades")
    await a.release()
    await node.publish("AAPL", trade(1), "trades")


@scenario
async def slow_client_of_candles(world: World) -> None:
    """A held client gets each final candle, and of the forming one the newest state."""
    node = await world.node(history_size=3)
    a, b = await world.join("a", node), await world.join("b", node)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL", channel="candles", period="1m")
    await node.publish("AAPL", candle(0, 1), "candles", "1m")
    await a.hold()
    await node.publish("AAPL", candle(0, 2), "candles", "1m")
    await node.publish("AAPL", candle(0, 3), "candles", "1m")
    await a.release()
    await a.hold()
    await node.publish("AAPL", candle(0, 4, final=True), "candles", "1m")
    await node.publish("AAPL", candle(1, 1), "candles", "1m")
    await node.publish("AAPL", candle(1, 2), "candles", "1m")
    await a.release()
    await a.hold()
    for minute in range(1, 6):
        await node.publish("AAPL", candle(minute, 3, final=True), "candles", "1m")
    await node.publish("AAPL", candle(6, 1), "candles", "1m")
    await a.release()
    await node.publish("AAPL", candle(6, 2), "candles", "1m")
    corrected = {**candle(5, 9, final=True), "revised": True}
    await node.publish("AAPL", corrected, "candles", "1m")
    await a.say("why", symbol="AAPL", channel="candles", period="1m")


@scenario
async def too_slow(world: World) -> None:
    """A client that takes nothing for SLOW_TIMEOUT is closed with 4008, and comes back."""
    node = await world.node(slow_timeout=3)
    a, b = await world.join("a", node), await world.join("b", node, v1=False)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1))
    await a.hold()
    await b.hold()
    await node.publish("AAPL", book(2))
    await world.wait(4)
    await a.release()
    await b.vanish()
    a2 = await world.join("a2", node, client_id="a")
    await a2.say("resume", session=a.session, positions=[a.position()])
    await world.join("b2", node, client_id="b", v1=False)
    await node.publish("AAPL", book(3))


@scenario
async def trades_past_history_between_flushes(world: World) -> None:
    """More trades than HISTORY_SIZE come at once; nothing of them may be lost to who is there."""
    node = await world.node(history_size=3)
    a, b, c = [await world.join(name, node) for name in "abc"]
    await a.say("subscribe", symbol="AAPL", channel="trades")
    await b.say("subscribe", symbol="AAPL", channel="trades", interval_ms=1000)
    await node.publish("AAPL", trade(1), "trades")
    await c.say("subscribe", symbol="AAPL", channel="trades")
    await c.hold()
    await node.publish_together(*(("AAPL", trade(number), "trades") for number in range(2, 10)))
    await c.release()
    updates: list[dict[str, Any]] = [
        {"channel": "trades", "symbol": "AAPL", "data": trade(number)} for number in range(10, 17)
    ]
    await node.http("POST", "/broadcast", {"updates": updates})
    await world.wait(2)
    d = await world.join("d", node)
    await d.send_together(
        *({"action": "publish", "id": number, **one} for number, one in enumerate(updates))
    )
    await world.wait(2)


@scenario
async def many_states_between_flushes(world: World) -> None:
    """More than 16 books come between two flushes: the newest takes the last place."""
    node = await world.node()
    a, b, c = [await world.join(name, node) for name in "abc"]
    d = await world.join("d", node, v1=False)
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await b.say("subscribe", symbol="AAPL", depth=1)
    await c.say("subscribe", symbol="AAPL", interval_ms=500)
    await d.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1))
    await node.publish_together(*(("AAPL", book(number)) for number in range(2, 22)))
    await world.wait(1)
    for one in (a, b, c):
        await one.say("why", symbol="AAPL")
    await node.publish("AAPL", book(22))
    await node.publish_together(*(("AAPL", quote(number), "quote") for number in range(1, 20)))
    await a.say("subscribe", symbol="AAPL", channel="quote")
    await node.publish_together(*(("AAPL", quote(number), "quote") for number in range(20, 40)))


@scenario
async def several_topics_in_one_flush(world: World) -> None:
    """A batch dirties several topics: what clients see alike is joined, the rest is appended."""
    node = await world.node()
    a, b, c = [await world.join(name, node) for name in "abc"]
    d = await world.join("d", node, v1=False)
    for one in (a, b):
        await one.say("subscribe", symbols=["AAPL", "TSLA", "MSFT"])
    await c.say("subscribe", symbols=["MSFT", "AAPL"], mode="delta")
    await c.say("subscribe", symbol="AAPL", channel="quote")
    await d.say("subscribe", symbol="TSLA")
    await d.say("subscribe", symbol="MSFT")
    for number in (1, 2):
        updates = [
            {"channel": "orderbook", "symbol": symbol, "data": book(number)}
            for symbol in ("MSFT", "TSLA", "AAPL", "MSFT")
        ]
        updates.append({"channel": "quote", "symbol": "AAPL", "data": quote(number)})
        updates.append({"channel": "quote", "symbol": "AAPL", "data": {"last": "high"}})
        await node.http("POST", "/broadcast", {"updates": updates})
    p = await world.join("p", node)
    await p.send_together(
        *(
            {
                "action": "publish",
                "id": n,
                "channel": "orderbook",
                "symbol": symbol,
                "data": book(n),
            }
            for n in (3, 4)
            for symbol in ("AAPL", "TSLA")
        ),
        {"action": "ping", "id": "last"},
    )
    await p.say("subscribe", symbol="AAPL", mode="delta")
    await p.say("publish", channel="orderbook", symbol="AAPL", data=book(5), id="own")


@scenario
async def compressed(world: World) -> None:
    """Long messages are compressed for who offered it, and not for others of the same view."""
    node = await world.node(deflate_min_bytes=200)
    a, b = await world.join("a", node, deflate=True), await world.join("b", node)
    c = await world.join("c", node, deflate=True, v1=False)
    for one in (a, b, c):
        await one.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1, 10))
    await a.say("subscribe", symbol="AAPL", mode="delta")
    await node.publish("AAPL", book(1, 11))
    await node.publish("AAPL", book(2, 11))
