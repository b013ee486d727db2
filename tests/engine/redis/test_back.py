"""What becomes of a node that Redis was away for, and what it leaves behind."""

from __future__ import annotations

import asyncio

from tests.backplane.links import KEYS
from tests.engine.nodes import QUICKER, TIMEOUT, EngineNode, books, kill_subscriptions, sizes, trade
from tests.engine.nodes import quick_node as node
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import AAPL, PATIENCE, TRADES, eventually


async def test_each_outage_has_an_epoch_of_its_own(server: RedisServer) -> None:
    """What is handed in after each is the newest."""
    async with (
        node(server.url, "one", patience=TIMEOUT) as one,
        # It might be back sooner, and take the feed over.
        node(server.url, "two", patience=TIMEOUT, feeds=False) as other,
    ):
        await one.leads()
        await other.follow(AAPL)
        for number in (1, 2, 3):
            server.pause()
            await one.away()
            [position] = await one.engine.publish(books(AAPL, number), fence=one.fence)
            assert (position.epoch, position.seq) == (f"local-one-{number}", 1)
            server.resume()
            await one.back()
            await eventually(lambda number=number: sizes(other.delivered)[-1:] == [number], "it")  # type: ignore[misc] # no type can be inferred for a lambda with a default
        assert sizes(other.delivered) == [1, 2, 3]
        assert one.engine.numbers()["outages"] == 3
        assert len({position.epoch for position in other.positions(AAPL)}) == 3


async def test_a_lock_that_ran_out_meanwhile_is_taken_again_under_its_number(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """Whoever ran the feed has the first word, and what it has under way still counts."""
    one, other = two
    fence, loop = one.fence, asyncio.get_running_loop()
    server.pause()
    paused = loop.time()
    await eventually(lambda: loop.time() > paused + QUICKER.election.lock + 0.1, "its end")
    server.resume()
    await one.back()
    await other.back()
    await eventually(lambda: server.cli("GET", KEYS.lock) == f"{fence} one", "the lock")
    [position] = await one.engine.publish(books(AAPL, 1), fence=fence)
    assert position.seq == 1
    assert (one.elected, one.fences, one.lost, other.fences) == (fence, [fence], 0, [])


async def test_a_node_that_was_cut_off_shows_what_the_others_have(server: RedisServer) -> None:
    """Another ran the feed meanwhile, and may have said nothing since."""
    async with FaultyProxy(server.port) as proxy:
        url = f"redis://{HOST}:{proxy.port}/0"
        async with (
            node(url, "cut", patience=TIMEOUT) as cut,
            node(server.url, "two", patience=TIMEOUT) as other,
        ):
            await cut.leads()
            await cut.follow(AAPL, TRADES)
            await cut.engine.publish([*books(AAPL, 1), *trade(TRADES, 1)], fence=cut.fence)
            await eventually(lambda: len(cut.delivered) == 2, "both")
            proxy.stall()
            await cut.away()
            await other.leads()
            await cut.engine.publish([*books(AAPL, 7), *trade(TRADES, 7)], fence=cut.fence)
            assert sizes(cut.delivered[2:]) == [7, 7]
            proxy.flow()
            await cut.back()
            await eventually(lambda: cut.lost == 1, "the feed to be ended")
            await cut.hears()
            known = await other.engine.snapshot(AAPL)
            assert known is not None
            assert sizes([known]) == [1]
            await eventually(
                lambda: (
                    [u.position for u in cut.delivered if u.topic == AAPL][-1] == known.position
                ),
                "the state that all others see",
            )
            [position] = await other.engine.publish(trade(TRADES, 8), fence=other.fence)
            await cut.has(TRADES, position)
            assert cut.delivered[-1].engine_restored


async def test_notices_are_posted_anew_when_redis_has_lost_them(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """Though none has changed."""
    one, other = two
    notices = {"feeds": b"well", "topic": b"live"}
    await one.cluster.feed_status.post(lambda: notices, one.fence)
    board = other.cluster.feed_status
    await eventually(lambda: board.notices == notices, "the notices")
    server.kill()
    await one.away()
    await other.away()
    server.start()
    for each in two:
        await each.back()
        await each.hears()
    await one.cluster.feed_status.post(lambda: notices, one.fence)
    async with node(server.url, "new", patience=TIMEOUT) as new:
        newest = new.cluster.feed_status
        await eventually(lambda: newest.notices == notices, "the notices at a new node")
        await eventually(lambda: board.notices == notices, "the notices at an old node")


async def test_an_end_while_redis_is_away_takes_no_time(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """Nobody can be told, so nobody is waited for."""
    server.pause()
    loop = asyncio.get_running_loop()
    for each in two:
        await each.follow(AAPL, TRADES)
        await each.away()
        began = loop.time()
        await each.stop()
        each.dead = True
        assert loop.time() - began < PATIENCE / 3


async def test_nothing_is_lost_while_connections_are_cut_again_and_again(
    server: RedisServer, two: list[EngineNode]
) -> None:
    """Without Redis being away: what was under way is asked once more."""
    one, other = two
    await other.follow(TRADES)
    for number in range(200):
        if number % 20 == 10:
            server.cli("CLIENT", "KILL", "TYPE", "normal")
            kill_subscriptions(server)
        [last] = await one.engine.publish(trade(TRADES, number), fence=one.fence)
    await other.has(TRADES, last)
    assert sizes(other.delivered) == list(range(200))
    assert not one.engine.is_away


async def test_what_comes_while_redis_comes_and_goes_is_shown_by_the_feeds_node(
    server: RedisServer,
) -> None:
    """All of it, though under several epochs, but for what Redis had still to tell: a gap."""
    async with node(server.url, "one", patience=TIMEOUT) as one:
        await one.leads()
        await one.follow(TRADES)
        [position] = await one.engine.publish(trade(TRADES, 0), fence=one.fence)
        for number in range(1, 60):
            if number % 20 == 5:
                await one.has(TRADES, position)
                server.pause()
            if number % 20 == 15:
                server.resume()
            [position] = await one.engine.publish(trade(TRADES, number), fence=one.fence)
        server.resume()
        await one.back()
        [position] = await one.engine.publish(trade(TRADES, 60), fence=one.fence)
        await one.has(TRADES, position)
        assert set(sizes(one.delivered)) == set(range(61))
