"""What clients are sent when a part of the data's way is unreachable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bookcast import BookData, Server
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, Client, connect, eventually, nodes

V1: Any = ["bookcast.v1"]
BOOK: BookData = {"bids": [[1, 2]], "asks": [[3, 4]]}
TRADE = {"trades": [{"price": 1, "size": 1, "timestamp": 1_767_225_600_000}]}
TOLD_SECONDS = 6.0


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """Yield a Redis that the test may break."""
    with RedisServer(tmp_path) as server:
        yield server


async def status(client: Client, state: str) -> Any:
    """Return the next status."""
    while True:
        message = await client.hear()
        if message["type"] == "status" and message["state"] == state:
            return message


async def watch(client: Client, channel: str = "orderbook", symbol: str = "AAPL") -> None:
    await client.hear()
    await client.say({"action": "subscribe", "channel": channel, "symbol": symbol})
    while (await client.hear())["type"] != "subscription_confirmed":
        pass


def v1(server: Server, name: str) -> Any:
    return connect(server.ws_url + name, subprotocols=V1)


async def book(server: Server, symbol: str = "AAPL") -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        return await http.get(f"/books/{symbol}")


@pytest.mark.parametrize("channel", ["orderbook", "trades", "quote"])
async def test_who_waits_for_what_others_publish_hears_that_redis_is_away(
    redis: RedisServer, channel: Any
) -> None:
    """Soon, with Redis named, and that it is back; base clients hear nothing of it."""
    async with nodes(redis.url, 2, feed="none") as (one, other):
        data: Any = {"orderbook": BOOK, "trades": TRADE, "quote": {"last": 1}}[channel]
        await other.publish("AAPL", data, channel=channel)
        async with v1(one, "a") as client, connect(one.ws_url + "base?symbols=AAPL") as base:
            await base.hear()
            if channel == "orderbook":
                await base.hear()
            await watch(client, channel)
            died = time.monotonic()
            redis.kill()
            told = await status(client, "feed_down")
            assert time.monotonic() - died < TOLD_SECONDS
            assert f"Redis at 127.0.0.1:{redis.port}" in told["reason"]
            if channel == "orderbook":
                answer = (await book(one)).json()
                assert (answer["state"], answer["reason"]) == ("feed_down", told["reason"])
            redis.start()
            await status(client, "live")
            assert await base.silent()


async def test_what_a_nodes_own_feed_has_stays_live_without_redis(redis: RedisServer) -> None:
    """Its data go on."""
    async with nodes(redis.url, 1, feed="simulator") as (one,), v1(one, "a") as client:
        await eventually(lambda: one.parts.feeder.leads, "the feed")
        await watch(client)
        while (await client.hear())["type"] != "orderbook_update":
            pass  # until then it is pending
        redis.kill()
        await eventually(lambda: one.parts.backend.engine.status().state == "away", "the outage")
        ended = asyncio.get_running_loop().time() + 1.5
        while asyncio.get_running_loop().time() < ended:
            message = await client.hear()
            assert message.get("state", "live") == "live", message


@pytest.mark.parametrize("clean", [True, False], ids=["goodbye", "lost"])
@pytest.mark.parametrize("url", ["memory", "redis"])
async def test_who_waits_for_a_publisher_that_is_gone_hears_of_it(
    redis_url: str, url: str, clean: bool
) -> None:
    """Every node reports it until the next publication; base clients get no message."""
    where = redis_url if url == "redis" else "memory://"
    async with nodes(where, 2 if url == "redis" else 1, feed="none") as servers:
        one, other = servers[0], servers[-1]
        async with (
            v1(one, "here") as here,
            v1(other, "there") as there,
            connect(other.ws_url + "base?symbols=AAPL") as base,
        ):
            await base.hear()
            async with v1(one, "publisher") as publisher:
                await publisher.hear()
                for symbol in ("AAPL", "TSLA"):
                    await publisher.ask(
                        {
                            "action": "publish",
                            "channel": "orderbook",
                            "symbol": symbol,
                            "data": BOOK,
                        }
                    )
                await watch(here)
                await watch(there)
                await watch_more(there, "TSLA")
                await base.hear()
                await one.publish("TSLA", BOOK)
                if not clean:
                    publisher.connection.transport.abort()
            for client in (here, there):
                told = await status(client, "stale")
                assert told["symbol"] == "AAPL"
                assert "publisher" in told["reason"]
            answers = [(await book(server, "AAPL")).json() for server in servers]
            assert {answer["state"] for answer in answers} == {"stale"}
            assert (await book(one, "TSLA")).json()["state"] == "live"
            await other.publish("AAPL", BOOK)
            for client in (here, there):
                assert (await status(client, "live"))["symbol"] == "AAPL"
            assert (await book(one, "AAPL")).json()["state"] == "live"
            assert (await base.hear())["type"] == "orderbook_update"
            assert await base.silent()


async def watch_more(client: Client, symbol: str) -> None:
    await client.say({"action": "subscribe", "symbol": symbol})
    while (await client.hear())["type"] != "subscription_confirmed":
        pass


async def test_a_state_that_nobody_watches_survives_an_emptied_redis(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Where the node lives that published it; what is newer stays."""
    async with nodes(redis_url, 2, feed="none") as (one, other):
        for size in range(1, 6):
            await one.publish(f"S{size}", {"bids": [[1, size]], "asks": []})
        await one.publish("Q", {"last": 7}, channel="quote")
        await one.publish("NEW", {"bids": [[1, 1]], "asks": []})
        redis_server.cli("FLUSHALL")
        await other.publish("NEW", {"bids": [[1, 2]], "asks": []})

        async def sizes() -> list[object]:
            answers = [(await book(other, f"S{size}")).json() for size in range(1, 6)]
            return [one["data"]["bids"][0][1] if "data" in one else None for one in answers]

        async with asyncio.timeout(PATIENCE):
            while await sizes() != [1, 2, 3, 4, 5]:  # noqa: ASYNC110 - it is asked over HTTP
                await asyncio.sleep(0.05)
        assert (await book(one, "NEW")).json()["data"]["bids"] == [[1, 2]]
        heads = [f"{one.topic}" for one in await other.parts.backend.engine.heads()]
        assert "quote:US.Q" in heads


async def test_a_topic_that_was_removed_stays_away(
    redis_url: str, redis_server: RedisServer
) -> None:
    """It stays removed when Redis is emptied, until the next publication."""
    async with (
        nodes(redis_url, 2, feed="none") as (one, other),
        v1(other, "a") as client,
        connect(other.ws_url + "base?symbols=AAPL") as base,
        httpx.AsyncClient(base_url=one.http_url, trust_env=False) as http,
    ):
        await base.hear()
        await one.publish("AAPL", BOOK)
        await base.hear()
        await watch(client)
        assert (await client.hear())["seq"] == 1
        assert (await http.delete("/topics/orderbook/AAPL")).status_code == 204
        assert "published" in (await status(client, "pending"))["reason"]
        again = await http.delete("/topics/orderbook/AAPL")
        assert (again.status_code, again.json()["code"]) == (404, "unknown_symbol")
        for server in (one, other):
            assert (await book(server)).status_code == 404
        redis_server.cli("FLUSHALL")
        await asyncio.sleep(2.5)  # an audit, and the pulse that sees it
        for server in (one, other):
            assert (await book(server)).status_code == 404
        await one.publish("AAPL", BOOK)
        message = await client.hear()
        while message["type"] != "orderbook_update":
            message = await client.hear()
        assert message["seq"] == 1
        assert (await base.hear())["data"] == BOOK


@pytest.mark.parametrize(
    ("path", "status_code", "field"),
    [
        ("/topics/nothing/AAPL", 404, "channel"),
        ("/topics/candles/AAPL", 422, "period"),
        ("/topics/candles/AAPL?period=7m", 422, "period"),
        ("/topics/quote/AAPL?variant=odd", 422, "variant"),
        ("/topics/orderbook/%20", 422, "symbol"),
        ("/topics/orderbook/AAPL", 404, "symbol"),
    ],
)
async def test_a_topic_that_isnt_there_cant_be_removed(
    server: Server, path: str, status_code: int, field: str
) -> None:
    """The answer names what is wrong."""
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        answer = await http.delete(path)
        assert (answer.status_code, answer.json()["path"]) == (status_code, field)
