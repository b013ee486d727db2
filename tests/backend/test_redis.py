"""What a node of several stands on, and the order in which it and Redis agree again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bookcast.backend.redis import RedisTimes
from bookcast.backplane.breaker import BreakerTimes
from bookcast.backplane.pulse import PulseTimes
from tests.backplane.links import KEYS
from tests.engine.nodes import QUICKER, TIMEOUT, EngineNode, backend, books, node
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, PATIENCE, eventually


def watched(running: EngineNode, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note in which order things are done when Redis is back."""
    made, noted = running.backend, []

    def watch(owner: Any, name: str, called: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def noting(*arguments: Any, **keywords: Any) -> Any:
            noted.append(called)
            return function(*arguments, **keywords)

        monkeypatch.setattr(owner, name, noting)

    watch(made.engine, "end_outage", "the outage ends")
    watch(made._plane.breaker, "succeed", "calls go through")
    watch(made.engine, "republish", "states are handed in")
    watch(made._demand, "tell_anew", "demand")
    watch(made._feed_status, "begin", "feed status")
    watch(running, "_return", "sessions")
    watch(made.engine._log_sync, "read_all", "logs are read")
    watch(made.engine, "audit", "an audit")
    made.attach(away=lambda: noted.append("away"), returned=running._return)
    return noted


async def test_what_happens_when_redis_is_back_has_an_order(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each needs what was before it."""
    async with node(server.url, "one", patience=TIMEOUT, times=QUICKER) as one:
        await one.leads()
        await one.follow(AAPL)
        noted = watched(one, monkeypatch)
        server.pause()
        await one.away()
        await one.engine.publish(books(AAPL, 1), fence=one.fence)
        server.resume()
        await one.back()
        await eventually(
            lambda: (
                "logs are read" in noted and "an audit" in noted[noted.index("logs are read") :]
            ),
            "the end",
        )
        order = list(dict.fromkeys(noted))
        assert order.index("away") < order.index("the outage ends")
        back = order[order.index("the outage ends") :]
        assert back == [
            "the outage ends",
            "calls go through",
            "states are handed in",
            "demand",
            "feed status",
            "sessions",
            "logs are read",
            "an audit",
        ]


async def test_a_node_that_redis_has_forgotten_does_the_same(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what belongs to an outage."""
    times = RedisTimes(pulse=PulseTimes(pulse=0.05))
    async with node(redis_url, "one", times=times) as one:
        await one.leads()
        noted = watched(one, monkeypatch)
        redis_server.cli("FLUSHALL")
        await eventually(lambda: "logs are read" in noted, "what was forgotten")
        await eventually(lambda: redis_server.cli("EXISTS", KEYS.node("one")) == "1", "the node")
        assert [what for what in dict.fromkeys(noted) if what != "an audit"] == [
            "states are handed in",
            "demand",
            "feed status",
            "sessions",
            "logs are read",
        ]


async def test_without_redis_it_begins_all_the_same(server: RedisServer) -> None:
    """It says so, looks again, and has been reached once Redis answers."""
    server.kill()
    away = asyncio.Event()
    times = RedisTimes(breaker=BreakerTimes(first=0.01, most=0.02, steady=1.0))
    one = backend(server.url, "one", times=times)
    one.attach(away=away.set)
    await one.start()
    await asyncio.wait_for(away.wait(), PATIENCE)
    assert not one.is_reached
    assert one.engine.status().state == "away"
    server.start()
    await eventually(lambda: one.is_reached, "Redis")
    await eventually(lambda: one.engine.status().state == "connected", "a subscription")
    await one.stop()


async def test_an_end_takes_what_this_node_wants_with_it(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Nobody has to wait until it counts as dead."""
    async with node(redis_url, "one") as one:
        await one.follow(AAPL)
        await eventually(lambda: redis_server.cli("EXISTS", KEYS.demand("one")) == "1", "the wish")
    assert redis_server.cli("EXISTS", KEYS.demand("one"), KEYS.node("one"), KEYS.lock) == "0"
