"""Clients who were lost and come back: by token, by client id, with two tabs."""

from __future__ import annotations

from tests.golden.client import Client
from tests.golden.scenarios.base import book, candle, scenario, trade
from tests.golden.world import Node, World


async def _publish(node: Node, *numbers: int) -> None:
    for number in numbers:
        await node.publish("AAPL", book(number))
        await node.publish("AAPL", trade(number), "trades")


async def _subscribe(client: Client, mode: str = "delta") -> None:
    await client.say("subscribe", symbol="AAPL", mode=mode)
    await client.say("subscribe", symbol="AAPL", channel="trades")
    await client.say("subscribe", symbol="AAPL", channel="candles", period="1m")


def _places(client: Client) -> list[dict[str, object]]:
    return [client.position(), client.position("trades")]


@scenario
async def resume_after_updates(world: World) -> None:
    """A v1 client resumes by its token with positions, after updates were published."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node)
    await _subscribe(a)
    await _subscribe(b)
    await _publish(node, 1, 2)
    await node.publish("AAPL", candle(0, 1), "candles", "1m")
    await world.wait(3)
    await a.vanish()
    await _publish(node, 3, 4)
    await node.publish("AAPL", candle(0, 2, final=True), "candles", "1m")
    await node.publish("AAPL", candle(1, 1), "candles", "1m")
    a2 = await world.join("a2", node, client_id="a")
    places = [*_places(a), a.position("candles", period="1m")]
    await a2.say("resume", session=a.session, positions=places, id="r")
    await _publish(node, 5)
    await node.publish("AAPL", candle(1, 2), "candles", "1m")
    # The token that it came with is good once more; then it isn't.
    a3 = await world.join("a3", node, client_id="a")
    await a3.say("resume", session=a.session, positions=_places(a2))
    await a3.say("resume", session=a.session, positions=_places(a2), id="again")
    a4 = await world.join("a4", node)
    await a4.say("resume", session=a2.session, positions=_places(a2), id="old")
    await _publish(node, 6)


@scenario
async def resume_after_nothing(world: World) -> None:
    """A v1 client resumes while nothing was published: with positions, without, with late ones."""
    node = await world.node()
    a, b, c, d = [await world.join(name, node) for name in "abcd"]
    for one in (a, b, c, d):
        await _subscribe(one, mode="full" if one is d else "delta")
    await _publish(node, 1, 2)
    early = _places(c)
    await _publish(node, 3)
    await world.wait(3)
    for one in (a, b, c, d):
        await one.vanish()
    a2 = await world.join("a2", node)
    await a2.say("resume", session=a.session, positions=_places(a))
    b2 = await world.join("b2", node)
    await b2.say("resume", session=b.session)
    c2 = await world.join("c2", node)
    await c2.say("resume", session=c.session, positions=early)
    d2 = await world.join("d2", node)
    await d2.say("resume", session=d.session, positions=_places(d))
    await _publish(node, 4)


@scenario
async def resume_past_history(world: World) -> None:
    """More trades and candles than HISTORY_SIZE were published before a client resumes."""
    node = await world.node(history_size=3)
    a, b = await world.join("a", node), await world.join("b", node)
    await _subscribe(a)
    await _subscribe(b)
    await _publish(node, 1, 2)
    await node.publish("AAPL", candle(0, 1, final=True), "candles", "1m")
    await world.wait(3)
    await a.vanish()
    await b.vanish()
    await _publish(node, 3, 4, 5, 6, 7)
    for minute in range(1, 6):
        await node.publish("AAPL", candle(minute, 1, final=True), "candles", "1m")
    a2 = await world.join("a2", node)
    places = [*_places(a), a.position("candles", period="1m")]
    await a2.say("resume", session=a.session, positions=places)
    b2 = await world.join("b2", node)
    await b2.say("resume", session=b.session)
    await _publish(node, 8)


@scenario
async def resume_oddly(world: World) -> None:
    """Resuming with another epoch, unknown topics, bad positions, wrong tokens, a live session."""
    node = await world.node(session_ttl=10)
    a, b = await world.join("a", node), await world.join("b", node)
    await _subscribe(a)
    await a.say("subscribe", symbol="TSLA")
    await _publish(node, 1, 2)
    await b.say("resume", session="nobody", id=1)
    await b.say("resume", id=2)
    await b.say("subscribe", symbol="AAPL", depth=1)
    await world.wait(2)
    # Its connection is still there: that one is closed.
    strange = [
        {**a.position(), "epoch": "m-other"},
        {**a.position("trades"), "seq": 100},
        {"channel": "quote", "symbol": "AAPL", "epoch": "m-other", "seq": 1},
        {"channel": "orderbook", "symbol": "TSLA", "epoch": "m-other", "seq": 1},
        {"channel": "orderbook"},
    ]
    await b.say("resume", session=a.session, positions=strange, id=3)
    await _publish(node, 3)
    await node.publish("TSLA", book(1))
    await b.close(4000)
    await world.wait(11)
    c = await world.join("c", node)
    await c.say("resume", session=b.session, id=4)
    # A goodbye leaves nothing.
    await _subscribe(c)
    await c.close(1001)
    d = await world.join("d", node)
    await d.say("resume", session=c.session, id=5)


@scenario
async def base_client_comes_back(world: World) -> None:
    """Base clients come back under their ids, after updates and after none."""
    node = await world.node()
    a, b, c = [await world.join(name, node, v1=False) for name in "abc"]
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL")
        await one.say("subscribe", symbol="US.TSLA")
    await c.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1))
    await node.publish("TSLA", book(1))
    await world.wait(3)
    await a.vanish()
    await b.close(4000)
    await c.close(1000)
    a2 = await world.join("a2", node, client_id="a", v1=False)
    await a2.vanish()
    await node.publish("AAPL", book(2))
    await node.publish("AAPL", book(3))
    a3 = await world.join("a3", node, client_id="a", v1=False, query="symbols=AAPL,MSFT")
    b2 = await world.join("b2", node, client_id="b", v1=False)
    await b2.say("unsubscribe", symbol="TSLA")
    await world.join("c2", node, client_id="c", v1=False)
    await node.publish("AAPL", book(4))
    await node.publish("TSLA", book(2))
    # What was sent just before the loss may not have reached the client.
    await a3.vanish()
    a4 = await world.join("a4", node, client_id="a", v1=False)
    await world.wait(3)
    await a4.vanish()
    await world.wait(61)
    await world.join("a5", node, client_id="a", v1=False)
    await node.publish("AAPL", book(5))


@scenario
async def lost_client(world: World) -> None:
    """Clients who answer no ping are closed with 4009, and come back."""
    node = await world.node()
    a, b = await world.join("a", node), await world.join("b", node, v1=False)
    await _subscribe(a)
    await b.say("subscribe", symbol="AAPL")
    await _publish(node, 1)
    a.answers = b.answers = False
    await world.wait(30)
    await _publish(node, 2)
    await world.wait(12)
    await _publish(node, 3)
    a2 = await world.join("a2", node)
    await a2.say("resume", session=a.session, positions=_places(a))
    await world.join("b2", node, client_id="b", v1=False)
    await _publish(node, 4)


@scenario
async def two_tabs_both_alive(world: World) -> None:
    """A second connection comes under the id of one that answers: both live on."""
    node = await world.node()
    a = await world.join("a", node, v1=False)
    await a.say("subscribe", symbol="AAPL")
    await node.publish("AAPL", book(1))
    second = await world.join("second", node, client_id="a", v1=False)
    await second.say("subscribe", symbol="TSLA")
    await node.publish("TSLA", book(1))
    await world.wait(2)
    await node.publish("AAPL", book(2))
    # After a loss the second finds nothing, the first finds its own.
    await second.vanish()
    await world.join("second2", node, client_id="a", v1=False)
    await world.wait(2)
    await a.vanish()
    await node.publish("AAPL", book(3))
    await world.join("a2", node, client_id="a", v1=False)
    await node.publish("TSLA", book(2))


@scenario
async def two_tabs_first_is_dead(world: World) -> None:
    """The first connection doesn't answer: it is closed, and the newcomer gets what it had."""
    node = await world.node()
    a = await world.join("a", node, v1=False)
    for symbol in ("AAPL", "TSLA", "MSFT"):
        await a.say("subscribe", symbol=symbol)
    await node.publish("AAPL", book(1))
    await node.publish("TSLA", book(1))
    await node.publish("MSFT", book(1))
    await world.wait(3)
    a.answers = False
    await node.publish("AAPL", book(2))
    second = await world.join("second", node, client_id="a", v1=False, query="symbols=AAPL")
    third = await world.join("third", node, client_id="a", v1=False)
    await second.say("unsubscribe", symbol="TSLA")
    await node.publish("MSFT", book(2))
    await world.wait(2)
    await node.publish("AAPL", book(3))
    await node.publish("TSLA", book(2))
    await third.say("ping")
    # v1 clients have tokens: their ids may be equal.
    for name in ("v", "w"):
        one = await world.join(name, node, client_id="a")
        await one.say("subscribe", symbol="AAPL", depth=1)
    await world.wait(2)


@scenario
async def what_surely_came(world: World) -> None:
    """What was sent shortly before a client was last heard of may not have come; older has."""
    node = await world.node()
    a, b, c = [await world.join(name, node, v1=False) for name in "abc"]
    v = await world.join("v", node)
    for one in (a, b, c):
        await one.say("subscribe", symbol="AAPL")
    await _subscribe(v)
    await _publish(node, 1)
    await world.wait(3)
    await a.say("ping")
    await _publish(node, 2)
    await world.wait(0.5)
    await b.say("ping")
    await v.say("ping")
    await world.wait(1)
    await c.say("ping")
    for one in (a, b, c, v):
        await one.vanish()
    for name in "abc":
        await world.join(f"{name}2", node, client_id=name, v1=False)
    v2 = await world.join("v2", node)
    await v2.say("resume", session=v.session)
    await _publish(node, 3)


@scenario
async def lost_while_held(world: World) -> None:
    """Clients are lost who couldn't take data, and some that say it with a close frame."""
    node = await world.node(history_size=4)
    a, b, c = [await world.join(name, node) for name in "abc"]
    d = await world.join("d", node, v1=False)
    for one in (a, b, c):
        await _subscribe(one)
    await d.say("subscribe", symbol="AAPL")
    await _publish(node, 1)
    await world.wait(3)
    for one in (a, b, c, d):
        await one.say("ping")
        await one.hold()
    await _publish(node, 2, 3)
    await world.wait(2)
    for one in (a, b, d):
        await one.vanish()
    await _publish(node, 4, 5)
    await c.say("resync", symbol="AAPL")
    await c.release()
    await c.close(4000)
    for one, positions in ((a, _places(a)), (b, None), (c, _places(c))):
        back = await world.join(f"{one.name}2", node)
        more = {} if positions is None else {"positions": positions}
        await back.say("resume", session=one.session, **more)
    await world.join("d2", node, client_id="d", v1=False)
    await _publish(node, 6)


@scenario
async def waiting_sessions_make_room(world: World) -> None:
    """Of one address no more sessions wait than it may have connections: the oldest goes."""
    node = await world.node(max_connections_per_address=3)
    names = ["a", "b", "c", "d"]
    for name in names:
        one = await world.join(name, node, v1=False, query="symbols=AAPL,TSLA")
        await one.vanish()
    await node.publish("AAPL", book(1))
    for name in names[:2]:
        await world.join(f"{name}2", node, client_id=name, v1=False)
    v = await world.join("v", node)
    await v.say("subscribe", symbol="AAPL")
    await world.join("full", node)
    await node.publish("TSLA", book(1))


@scenario
async def found_beside_its_own_wishes(world: World) -> None:
    """A client that comes back has asked for, or declined, some of it before it is given it."""
    node = await world.node()
    a = await world.join("a", node)
    await _subscribe(a)
    await a.say("subscribe", symbol="TSLA", depth=1)
    await a.say("subscribe", symbol="MSFT")
    for symbol in ("TSLA", "MSFT"):
        await node.publish(symbol, book(1))
    await _publish(node, 1, 2)
    await world.wait(2)
    await a.vanish()
    await _publish(node, 3)
    await node.publish("TSLA", book(2))
    a2 = await world.join("a2", node)
    await a2.send_together(
        {"action": "subscribe", "symbol": "AAPL", "depth": 1, "id": 1},
        {"action": "unsubscribe", "symbol": "MSFT", "id": 2},
        {"action": "resume", "session": a.session, "positions": _places(a), "id": 3},
        {"action": "list", "id": 4},
        {"action": "subscribe", "symbol": "AAPL", "channel": "trades", "history": 2, "id": 5},
        {"action": "unsubscribe", "symbol": "TSLA", "id": 6},
    )
    await _publish(node, 4)
    await node.publish("MSFT", book(2))
