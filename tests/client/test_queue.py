import asyncio
from typing import Any

import pytest

from bookcast.client.errors import Stopped
from bookcast.client.gaps import Gap
from bookcast.client.queue import Item, Queue
from bookcast.client.subscription import Trades
from bookcast.model.market_data import Trade
from tests.support import PATIENCE


def item(number: int, weight: int = 1, gap: Gap | None = None) -> Item:
    """Make an item of a trade."""
    trades = Trades((Trade(number, 1, "buy", 0),))
    return Item(trades, weight, "e", number, number, gap)


async def numbers(queue: Queue[Any], count: int) -> list[Any]:
    """Take items, and return their trades' prices."""
    return [(await queue.next()).trades[0].price for _ in range(count)]


async def test_items_come_in_their_order() -> None:
    """Whoever waits gets the next one."""
    queue: Queue[Any] = Queue(10)
    waiting = asyncio.ensure_future(numbers(queue, 3))
    await asyncio.sleep(0)
    for number in (1, 2, 3):
        queue.push(item(number))
    assert await waiting == [1, 2, 3]


async def test_a_wait_that_is_cancelled_loses_nothing() -> None:
    """Also when it is cancelled after something came."""
    queue: Queue[Any] = Queue(10)
    waiting = asyncio.ensure_future(queue.next())
    await asyncio.sleep(0)
    queue.push(item(1))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await numbers(queue, 1) == [1]


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    """However often a program gives up; who waits on still gets the next one."""
    queue: Queue[Any] = Queue(10)
    patient = asyncio.ensure_future(queue.next())
    for _ in range(100):
        waiting = asyncio.ensure_future(queue.next())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert len(queue._waiting) == 1
    queue.push(item(1))
    assert (await patient).trades[0].price == 1


async def test_what_weighs_nothing_is_replaced() -> None:
    """With the gap that was before it."""
    queue: Queue[Any] = Queue(10)
    queue.push(item(1, 0, Gap("e", 0, 0, "overflow")))
    queue.push(item(2, 0))
    queue.push(item(3))
    taken = await queue.next()
    assert taken.trades[0].price == 3
    assert taken.gap == Gap("e", 0, 0, "overflow")
    assert len(queue) == 0


async def test_past_its_bound_the_oldest_go_and_the_next_says_so() -> None:
    """All that went is one gap."""
    queue: Queue[Any] = Queue(2)
    for number in (1, 2, 3, 4, 5):
        queue.push(item(number))
    oldest = await queue.next()
    assert (oldest.trades[0].price, oldest.gap) == (4, Gap("e", 1, 3, "consumer"))
    assert (await queue.next()).gap is None
    queue.push(item(6, 5))
    assert await numbers(queue, 1) == [6]


async def test_it_ends_after_what_waits_or_at_once() -> None:
    """Everybody who waits is told."""
    error = Stopped("closed", "closed", final=True)
    queue: Queue[Any] = Queue(10)
    waiting = [asyncio.ensure_future(queue.next()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.end(error)
    for one in waiting:
        with pytest.raises(Stopped):
            await asyncio.wait_for(one, PATIENCE)
    queue.resume()
    queue.push(item(1))
    queue.end(error)
    assert await numbers(queue, 1) == [1]
    queue.push(item(2))
    queue.end(error, at_once=True)
    with pytest.raises(Stopped):
        await queue.next()
