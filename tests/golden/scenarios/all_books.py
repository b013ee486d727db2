"""SESSION_QUEUE=all: base clients miss no book."""

from __future__ import annotations

from typing import Any

from tests.golden.scenarios.base import book, redis_scenario, scenario
from tests.golden.world import World


@scenario
async def all_books(world: World) -> None:
    """Held and lost base clients get every book; v1 clients of the same node get the newest."""
    node = await world.node(session_queue="all", session_queue_size=5)
    a, b = [await world.join(name, node, v1=False) for name in "ab"]
    v = await world.join("v", node)
    for one in (a, b):
        await one.say("subscribe", symbol="AAPL")
        await one.say("subscribe", symbol="US.TSLA")
    await v.say("subscribe", symbol="AAPL", mode="delta")
    await node.publish("AAPL", book(1))
    await node.publish("TSLA", book(1))
    await a.hold()
    await v.hold()
    for number in range(2, 6):
        await node.publish("AAPL", book(number))
    await a.release()
    await v.release()
    await node.publish_together(*(("AAPL", book(number)) for number in range(6, 30)))
    await world.wait(3)
    # Lost: within the queue, and past it.
    await a.vanish()
    for number in range(30, 33):
        await node.publish("AAPL", book(number))
    a2 = await world.join("a2", node, client_id="a", v1=False)
    await node.publish("AAPL", book(33))
    await world.wait(3)
    await a2.vanish()
    await v.vanish()
    for number in range(34, 42):
        await node.publish("AAPL", book(number))
    await node.publish("TSLA", book(2))
    await world.join("a3", node, client_id="a", v1=False, query="symbols=AAPL")
    v2 = await world.join("v2", node)
    await v2.say("resume", session=v.session, positions=[v.position()])
    await node.publish("AAPL", book(42))
    # The same book again is a book.
    await node.publish("AAPL", book(42))
    c = await world.join("c", node, client_id="c", v1=False, query="symbols=AAPL")
    await c.vanish()
    await node.publish("AAPL", book(43))
    await world.join("c2", node, client_id="c", v1=False)
    await world.wait(3)


@scenario
async def all_books_within_the_last_moment(world: World) -> None:
    """Books sent in the moment before a loss are sent again, none before what was shown first."""
    node = await world.node(session_queue="all")
    for number in (1, 2, 3):
        await node.publish("AAPL", book(number))
    a = await world.join("a", node, v1=False, query="symbols=AAPL")
    await world.wait(3)
    await node.publish("AAPL", book(4))
    await world.wait(0.5)
    await node.publish("AAPL", book(5))
    await a.vanish()
    await node.publish("AAPL", book(6))
    a2 = await world.join("a2", node, client_id="a", v1=False)
    await a2.say("subscribe", symbol="AAPL")
    a2.answers = False
    await node.publish("AAPL", book(7))
    await world.join("a3", node, client_id="a", v1=False, query="symbols=AAPL")
    await node.publish("AAPL", book(8))
    await world.wait(2)
    await node.publish("AAPL", book(9))


@redis_scenario
async def all_books_of_two_nodes(world: World) -> None:
    """A base client comes back at another node, and gets every book there."""
    settings: dict[str, Any] = {"session_queue": "all", "session_queue_size": 5}
    one = await world.node("one", **settings)
    two = await world.node("two", **settings)
    for number in (1, 2):
        await one.publish("AAPL", book(number))
    a = await world.join("a", one, v1=False, query="symbols=AAPL")
    for number in (3, 4):
        await two.publish("AAPL", book(number))
    await world.wait(4)
    await a.vanish()
    for number in (5, 6):
        await two.publish("AAPL", book(number))
    await world.wait(1)
    a2 = await world.join("a2", two, client_id="a", v1=False)
    await one.publish("AAPL", book(7))
    await world.wait(4)
    await a2.vanish()
    for number in range(8, 16):
        await two.publish("AAPL", book(number))
    await world.wait(1)
    await world.join("a3", one, client_id="a", v1=False)
    await one.publish("AAPL", book(16))
