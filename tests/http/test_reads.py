"""What is known of a topic, read over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from bookcast import Server, serve
from bookcast.http import read_query
from tests.auth.keyring import SECRET, sign
from tests.fakes.opend import Controller
from tests.fakes.redis_server import HOST, free_port
from tests.support import ROOT, connect, eventually

AT_ONCE = 4.5
"""Seconds: less than the 5 that these readers would wait."""

CANDLE = {"time": 1_700_000_040, "open": 5, "high": 6, "low": 5, "close": 5.5, "volume": 9}
QUOTE = {"code": "US.AAPL", "last": 5.5, "open": 5, "high": 6, "low": 5, "prev_close": 5}


@asynccontextmanager
async def reading(**settings: Any) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    """Yield a server and a client that reads."""
    async with (
        serve(port=0, **settings) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        yield server, http


@pytest.fixture(scope="module")
def one_opend() -> Iterator[Controller]:
    """Yield a simulated OpenD that lets a subscription end at once; it starts slowly."""
    controller = Controller()
    yield controller
    controller.close()


@pytest.fixture
def opend(one_opend: Controller) -> Controller:
    """Return it with a quota of 50; it remembers what other tests have pushed."""
    one_opend.set_quota(50)
    return one_opend


def fed(opend: Controller, **settings: Any) -> Any:
    """Yield a server that the simulated OpenD feeds, and a client that reads."""
    quick = {"futu_min_subscription_seconds": 0.2, "futu_linger_seconds": 0.6}
    return reading(feed="futu", futu_port=opend.port, **(quick | settings))


async def test_every_channel_can_be_read(opend: Controller) -> None:
    """The first read has the feed get it, and waits for the first data."""
    trade = {"time": 1_700_000_000, "price": 5.5, "size": 100, "dir": 1}
    opend.push({"code": "US.AAPL", "bids": [[5.5, 3, 4], [5.25, 1, 1]], "asks": []})
    opend.push({"code": "US.AAPL", "bids": [[5, 1, 1]], "asks": [], "type": 1})
    opend.push_quotes({**QUOTE, "volume": 10, "turnover": 55})
    opend.store_trades("US.AAPL", *({**trade, "sequence": n} for n in range(1, 5)))
    minutes = [{**CANDLE, "time": CANDLE["time"] + 60 * n, "turnover": 1.5} for n in range(4)]
    opend.store_candles("US.AAPL", "1m", *minutes)
    opend.push_brokers("US.AAPL", [[1, "One", 1]], [])
    opend.push_points(
        "US.AAPL",
        {"time": 1_700_000_040, "price": 5.5, "average": 5, "prev_close": 5, "volume": 1}
        | {"turnover": 5},
    )
    async with fed(opend) as (_, http):
        asked = {
            "books/AAPL?depth=1": "orderbook",
            "books/AAPL?variant=odd": "orderbook",
            "quotes/US.AAPL": "quote",
            "trades/AAPL?limit=3": "trades",
            "candles/AAPL?period=1m&limit=2": "candles",
            "brokers/AAPL": "brokers",
            "timeframe/AAPL": "timeframe",
        }
        told = {}
        for path, channel in asked.items():
            answer = await http.get(f"/{path}{'&' if '?' in path else '?'}wait_ms=5000")
            assert answer.status_code == 200, answer.text
            assert answer.headers["Cache-Control"] == "no-store"
            body = told[path] = answer.json()
            assert (body["channel"], body["source"]) == (channel, "futu")
            assert body["symbol"] == path.partition("/")[2].partition("?")[0]
            assert {"epoch", "seq", "ts", "as_of", "age_ms", "state"} <= body.keys()
            assert body["age_ms"] < 5000
        book, odd, quote, trades, candles, brokers, point = told.values()
        assert book["data"]["bids"] == [{"price": 5.5, "volume": 3, "orders": 4}]
        assert (book["depth"], book["timestamp"]) == (1, book["as_of"])
        assert (odd["variant"], odd["depth"]) == ("odd", None)
        assert quote["data"]["last"] == 5.5
        assert [one["id"] for one in trades["data"]["trades"]] == [2, 3, 4]
        last = [one["time"] for one in candles["data"]["candles"]]
        assert (candles["period"], len(last), last[1] - last[0]) == ("1m", 2, 60_000)
        assert brokers["data"]["bids"] == [{"id": 1, "name": "One", "pos": 1}]
        assert point["data"]["price"] == 5.5


async def test_what_is_read_stays_subscribed_as_long_as_it_is_read(opend: Controller) -> None:
    """And for as long after as a client's subscription would."""
    opend.push_quotes(QUOTE)
    async with fed(opend) as (_, http):
        began = time.monotonic()
        while time.monotonic() < began + 1.5:
            await http.get("/quotes/AAPL", params={"wait_ms": 2000})
            assert opend.subscriptions() == ["US.AAPL"]
            await asyncio.sleep(0.1)
        left = time.monotonic()
        await eventually(lambda: not opend.held(), "the end of its subscription")
        assert time.monotonic() - left > 0.3
        known = await http.head("/quotes/AAPL")
        assert (known.status_code, known.content) == (200, b"")
        assert not opend.held()


async def test_a_new_read_of_something_old_waits_for_something_new(opend: Controller) -> None:
    """What is known is from when it was read last."""
    opend.push_quotes(QUOTE)
    async with fed(opend) as (_, http):
        first = (await http.get("/quotes/AAPL", params={"wait_ms": 5000})).json()
        await eventually(lambda: not opend.held(), "the end of its subscription")
        opend.push_quotes({**QUOTE, "last": 6})
        assert (await http.get("/quotes/AAPL")).json()["data"] == first["data"]
        second = (await http.get("/quotes/AAPL", params={"wait_ms": 5000})).json()
        assert second["data"]["last"] == 6


async def test_what_creates_no_demand(opend: Controller) -> None:
    """HEAD, other sites' pages, what is outside one's rights, and what others publish."""
    auth = {"auth_mode": "jwt", "auth_jwt_secret": SECRET}
    rights = {"symbols": ["US.AAPL"], "channels": ["quote"], "max_depth": 1}
    mine = {"Authorization": f"Bearer {sign(sub='alice', bookcast=rights)}"}
    async with fed(opend, **auth) as (server, http):
        assert (await http.head("/quotes/AAPL", headers=mine)).status_code == 404
        foreign = {**mine, "Sec-Fetch-Site": "cross-site"}
        began = time.monotonic()
        answer = await http.get("/quotes/AAPL", headers=foreign, params={"wait_ms": 5000})
        assert (answer.status_code, time.monotonic() - began < AT_ONCE) == (404, True)
        for path, status in {
            "/quotes/TSLA": 403,
            "/books/AAPL": 403,
            "/quotes/AAPL?depth=1": 422,
            "/quotes/US.": 422,
        }.items():
            assert (await http.get(path, headers=mine)).status_code == status
        assert (await http.get("/quotes/AAPL")).status_code == 401
        await server.publish("AAPL", {"last": 7}, channel="quote")
        answer = await http.get("/quotes/AAPL", headers=mine)
        assert answer.json()["data"] == {"last": 7}
        await asyncio.sleep(0.3)
        assert not opend.held()
        for site in ("same-origin", "same-site", "none"):
            await http.get("/quotes/AAPL", headers={**mine, "Sec-Fetch-Site": site})
        assert not opend.held()  # a publisher has published it just now
        await asyncio.sleep(0.7)
        await http.get("/quotes/AAPL", headers={**mine, "Sec-Fetch-Site": "same-site"})
        await eventually(lambda: len(opend.held()) == 1, "the subscription")


async def test_without_a_feed_a_read_is_answered_at_once() -> None:
    """Nobody is going to publish what there is to wait for."""
    async with reading(feed="none") as (server, http):
        began = time.monotonic()
        for path in ("books/AAPL", "quotes/BRK.B", "trades/HK.00700", "candles/A?period=1d"):
            waiting = f"/{path}{'&' if '?' in path else '?'}wait_ms=5000"
            answer = await http.get(waiting)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_symbol")
            assert answer.headers["Retry-After"] == "1"
        assert time.monotonic() - began < AT_ONCE
        for number in range(30):
            await server.publish(f"S{number}", {"last": number}, channel="quote")
            assert (await http.get(f"/quotes/S{number}")).json()["source"] is None


async def test_while_redis_is_away_nobody_knows_what_was_published() -> None:
    """That is no 404: what this node doesn't know, others may."""
    nowhere = f"redis://{HOST}:{free_port()}"
    async with reading(feed="none", redis_url=nowhere, engine_down_publish="local") as (
        server,
        http,
    ):
        answer = await http.get("/quotes/AAPL", params={"wait_ms": 5000})
        assert (answer.status_code, answer.json()["code"]) == (503, "engine_unavailable")
        assert "can't be reached" in answer.json()["detail"]
        assert answer.headers["Retry-After"] == "1"
        await server.publish("AAPL", {"last": 1}, channel="quote")
        assert (await http.get("/quotes/AAPL")).status_code == 200


async def test_somebody_reads_twenty_topics_and_all_a_fifth_of_the_quota(
    opend: Controller,
) -> None:
    """More is refused, and said when to ask again; others publish as much as they like."""
    async with fed(opend, futu_linger_seconds=30) as (server, http):
        answers = [await http.get(f"/quotes/S{number}") for number in range(10)]
        assert {answer.status_code for answer in answers} == {404}
        await eventually(lambda: len(opend.held()) == 10, "the share of reads")
        full = await http.get("/quotes/S10", params={"wait_ms": 5000})
        assert (full.status_code, full.json()["code"]) == (429, "too_many_reads")
        assert "10 of 10 are taken" in full.json()["detail"]
        assert int(full.headers["Retry-After"]) >= 1
        for number in range(11, 20):
            assert (await http.get(f"/quotes/S{number}")).status_code == 429
        many = await http.get("/quotes/S20")
        assert (many.status_code, many.json()["code"]) == (429, "too_many_reads")
        assert "You read 20 topics" in many.json()["detail"]
        await server.publish("S21", {"last": 1}, channel="quote")
        assert (await http.get("/quotes/S21")).status_code == 200
        async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
            await ws.say({"action": "subscribe", "symbol": "S22", "channel": "quote"})
            await eventually(lambda: "US.S22" in opend.subscriptions(), "the subscriber's")
            assert (await http.get("/quotes/S22")).status_code == 404  # it isn't known yet
        assert len(opend.held()) == 11


async def test_a_read_reaches_the_feed_of_another_node(opend: Controller, redis_url: str) -> None:
    """And what reads may have there is said here; a subscriber here comes first there."""
    quick = {"redis_url": redis_url, "futu_linger_seconds": 3, "futu_min_subscription_seconds": 0}
    opend.push_quotes({**QUOTE, "code": "US.N0"})
    async with (
        reading(feed="futu", futu_port=opend.port, **quick) as (leader, _),
        reading(feed="none", **quick) as (server, http),
    ):
        await eventually(lambda: leader.parts.feeder.leads, "a leader")
        feeder = server.parts.feeder
        await eventually(lambda: bool(feeder.statuses()), "its word")
        opend.set_quota(10)
        answer = await http.get("/quotes/N0", params={"wait_ms": 5000})
        assert (answer.status_code, answer.json()["source"]) == (200, "futu")
        for name in ("N1", "N2"):
            await http.get(f"/quotes/{name}")
        await eventually(lambda: opend.subscriptions() == ["US.N0", "US.N1"], "the share of reads")
        full = await http.get("/quotes/N2", params={"wait_ms": 5000})
        assert (full.status_code, full.json()["code"]) == (429, "too_many_reads")
        opend.set_quota(2)
        async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
            await ws.say({"action": "subscribe", "symbol": "N3", "channel": "quote"})
            await eventually(lambda: "US.N3" in opend.subscriptions(), "the subscriber's place")
            await http.get("/quotes/N3")
        await eventually(lambda: not opend.subscriptions(), "the end of all")


async def test_what_the_feed_refuses_is_said_in_its_words(opend: Controller) -> None:
    """As soon as it is known, however long somebody would wait."""
    opend.refuse(**{"US.NOPE": "Unknown stock"})
    async with fed(opend) as (_, http):
        began = time.monotonic()
        answer = await http.get("/quotes/NOPE", params={"wait_ms": 5000})
        assert (answer.status_code, answer.json()["code"]) == (422, "feed_refused")
        assert "NOPE: Unknown stock" in answer.json()["detail"]
        assert time.monotonic() - began < AT_ONCE


async def test_what_the_feed_may_only_ask_for_is_waited_for(opend: Controller) -> None:
    """The refusal to push it isn't the last word."""
    opend.refuse(**{"US.SNAP": "no right"})
    opend.snapshot({**QUOTE, "code": "US.SNAP", "bid": 5.4, "ask": 5.6})
    async with fed(opend) as (_, http):
        answer = (await http.get("/quotes/SNAP", params={"wait_ms": 5000})).json()
        assert (answer["source"], answer["every_ms"]) == ("snapshot", 1000)
        assert answer["data"]["bid"] == 5.4


async def test_rights_narrow_what_is_read() -> None:
    """A book has no more levels, and nobody gets around an interval by asking often."""
    auth = {"auth_mode": "jwt", "auth_jwt_secret": SECRET}
    slow = {"Authorization": f"Bearer {sign(sub='a', bookcast={'min_interval_ms': 3_600_000})}"}
    flat = {"Authorization": f"Bearer {sign(sub='b', bookcast={'max_depth': 2})}"}
    async with reading(feed="none", **auth) as (server, http):
        for size in range(1, 4):
            levels = [[price, size] for price in (5, 4, 3)]
            await server.publish("AAPL", {"bids": levels, "asks": []})
            trades: Any = {"trades": [{"price": size, "size": 1, "side": "buy"}]}
            await server.publish("AAPL", trades, channel="trades")
            book = (await http.get("/books/AAPL", headers=slow)).json()
            assert (book["seq"], book["data"]["bids"][0]) == (1, [5, 1])
            told = (await http.get("/trades/AAPL", headers=slow)).json()
            assert [one["price"] for one in told["data"]["trades"]] == [1]
            for asked, given in ((None, 2), (1, 1), (5, 2)):
                params = {} if asked is None else {"depth": asked}
                book = (await http.get("/books/AAPL", headers=flat, params=params)).json()
                assert (book["seq"], book["depth"]) == (size, given)
                assert book["data"]["bids"] == levels[:given]


async def test_a_candle_that_changed_within_an_interval_is_answered_as_it_was() -> None:
    """Although nothing keeps that state of it any more."""
    auth = {"auth_mode": "jwt", "auth_jwt_secret": SECRET}
    slow = {"Authorization": f"Bearer {sign(sub='a', bookcast={'min_interval_ms': 3_600_000})}"}
    final: Any = {**CANDLE, "time": CANDLE["time"] * 1000, "final": True}
    forming: Any = {**final, "time": final["time"] + 60_000, "final": False}
    async with reading(feed="none", **auth) as (server, http):
        told = []
        await server.publish("AAPL", final, channel="candles", period="1m")
        for volume in (1, 2):
            forming["volume"] = volume
            await server.publish("AAPL", forming, channel="candles", period="1m")
            answer = await http.get("/candles/AAPL", headers=slow, params={"period": "1m"})
            told.append([one["volume"] for one in answer.json()["data"]["candles"]])
        assert told == [[9, 1], [9, 1]]


async def test_every_address_and_principal_has_twenty_topics() -> None:
    """Behind a proxy the client's address counts; of IPv6, a household's network."""
    market: Any = {"feed": "simulator", "simulator_symbols": ["30"], "simulator_rate": 1}
    proxied: Any = {"trusted_proxies": ["127.0.0.1"], "futu_linger_seconds": 60}
    auth: Any = {"auth_mode": "jwt", "auth_jwt_secret": SECRET}

    async def read(http: httpx.AsyncClient, number: int, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await http.get(f"/brokers/S{number:04}", headers=named)
        return 200 if answer.status_code == 404 else answer.status_code

    async with reading(**market, **proxied) as (_, http):
        one, other = "203.0.113.1", "2001:db8:1:1::1"
        for address in (one, other):
            told = [await read(http, n, X_Forwarded_For=address) for n in range(1, 22)]
            assert told == [200] * 20 + [429]
        assert await read(http, 30, X_Forwarded_For="2001:db8:1:1::2") == 429
        assert await read(http, 30, X_Forwarded_For="2001:db8:1:2::1") == 200
    async with reading(**market, **proxied, **auth) as (_, http):
        alice, bob = (f"Bearer {sign(sub=who)}" for who in ("alice", "bob"))
        for n in range(1, 21):
            address = f"203.0.113.{n}"
            assert await read(http, n, X_Forwarded_For=address, Authorization=alice) == 200
        assert await read(http, 21, Authorization=alice) == 429
        assert await read(http, 21, Authorization=bob) == 200


async def test_what_comes_anyway_is_read_without_end() -> None:
    """The simulated market publishes all its books, whoever wants them."""
    async with reading(feed="simulator", simulator_symbols=["30"], simulator_rate=20) as (_, http):
        await http.get("/books/S0030", params={"wait_ms": 5000})
        answers = [await http.get(f"/books/S{number:04}") for number in range(1, 31)]
        assert [answer.status_code for answer in answers] == [200] * 30


async def test_the_documents_example_is_true(server: Server) -> None:
    """The request is what it says, and the answer has those fields."""
    text = (ROOT / "docs" / "protocol-v1.md").read_text()
    section = text[text.index("## Reading over HTTP") :]
    [path] = re.findall(r"curl 'localhost:8002(/trades/[^']+)'", section)
    shown = json.loads(section.partition("```json\n")[2].partition("```")[0])
    for trade in [{**shown["data"]["trades"][0], "price": 1}, *shown["data"]["trades"]]:
        await server.publish("AAPL", {"trades": [trade]}, channel="trades")
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        answer = (await http.get(path)).json()
    assert list(answer) == list(shown)
    assert answer["data"] == shown["data"]


async def test_a_book_is_read_as_it_was_published() -> None:
    """With all its fields; whole numbers of its levels are written as such."""
    text = (
        '{"bids": [[134.0, 2e2, 3], {"price": 1.50, "volume": 7.0, "x": null}],'
        ' "asks": [], "note": {"kept": 1.0}, "timestamp": "12:00"}'
    )
    async with reading(feed="none") as (server, http):
        await server.publish("AAPL", text)
        answer = await http.get("/books/AAPL")
    levels = '[[134,200,3],{"price":1.5,"volume":7,"x":null}]'
    expected = f'"data":{{"bids":{levels},"asks":[],"note":{{"kept":1.0}},"timestamp":"12:00"}}'
    assert expected in answer.text


@pytest.mark.parametrize(
    ("path", "channel", "sentence"),
    [
        ("/candles/aapl?period=5M", "candles", "it is one of 1m, 3m"),
        ("/books/aapl?variant=even", "orderbook", "it is 'odd'"),
        ("/quotes/aapl?depth=5", "quote", "there are wait_ms"),
        ("/trades/aapl?limit=x", "trades", "a whole number"),
        ("/brokers/aapl", "brokers", "Nothing has been published"),
    ],
)
async def test_what_is_wrong_names_the_channel_and_the_symbol(
    path: str, channel: str, sentence: str
) -> None:
    """As they were read."""
    async with reading(feed="none") as (_, http):
        said = (await http.get(path)).json()
    assert (said["channel"], said["symbol"]) == (channel, "aapl")
    assert sentence in said["detail"]


async def test_methods_are_those_of_reads() -> None:
    """Others are refused with what there is, and pages may ask."""
    async with reading(feed="none") as (_, http):
        for path in read_query.PATHS:
            answer = await http.post(f"/{path}/AAPL")
            assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
            assert {"GET", "HEAD"} <= set(answer.headers["Allow"].replace(" ", "").split(","))
            asking = {"Origin": "http://localhost:1", "Access-Control-Request-Method": "GET"}
            assert (await http.options(f"/{path}/AAPL", headers=asking)).status_code == 200


async def test_nobody_waits_for_a_client_that_has_left(opend: Controller) -> None:
    """Its place is free for others."""
    async with fed(opend) as (server, _):
        readers = server.parts.readers
        assert readers is not None
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /quotes/MSFT?wait_ms=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: readers._waiting_count == 1, "somebody who waits")
        began = time.monotonic()
        writer.close()
        await eventually(lambda: readers._waiting_count == 0, "the end of that")
        assert time.monotonic() - began < AT_ONCE


async def test_nobody_waits_past_the_end_of_the_server(opend: Controller) -> None:
    """Whoever waits is answered."""
    async with fed(opend) as (server, http):
        waiting = asyncio.create_task(http.get("/quotes/MSFT", params={"wait_ms": 5000}))
        await eventually(lambda: len(opend.held()) == 1, "the read")
        began = time.monotonic()
        await server.stop()
        answer = await waiting
        assert (answer.status_code, time.monotonic() - began < AT_ONCE) == (404, True)
