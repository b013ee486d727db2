import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from bookcast import Server, serve
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.sessions.world import SECRET
from tests.support import connect

V1: Any = ["bookcast.v1"]
JSON = {"Content-Type": "application/json"}
BOOK: Any = {"bids": [[189.5, 300]], "asks": [{"price": 189.6, "volume": 100, "orders": 2}]}


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        yield client


async def broadcast(http: httpx.AsyncClient, data: object, symbol: str = "AAPL") -> httpx.Response:
    return await http.post("/broadcast/orderbook", params={"symbol": symbol}, json=data)


async def test_a_published_book_reaches_its_subscribers(
    server: Server, http: httpx.AsyncClient
) -> None:
    """The answer tells its place and how many subscribers it had."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        answer = await broadcast(http, BOOK)
        assert answer.status_code == 200
        body = answer.json()
        assert list(body) == ["status", "symbol", "epoch", "seq", "subscribers"]
        assert (body["status"], body["symbol"], body["seq"], body["subscribers"]) == (
            "ok",
            "AAPL",
            1,
            1,
        )
        assert (await client.hear())["data"] == BOOK
        assert (await broadcast(http, BOOK, "US.AAPL")).json()["seq"] == 2


@pytest.mark.parametrize(
    ("request_", "status", "code", "path"),
    [
        ({"json": BOOK}, 422, "invalid_symbol", "symbol"),
        ({"json": BOOK, "params": {"symbol": ""}}, 422, "invalid_symbol", "symbol"),
        ({"json": BOOK, "params": {"symbol": "x" * 65}}, 422, "invalid_symbol", "symbol"),
        ({"json": {}, "params": {"symbol": "A"}}, 422, "invalid_book", "bids"),
        (
            {"json": {"bids": [], "asks": [[1, "x"]]}, "params": {"symbol": "A"}},
            422,
            "invalid_book",
            "asks[0][1]",
        ),
        (
            {"content": "{", "headers": {"Content-Type": "application/json"}},
            422,
            "invalid_symbol",
            "symbol",
        ),
        (
            {
                "content": "{",
                "headers": {"Content-Type": "application/json"},
                "params": {"symbol": "A"},
            },
            400,
            "invalid_json",
            None,
        ),
        (
            {"content": json.dumps(BOOK), "params": {"symbol": "A"}},
            415,
            "unsupported_media_type",
            None,
        ),
        (
            {
                "json": BOOK,
                "headers": {"Content-Encoding": "gzip"},
                "params": {"symbol": "A"},
            },
            415,
            "unsupported_media_type",
            None,
        ),
        (
            {"data": {"bids": "x"}, "params": {"symbol": "A"}},
            415,
            "unsupported_media_type",
            None,
        ),
        (
            {"json": {"bids": [], "asks": [], "x": "y" * 2**20}, "params": {"symbol": "A"}},
            413,
            "body_too_large",
            None,
        ),
    ],
)
async def test_a_wrong_publish_is_a_problem_that_names_the_field(
    http: httpx.AsyncClient, request_: dict[str, Any], status: int, code: str, path: str | None
) -> None:
    """Nothing is published, and the server goes on."""
    answer = await http.post("/broadcast/orderbook", **request_)
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["code"], problem.get("path")) == (status, code, path)
    assert problem["title"]
    assert problem["detail"]
    assert (await http.get("/symbols")).json() == {"symbols": []}
    stats = (await http.get("/stats")).json()
    assert (stats["updates_published"], stats["publishes_refused"]) == (0, 1)


FUTU_BOOK = {
    "code": "HK.00700",
    "name": "TENCENT",
    "svr_recv_time_bid": "2026-01-05 09:30:00.125",
    "svr_recv_time_ask": "",
    "Bid": [[336.6, 5400, 2, {}]],
    "Ask": [[336.8, 300, 1, {}]],
}


async def test_a_book_of_futu_api_is_published_as_it_is(
    server: Server, http: httpx.AsyncClient
) -> None:
    """Its code is the symbol; base clients get it as they get the feed's books."""
    async with connect(server.ws_url + "me?symbols=HK.00700") as client:
        await client.hear()
        answer = await http.post("/broadcast/orderbook", json=FUTU_BOOK)
        assert (answer.status_code, answer.json()["symbol"]) == (200, "HK.00700")
        assert (await client.hear())["data"] == {
            "bids": [{"price": 336.6, "volume": 5400, "orders": 2}],
            "asks": [{"price": 336.8, "volume": 300, "orders": 1}],
            "timestamp": "2026-01-05T01:30:00.125Z",
        }
    refused = await broadcast(http, FUTU_BOOK, "HK.00005")
    assert (refused.status_code, refused.json()["path"]) == (422, "code")


async def test_rows_of_futu_api_are_published_together(
    server: Server, http: httpx.AsyncClient
) -> None:
    """Those of several symbols each to its own; sent again under one key, they count once."""
    rows = [
        {"code": code, "price": 1.5, "volume": size, "ticker_direction": "BUY", "type": "N/A"}
        for code, size in (("HK.1", 1), ("HK.2", 2), ("HK.1", 3))
    ]
    candles = [
        {"time_key": f"2026-01-05 09:3{minute}:00", "open": 1, "high": 1, "low": 1, "close": 1}
        | {"volume": 1, "k_type": "K_1M"}
        for minute in (1, 2, 3)
    ]
    async with connect(server.ws_url + "me", subprotocols=V1) as client:
        await client.hear()
        await client.say({"action": "subscribe", "symbols": ["HK.1", "HK.2"], "channel": "trades"})
        for _ in range(4):
            await client.hear()
        for _ in range(2):
            key = {"Idempotency-Key": "k"}
            answer = await http.post("/broadcast/trades", json=rows, headers=key)
            assert (answer.json()["symbol"], answer.json()["seq"]) == ("HK.2", 1)
            address = "/broadcast/candles?symbol=HK.1"
            answer = await http.post(address, json=candles, headers=key)
            assert answer.json()["seq"] == 3
        heard = [await client.hear() for _ in range(4)]
        sizes = {
            m["symbol"]: [trade["size"] for trade in m["data"]["trades"]]
            for m in heard
            if m["type"] != "status"
        }
        assert sizes == {"HK.1": [1, 3], "HK.2": [2]}
        assert (await client.ask({"action": "ping"}))["type"] == "pong"


async def test_a_batch_may_have_what_futu_api_hands_over(http: httpx.AsyncClient) -> None:
    """Each with its own outcome; without a code the symbol has to be there."""
    updates = [
        {"channel": "orderbook", "data": FUTU_BOOK},
        {"channel": "quote", "data": {"last": 1}},
        {"channel": "quote", "symbol": "HK.00700", "data": [{"last_price": 1}, {"last_price": 2}]},
    ]
    results = (await http.post("/broadcast", json={"updates": updates})).json()["results"]
    assert [result.get("seq") for result in results] == [1, None, 2]
    assert results[1]["error"]["code"] == "invalid_symbol"


@pytest.mark.parametrize(
    ("before", "codings"),
    [
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbf \r\n", ["identity"]),
        (b"", ["identity"]),
        (b"", ["Identity"]),
        (b"", [""]),
        (b"", ["identity, identity"]),
        (b"", ["identity", ","]),
    ],
)
async def test_a_body_that_says_no_more_than_json_is_taken(
    http: httpx.AsyncClient, before: bytes, codings: list[str]
) -> None:
    """A byte order mark and a coding that changes nothing say nothing, for one update or many."""
    headers = [("Content-Type", "application/json"), *(("Content-Encoding", c) for c in codings)]
    one = before + json.dumps(BOOK).encode()
    many = (
        before
        + json.dumps({"updates": [{"channel": "orderbook", "symbol": "A", "data": BOOK}]}).encode()
    )
    answer = await http.post("/broadcast/orderbook?symbol=A", content=one, headers=headers)
    assert answer.status_code == 200, answer.text
    answer = await http.post("/broadcast", content=many, headers=headers)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("coding", ["gzip", "identity, gzip", "br", "identity;q=1"])
async def test_a_body_that_is_coded_is_refused(http: httpx.AsyncClient, coding: str) -> None:
    """And nothing is published."""
    answer = await http.post(
        "/broadcast/orderbook?symbol=A", json=BOOK, headers={"Content-Encoding": coding}
    )
    assert answer.json()["code"] == "unsupported_media_type"


async def test_a_wrong_path_or_method_is_a_problem_too(http: httpx.AsyncClient) -> None:
    """The answer names what is there instead."""
    missing = await http.get("/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await http.get("/broadcast/orderbook")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    assert (await http.post("/health")).status_code == 405


async def test_health_tells_of_connections_engine_and_feeds(
    server: Server, http: httpx.AsyncClient
) -> None:
    """Without a feed, the engine alone decides."""
    async with connect(server.ws_url + "me?symbols=AAPL,TSLA") as client:
        await client.hear()
        health = (await http.get("/health")).json()
    assert health["uptime_s"] >= 0
    assert {key: health[key] for key in health if key != "uptime_s"} == {
        "status": "healthy",
        "connections": 1,
        "subscriptions": 2,
        "engine": {"kind": "memory", "state": "connected", "topics": 0},
        "feeds": [],
    }


async def test_stats_tell_of_every_topic(server: Server, http: httpx.AsyncClient) -> None:
    """Position, subscribers and age of each, and the counts of all."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        await broadcast(http, BOOK, "TSLA")
        await broadcast(http, BOOK)
        await client.hear()
        stats = (await http.get("/stats")).json()
    assert [(topic["symbol"], topic["subscribers"]) for topic in stats["topics"]] == [
        ("US.AAPL", 1),
        ("US.TSLA", 0),
    ]
    assert stats["topics"][0]["age_ms"] >= 0
    assert stats["messages_delivered"] == 1
    assert stats["connections_accepted"] == 1


async def test_probes_answer(http: httpx.AsyncClient) -> None:
    """Alive, and ready."""
    assert (await http.get("/livez")).json() == {"status": "alive"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}


async def test_a_known_book_can_be_fetched(http: httpx.AsyncClient) -> None:
    """As published, with its position, under the spelling that was asked for."""
    unknown = (await http.get("/books/AAPL")).json()
    assert (unknown["code"], unknown["retry"]) == ("unknown_symbol", True)
    published = (await broadcast(http, BOOK)).json()
    book = (await http.get("/books/US.AAPL")).json()
    assert {"symbol", "epoch", "seq", "data", "timestamp", "state"} <= book.keys()
    assert book["state"] == "live"
    assert (book["symbol"], book["seq"], book["data"]) == ("US.AAPL", 1, BOOK)
    assert book["epoch"] == published["epoch"]
    assert (await http.get("/books/US.")).status_code == 422
    await broadcast(http, BOOK, "a/b")
    assert (await http.get("/books/a%2Fb")).json()["symbol"] == "a/b"


async def test_symbols_can_be_searched(http: httpx.AsyncClient) -> None:
    """Any part of the name will do, in any case."""
    for symbol in ("AAPL", "TSLA", "HK.00700"):
        await broadcast(http, BOOK, symbol)
    names = [found["symbol"] for found in (await http.get("/symbols")).json()["symbols"]]
    assert names == ["HK.00700", "US.AAPL", "US.TSLA"]
    assert (await http.get("/symbols?q=aap")).json() == {"symbols": [{"symbol": "US.AAPL"}]}


async def test_metrics_are_there_for_prometheus(server: Server, http: httpx.AsyncClient) -> None:
    """In its text format."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        metrics = (await http.get("/metrics")).text
    assert "bookcast_connections 1.0" in metrics
    assert "bookcast_messages_delivered_total 0.0" in metrics


async def test_a_websocket_address_without_upgrade_says_so(http: httpx.AsyncClient) -> None:
    """A person who opens it in a browser learns what it is for."""
    answer = await http.get("/ws/me")
    assert answer.status_code == 426
    assert "new WebSocket('ws://" in answer.json()["detail"]


async def test_a_server_with_a_feed_lists_the_feeds_symbols_and_state() -> None:
    """Before anybody has subscribed to anything."""
    async with (
        serve(port=0, feed="simulator", simulator_symbols=["AAPL", "HK.00700"]) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
        connect(server.ws_url + "me?symbols=AAPL") as client,
    ):
        await client.hear()
        assert len((await client.hear())["data"]["bids"]) >= 10
        assert [s["symbol"] for s in (await http.get("/symbols")).json()["symbols"]] == [
            "US.AAPL",
            "HK.00700",
        ]
        assert (await http.get("/health")).json()["feeds"] == [
            {"name": "simulator", "state": "connected", "symbols": 2}
        ]


NOON = 1_767_225_600_000
UPDATES: dict[str, dict[str, Any]] = {
    "orderbook": BOOK,
    "quote": {"last": 189.5, "volume": 10},
    "trades": {"trades": [{"price": 189.5, "size": 3, "side": "buy"}]},
    "candles": {
        "time": NOON,
        "open": 1,
        "high": 2,
        "low": 1,
        "close": 2,
        "volume": 5,
        "period": "1m",
    },
    "brokers": {"bids": [{"id": 1, "name": "One", "pos": 1}], "asks": []},
    "timeframe": {"time": NOON, "price": 189.5, "average": 189.4},
}


@pytest.mark.parametrize("channel", UPDATES)
async def test_every_channel_can_be_published(
    server: Server, http: httpx.AsyncClient, channel: str
) -> None:
    """And reaches those who asked for it."""
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        period = {"period": "1m"} if channel == "candles" else {}
        await client.hear()
        await client.ask({"action": "subscribe", "symbol": "AAPL", "channel": channel, **period})
        assert (await client.hear())["state"] == "pending"
        answer = await http.post(f"/broadcast/{channel}?symbol=AAPL", json=UPDATES[channel])
        assert (answer.status_code, answer.json()["subscribers"]) == (200, 1)
        update = await client.hear()
        assert (update["channel"], update["seq"]) == (channel, 1)
        assert (await client.hear())["state"] == "live"


async def test_a_period_may_stand_in_the_address(http: httpx.AsyncClient) -> None:
    """Unless the data say otherwise."""
    candle = {**UPDATES["candles"], "period": None}
    assert (await http.post("/broadcast/candles?symbol=A&period=1h", json=candle)).json()[
        "seq"
    ] == 1
    refused = await http.post("/broadcast/candles?symbol=A", json=candle)
    assert (refused.status_code, refused.json()["path"]) == (422, "period")
    [topic] = (await http.get("/stats")).json()["topics"]
    assert (topic["channel"], topic["period"]) == ("candles", "1h")


async def test_an_unknown_channel_is_not_found(http: httpx.AsyncClient) -> None:
    """The answer lists those that there are."""
    answer = await http.post("/broadcast/books?symbol=A", json=BOOK)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_channel")
    assert "orderbook, quote, trades" in answer.json()["detail"]


async def test_a_batch_goes_well_or_wrong_update_by_update(http: httpx.AsyncClient) -> None:
    """In its order, with the path of each fault."""
    updates = [
        {"channel": channel, "symbol": "AAPL", "data": data} for channel, data in UPDATES.items()
    ]
    answer = (await http.post("/broadcast", json={"updates": updates})).json()
    assert answer["status"] == "ok"
    assert [result["seq"] for result in answer["results"]] == [1] * len(UPDATES)
    updates.insert(1, {"channel": "quote", "symbol": "AAPL", "data": {"last": "x"}})
    answer = (await http.post("/broadcast", json={"updates": updates})).json()
    assert answer["status"] == "partial"
    assert [result.get("seq") for result in answer["results"]] == [2, None] + [2] * (
        len(UPDATES) - 1
    )
    assert answer["results"][1]["error"] == {
        "code": "invalid_data",
        "message": "last: expected a number or null, got text",
        "path": "last",
        "channel": "quote",
        "symbol": "AAPL",
    }


async def test_an_update_that_cant_be_read_spoils_no_other_of_its_batch(
    http: httpx.AsyncClient,
) -> None:
    """It names itself in its place."""
    good = '{"channel":"quote","symbol":"AAPL","data":{"last":1}}'
    nan = '{"channel":"quote","symbol":"TSLA","data":{"last":NaN}}'
    body = f'{{"updates":[{good},{{"channel":"quote","symbol":"X"}},7,{nan},{good}]}}'
    answer = await http.post("/broadcast", content=body, headers=JSON)
    results = answer.json()["results"]
    assert [result.get("seq") for result in results] == [1, None, None, None, 2]
    errors = [result["error"] for result in results[1:4]]
    assert [error.get("symbol") for error in errors] == ["X", None, "TSLA"]
    assert [error.get("path") for error in errors] == ["data", None, "data.last"]


@pytest.mark.parametrize(("body", "path"), [({}, "updates"), ({"updates": 5}, "updates")])
async def test_what_is_no_batch_is_refused(
    http: httpx.AsyncClient, body: object, path: str
) -> None:
    """As a whole."""
    answer = await http.post("/broadcast", json=body)
    assert (answer.status_code, answer.json()["path"]) == (422, path)


@pytest.mark.parametrize(
    ("channel", "data", "words"),
    [
        ("trades", {"trades": [{"price": 1, "size": 1, "side": "b"}]}, "buy, sell, neutral"),
        ("quote", {"session": "noon"}, "pre, regular, after, overnight, night, auction"),
        ("quote", {"dark": 3}, "pending, trading, ended"),
        ("quote", {"option": {"style": "x" * 5000}}, "american, european, bermudan"),
        ("candles", UPDATES["candles"] | {"period": "7m"}, "1m, 3m, 5m"),
    ],
)
async def test_a_wrong_word_is_answered_with_the_allowed_ones(
    http: httpx.AsyncClient, channel: str, data: object, words: str
) -> None:
    """With channel and symbol, alone and in a batch; a long one is cut."""
    answer = await http.post(f"/broadcast/{channel}?symbol=AAPL", json=data)
    alone = answer.json()
    assert (answer.status_code, alone["channel"], alone["symbol"]) == (422, channel, "AAPL")
    assert words in alone["detail"]
    assert len(alone["detail"]) < 300
    updates = {"updates": [{"channel": channel, "symbol": "AAPL", "data": data}]}
    [result] = (await http.post("/broadcast", json=updates)).json()["results"]
    assert result["error"]["message"] == alone["detail"]
    assert (result["error"]["channel"], result["error"]["symbol"]) == (channel, "AAPL")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/topics/candles/AAPL?period=7m", "1m, 3m"),
        ("/topics/books/AAPL", "orderbook, quote"),
        ("/topics/orderbook/AAPL?variant=even", "'odd'"),
    ],
)
async def test_a_wrong_word_in_an_address_is_answered_so_too(
    http: httpx.AsyncClient, path: str, words: str
) -> None:
    """Whatever the path does."""
    problem = (await http.delete(path)).json()
    assert words in problem["detail"]
    assert (problem["channel"], problem["symbol"]) == (path.split("/")[2], "AAPL")


KEY = "bck_a-key-that-nobody-guesses"


def key_file(path: Path) -> Path:
    path.write_text(f'[keys.pricing]\nsha256 = "{sha256(KEY.encode()).hexdigest()}"\n')
    return path


@asynccontextmanager
async def asking(path: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a server that asks who it is, and knows one publisher's key."""
    key_file(path)
    given = {"auth_mode": "jwt", "auth_jwt_secret": SECRET, "auth_api_keys_file": str(path)}
    async with (
        serve(port=0, **{**given, **settings}) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client,
    ):
        yield client


def bearer(**claims: object) -> dict[str, str]:
    token = jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, SECRET, "HS256")
    return {"Authorization": f"Bearer {token}"}


async def test_publishing_takes_the_right_to(tmp_path: Path) -> None:
    """A key by itself gives it, a token by its scope; each topic is judged."""
    async with asking(tmp_path / "keys.toml") as http:
        nobody = await broadcast(http, BOOK)
        assert (nobody.status_code, nobody.json()["code"]) == (401, "unauthenticated")
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        http.headers["X-API-Key"] = KEY
        assert (await broadcast(http, BOOK)).status_code == 200
        assert (await http.get("/books/AAPL")).status_code == 403
        del http.headers["X-API-Key"]
        for claims, status in (
            ({}, 403),
            ({"scope": "publish"}, 200),
            ({"scope": "publish", "bookcast": {"symbols": ["HK.*"]}}, 403),
        ):
            http.headers.update(bearer(**claims))
            assert (await broadcast(http, BOOK)).status_code == status
        updates = [
            {"channel": "orderbook", "symbol": symbol, "data": BOOK}
            for symbol in ("AAPL", "HK.00700")
        ]
        batch = (await http.post("/broadcast", json={"updates": updates})).json()
        assert batch["status"] == "partial"
        assert [one.get("error", {}).get("code") for one in batch["results"]] == ["forbidden", None]


async def test_reading_takes_the_right_to(tmp_path: Path) -> None:
    """Books are as deep as the reader may see; symbols of others aren't listed."""
    deep = {"bids": [[2, 1.50], [1, 1]], "asks": []}
    async with asking(tmp_path / "keys.toml", publish_allow=["127.0.0.1"]) as http:
        for symbol in ("AAPL", "HK.00700"):
            assert (await broadcast(http, deep, symbol)).status_code == 200
        assert (await http.get("/books/AAPL")).status_code == 401
        http.headers.update(bearer(bookcast={"symbols": ["US.*"], "max_depth": 1}))
        book = (await http.get("/books/AAPL")).json()
        assert book["data"] == {"bids": [[2, 1.50]], "asks": []}
        assert (await http.get("/books/HK.00700")).status_code == 403
        symbols = (await http.get("/symbols")).json()["symbols"]
        assert [one["symbol"] for one in symbols] == ["US.AAPL"]


async def test_an_administrator_of_some_symbols_is_shown_no_others(tmp_path: Path) -> None:
    """In lists of symbols and of topics."""
    async with asking(tmp_path / "keys.toml") as http:
        http.headers["X-API-Key"] = KEY
        for symbol in ("AAPL", "HK.00700"):
            assert (await broadcast(http, BOOK, symbol)).status_code == 200
        del http.headers["X-API-Key"]
        some = bearer(scope="read admin", bookcast={"symbols": ["HK.*"]})
        stats = (await http.get("/stats", headers=some)).json()
        assert [topic["symbol"] for topic in stats["topics"]] == ["HK.00700"]
        symbols = (await http.get("/symbols", headers=some)).json()["symbols"]
        assert [one["symbol"] for one in symbols] == ["HK.00700"]


async def test_the_statistics_are_for_administrators_and_their_networks(tmp_path: Path) -> None:
    """Health is for everybody: balancers ask for it."""
    async with asking(tmp_path / "keys.toml", admin_allow=[]) as http:
        for path in ("/stats", "/metrics"):
            assert (await http.get(path)).status_code == 401
            assert (await http.get(path, headers=bearer())).status_code == 403
            assert (await http.get(path, headers=bearer(scope="admin"))).status_code == 200
        for path in ("/health", "/livez", "/readyz", "/openapi.json"):
            assert (await http.get(path)).status_code == 200
    async with asking(tmp_path / "keys.toml") as http:
        assert (await http.get("/stats")).status_code == 200


async def test_a_publisher_has_a_rate(tmp_path: Path) -> None:
    """Each its own; what is too much is not published, and told when to try again."""
    async with asking(tmp_path / "keys.toml", publish_rate=1) as http:
        http.headers["X-API-Key"] = KEY
        answers = [await broadcast(http, BOOK) for _ in range(12)]
        assert {answer.status_code for answer in answers[:10]} == {200}
        assert answers[-1].status_code == 429
        assert answers[-1].json()["code"] == "rate_limited"
        assert int(answers[-1].headers["Retry-After"]) >= 1
        del http.headers["X-API-Key"]
        http.headers.update(bearer(scope="publish"))
        assert (await broadcast(http, BOOK)).status_code == 200


async def test_a_page_of_others_cannot_publish_with_a_visitors_cookie(tmp_path: Path) -> None:
    """The server's own can."""
    settings = {"auth_cookie": "session", "allowed_origins": ["*"]}
    async with asking(tmp_path / "keys.toml", **settings) as http:
        token = bearer(scope="publish read")["Authorization"].removeprefix("Bearer ")
        http.headers["Cookie"] = f"session={token}"
        assert (await broadcast(http, BOOK)).status_code == 403
        http.headers["Origin"] = "https://evil.example"
        assert (await broadcast(http, BOOK)).status_code == 403
        http.headers["Origin"] = str(http.base_url).rstrip("/")
        assert (await broadcast(http, BOOK)).status_code == 200
        del http.headers["Origin"]
        assert (await http.get("/books/AAPL")).status_code == 200
        for origin in ("null", "http://localhost:5173", "https://evil.example"):
            answer = await http.get("/books/AAPL", headers={"Origin": origin})
            assert (answer.status_code, answer.json()["code"]) == (403, "origin_not_allowed")


async def test_a_page_that_is_refused_again_and_again_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of its publications is counted all the same."""
    caplog.set_level(logging.INFO)
    settings = {"auth_cookie": "session", "allowed_origins": ["*"]}
    async with asking(tmp_path / "keys.toml", **settings) as http:
        token = bearer(scope="publish")["Authorization"].removeprefix("Bearer ")
        http.headers.update({"Cookie": f"session={token}", "Origin": "https://evil.example"})
        for _ in range(3):
            assert (await broadcast(http, BOOK)).status_code == 403
        stats = (await http.get("/stats", headers={"Cookie": ""})).json()
    assert stats["refusals"]["origin_not_allowed"] == stats["publishes_refused"] == 3
    assert caplog.text.count("not for https://evil.example") == 1


async def test_a_name_that_is_not_ours_is_answered_with_421(http: httpx.AsyncClient) -> None:
    """A page may have made its own name point here."""
    answer = await http.get("/books/AAPL", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["code"]) == (421, "host_not_allowed")


def key(value: str | bytes) -> dict[str, Any]:
    return {"headers": [("Idempotency-Key", value)], "params": {"symbol": "AAPL"}}


async def test_a_publication_can_be_sent_again_with_its_key(
    server: Server, http: httpx.AsyncClient
) -> None:
    """It gets the first answer; something else under that key is refused."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        first = await http.post("/broadcast/orderbook", json=BOOK, **key("é-1".encode()))
        again = await http.post("/broadcast/orderbook", json=BOOK, **key("é-1".encode()))
        assert (first.status_code, first.json()["seq"]) == (200, 1)
        assert again.json() == first.json()
        other = await http.post(
            "/broadcast/orderbook", json={"bids": [], "asks": []}, **key("é-1".encode())
        )
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
        assert other.json()["path"] == "Idempotency-Key"
        new = await http.post("/broadcast/orderbook", json=BOOK, **key("é-2".encode()))
        assert new.json()["seq"] == 2
        assert [(await client.hear())["data"] for _ in range(2)] == [BOOK, BOOK]
        assert await client.silent()


@pytest.mark.parametrize("value", ["", "x" * 129, b"\xff"])
async def test_a_key_that_is_none_is_refused(http: httpx.AsyncClient, value: str | bytes) -> None:
    """In words, and nothing is published."""
    answer = await http.post("/broadcast/orderbook", json=BOOK, **key(value))
    assert (answer.status_code, answer.json()["path"]) == (422, "Idempotency-Key")
    assert (await http.get("/books/AAPL")).status_code == 404


async def test_two_keys_are_one_too_many(http: httpx.AsyncClient) -> None:
    """As is one for a batch, whose updates have their own."""
    twice = await http.post(
        "/broadcast/orderbook?symbol=AAPL",
        json=BOOK,
        headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")],
    )
    assert (twice.status_code, twice.json()["path"]) == (422, "Idempotency-Key")
    update = {"channel": "orderbook", "symbol": "AAPL", "data": BOOK}
    batch = await http.post("/broadcast", json={"updates": [update]}, **key("a"))
    assert (batch.status_code, batch.json()["path"]) == (422, "Idempotency-Key")
    assert "each of its updates" in batch.json()["detail"]


async def test_updates_of_a_batch_have_keys_of_their_own(http: httpx.AsyncClient) -> None:
    """A batch that is sent again gets the same answer; also where a part of it was new."""
    updates = [
        {"channel": "quote", "symbol": "AAPL", "data": {"last": n}, "idempotency_key": f"k{n}"}
        for n in range(3)
    ]
    first = (await http.post("/broadcast", json={"updates": updates[:2]})).json()
    again = (await http.post("/broadcast", json={"updates": updates})).json()
    assert again["results"][:2] == first["results"]
    assert again["results"][2]["seq"] == 3
    updates[1]["data"] = {"last": 9}
    other = (await http.post("/broadcast", json={"updates": updates})).json()
    assert other["status"] == "partial"
    assert [one.get("error", {}).get("code") for one in other["results"]] == [
        None,
        "idempotency_conflict",
        None,
    ]


async def test_keys_hold_for_both_ways_in(server: Server, http: httpx.AsyncClient) -> None:
    """What came over HTTP may be sent again over a socket; `id` has nothing to do with it."""
    first = await http.post("/broadcast/orderbook", json=BOOK, **key("k"))
    publish = {"action": "publish", "channel": "orderbook", "symbol": "AAPL", "data": BOOK}
    for connection in range(2):
        url = f"{server.ws_url}me{connection}"
        async with connect(url, subprotocols=V1) as client:
            await client.hear()
            again = await client.ask({**publish, "id": 1, "idempotency_key": "k"})
            assert (again["type"], again["seq"]) == ("published", first.json()["seq"])
            new = await client.ask({**publish, "id": 1})
            assert new["seq"] == first.json()["seq"] + 1 + connection
            other = {**publish, "data": {"bids": [], "asks": []}, "id": 2, "idempotency_key": "k"}
            refused = await client.ask(other)
            assert (refused["type"], refused["code"], refused["id"]) == (
                "error",
                "idempotency_conflict",
                2,
            )
            wrong = await client.ask({**publish, "idempotency_key": "x" * 129})
            assert (wrong["type"], wrong["code"]) == ("error", "invalid_message")


async def test_stats_list_a_thousand_topics_and_count_all(
    server: Server, http: httpx.AsyncClient
) -> None:
    """Fewer when asked, or those of a symbol."""
    for number in range(1200):
        await server.publish(f"S{number:04}", BOOK)
    await server.publish("S0007", {"last": 1}, channel="quote")
    stats = (await http.get("/stats")).json()
    assert (stats["topics_published"], stats["updates_published"]) == (1201, 1201)
    assert [topic["symbol"] for topic in stats["topics"]] == [
        f"US.S{number:04}" for number in range(1000)
    ]
    stats = (await http.get("/stats?limit=3")).json()
    assert [topic["symbol"] for topic in stats["topics"]] == ["US.S0000", "US.S0001", "US.S0002"]
    assert (await http.get("/stats?limit=0")).json()["topics"] == []
    for requested_symbol in ("S0007", "US.S0007"):
        stats = (await http.get("/stats", params={"symbol": requested_symbol})).json()
        assert [(one["channel"], one["symbol"]) for one in stats["topics"]] == [
            ("orderbook", "US.S0007"),
            ("quote", "US.S0007"),
        ]
        assert stats["topics_published"] == 1201
    assert (await http.get("/stats?symbol=NONE")).json()["topics"] == []


@pytest.mark.parametrize("query", ["limit=1001", "limit=-1", "limit=x", "limit=", "limit=00009999"])
async def test_a_limit_of_stats_that_is_none_is_refused(
    http: httpx.AsyncClient, query: str
) -> None:
    """With its name."""
    answer = await http.get(f"/stats?{query}")
    assert answer.status_code == 422
    assert answer.json()["path"] == "limit"


async def test_a_topic_too_many_is_answered_with_429() -> None:
    """Those that are there go on."""
    async with (
        serve(port=0, max_published_topics=2) as small,
        httpx.AsyncClient(base_url=small.http_url, trust_env=False) as http,
    ):
        answers = [await broadcast(http, BOOK, symbol) for symbol in ("A", "B", "C", "A")]
        assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
        assert answers[2].json()["code"] == "too_many_topics"
        counts = (await http.get("/stats")).json()["refusals"]
        assert counts == {"too_many_topics": 1}


def longest_share(loop: asyncio.AbstractEventLoop, work: Callable[[], Awaitable[Any]]) -> float:
    """Run something, and return the share of its work that kept the loop for longest at once."""
    longest = whole = 0.0

    async def watched() -> None:
        nonlocal longest, whole
        task = asyncio.ensure_future(work())
        while not task.done():
            began = time.thread_time()
            await asyncio.sleep(0)
            held = time.thread_time() - began
            longest, whole = max(longest, held), whole + held
        await task

    loop.run_until_complete(watched())
    return longest / whole


@pytest.mark.no_cover
def test_stats_of_many_topics_hold_nobody_up(redis_url: str) -> None:
    """It is done bit by bit: none takes long beside the whole, by this thread's own clock."""
    loop = asyncio.new_event_loop()
    try:
        for url, count in (("memory://", 30_000), (redis_url, 6000)):
            server = serve(port=0, redis_url=url, max_published_topics=0)
            loop.run_until_complete(server.start())
            engine, reporter = server.parts.backend.engine, server.parts.reporter
            assert engine is not None
            assert reporter is not None
            for at in range(0, count, 2000):
                one_batch = [
                    Publication(Topic("quote", Symbol(f"US.S{number}")), Quote(last=1))
                    for number in range(at, at + 2000)
                ]
                loop.run_until_complete(engine.publish(one_batch))
            try:
                # The best of several, for a garbage collection may fall into any.
                assert min(longest_share(loop, reporter.stats) for _ in range(5)) < 0.25
                assert loop.run_until_complete(reporter.stats()).topics_published == count
            finally:
                loop.run_until_complete(server.stop())
    finally:
        loop.close()
