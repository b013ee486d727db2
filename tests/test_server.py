import asyncio
import json
import logging
import socket
import threading

import httpx
import pandas as pd
import pytest

import bookcast
from bookcast import BookData, InvalidInput, Server, StartupError, serve
from bookcast.engine.redis.engine import RedisEngine
from bookcast.errors import CloseCode
from bookcast.ingest.input_types import TradeData
from tests.engine.nodes import written_by_another
from tests.support import PATIENCE, TRADES, connect

BOOK: BookData = {"bids": [[189.5, 300]], "asks": [[189.6, 100]]}


def test_the_public_names_are_these() -> None:
    """Others may change without notice."""
    assert sorted(bookcast.__all__) == [
        "BookData",
        "BookcastError",
        "BrokersData",
        "CandleData",
        "InvalidInput",
        "Published",
        "QuoteData",
        "Server",
        "ServerThread",
        "SettingError",
        "StartupError",
        "TimePointData",
        "TradesData",
        "__version__",
        "checksum",
        "client",
        "serve",
        "serve_in_thread",
        "snapshot",
    ]
    assert all(hasattr(bookcast, name) for name in bookcast.__all__)


async def test_a_program_publishes_in_process(server: Server) -> None:
    """It learns the position and how many saw it; a wrong book is refused."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        published = await server.publish("AAPL", BOOK)
        assert (published.symbol, published.seq, published.subscribers) == ("AAPL", 1, 1)
        assert (await client.hear())["data"] == BOOK
        with pytest.raises(InvalidInput, match=r"bids\[0\]\[1\]"):
            await server.publish("AAPL", {"bids": [[1, -1]], "asks": []})
        assert await client.silent()


async def test_a_callback_in_another_thread_publishes_too(server: Server) -> None:
    """As futu-api's callbacks come on threads of their own."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        thread = threading.Thread(target=server.publish_threadsafe, args=("AAPL", BOOK))
        thread.start()
        assert (await client.hear())["data"] == BOOK
        thread.join()


async def test_publishing_needs_a_server_that_runs() -> None:
    """Before the start and after the stop, the error says so."""
    server = serve(port=0)
    with pytest.raises(StartupError, match="start it first"):
        server.publish_threadsafe("AAPL", BOOK)
    async with server:
        await server.publish("AAPL", BOOK)
    with pytest.raises(StartupError, match="start it first"):
        await server.publish("AAPL", BOOK)
    await server.stop()
    async with server:
        with pytest.raises(StartupError, match="runs already"):
            await server.start()


async def test_a_taken_port_is_one_clear_sentence() -> None:
    """It names the port and the setting."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartupError) as caught:
            await serve(port=port).start()
    assert f"Port {port} on 127.0.0.1 is already in use" in str(caught.value)
    assert "WEBSOCKET_PORT" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("no-such-host.invalid", "can't be resolved"),
        ("x" * 64 + ".invalid", "can't be resolved"),
        ("192.0.2.1", "doesn't have that address"),
    ],
)
async def test_a_wrong_host_is_one_clear_sentence(host: str, sentence: str) -> None:
    """It names the setting."""
    with pytest.raises(StartupError) as caught:
        await serve(host=host, port=0).start()
    assert sentence in str(caught.value)
    assert "HOST" in str(caught.value)


async def test_localhost_is_served_on_all_its_addresses() -> None:
    """IPv4 and IPv6 alike, on the same port."""
    async with serve(host="localhost", port=0) as server:
        found = await asyncio.get_running_loop().getaddrinfo(
            "localhost", server.port, type=socket.SOCK_STREAM
        )
        for _, _, _, _, address in found:
            _, writer = await asyncio.open_connection(str(address[0]), server.port)
            writer.close()
    async with serve(host="::", port=0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("::1", "http://[::1]:8002"),
        ("[::1]", "http://[::1]:8002"),
        ("::", "http://[::1]:8002"),
        ("[::]", "http://[::1]:8002"),
        ("0.0.0.0", "http://127.0.0.1:8002"),
        ("localhost", "http://localhost:8002"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:8002"),
    ],
)
def test_it_is_told_under_an_address_that_one_can_connect_to(host: str, url: str) -> None:
    """Everywhere is none; brackets around an IPv6 address belong to a URL."""
    server = serve(host=host, port=8002)
    assert server.http_url == url
    assert server.ws_url == url.replace("http", "ws") + "/ws/"


@pytest.mark.parametrize(("host", "is_strict"), [("[::1]", True), ("[::]", False)])
async def test_an_ipv6_address_may_stand_in_brackets(host: str, is_strict: bool) -> None:
    """It is served, and one of this machine alone answers to its names alone."""
    async with (
        serve(host=host, port=0) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        assert server.http_url.startswith("http://[::1]:")
        assert (await http.get("/health")).status_code == 200
        foreign = await http.get("/health", headers={"Host": "evil.example"})
        assert foreign.status_code == (421 if is_strict else 200)


async def test_a_server_can_be_started_again_after_a_stop() -> None:
    """On the same port, at once."""
    async with serve(port=0) as first:
        port = first.port
    async with serve(port=port) as second, connect(second.ws_url + "me") as client:
        assert await client.silent()


NO_REDIS = "redis://:secret@127.0.0.1:1"


async def test_a_node_starts_while_redis_is_away_and_says_so() -> None:
    """It stays ready, since all nodes would be gone otherwise, and never shows the password."""
    async with (
        serve(port=0, redis_url=NO_REDIS) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
        connect(server.ws_url + "me") as client,
    ):
        assert await client.subscribe("AAPL") == {
            "type": "subscription_confirmed",
            "symbol": "AAPL",
        }
        health = (await http.get("/health")).json()
        assert health["status"] == "degraded"
        assert health["engine"]["state"] == "away"
        assert "Redis at 127.0.0.1:1 can't be reached" in health["engine"]["detail"]
        assert "secret" not in json.dumps(health)
        unready = await http.get("/readyz")
        assert unready.status_code == 503
        assert "Redis at 127.0.0.1:1 can't be reached" in unready.json()["detail"]
        for path, body in (
            ("/broadcast/orderbook?symbol=AAPL", BOOK),
            (
                "/broadcast",
                {"updates": [{"channel": "orderbook", "symbol": "AAPL", "data": BOOK}]},
            ),
        ):
            answer = await http.post(path, json=body)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["code"] == "engine_unavailable"
        assert await client.silent()


async def test_a_node_can_be_told_to_do_without_redis_for_its_own_clients() -> None:
    """Publications go to them alone, under an epoch of its own; and /readyz can be made to tell."""
    async with (
        serve(
            port=0,
            redis_url=NO_REDIS,
            engine_down_publish="local",
            ready_without_redis=False,
        ) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
        connect(server.ws_url + "me?symbols=AAPL") as client,
    ):
        await client.hear()
        answer = (await http.post("/broadcast/orderbook?symbol=AAPL", json=BOOK)).json()
        assert answer["epoch"].startswith("local-")
        assert (await client.hear())["data"] == BOOK
        unready = await http.get("/readyz")
        assert unready.status_code == 503
        assert "can't be reached" in unready.json()["detail"]


async def test_a_v1_publisher_is_told_that_the_engine_is_away() -> None:
    """Each of its publications is refused, and it may try again."""
    async with (
        serve(port=0, redis_url=NO_REDIS) as server,
        connect(server.ws_url + "me?protocol=bookcast.v1") as client,
    ):
        await client.hear()
        publish = {"action": "publish", "channel": "orderbook", "symbol": "AAPL", "data": BOOK}
        refusal = await client.ask({**publish, "id": 1})
        assert (refusal["code"], refusal["id"]) == ("engine_unavailable", 1)
        assert refusal["retry_after_ms"] > 0


async def test_draining_tells_v1_clients_when_to_come_back() -> None:
    """Each at its time; base clients are simply closed, with the code that asks them back."""
    async with (
        serve(port=0, drain_seconds=0.4) as server,
        connect(server.ws_url + "v1?protocol=bookcast.v1") as v1,
        connect(server.ws_url + "base") as base,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        await v1.hear()
        assert await base.silent()
        draining = asyncio.create_task(server.drain())
        away = await v1.hear()
        assert away["type"] == "going_away"
        assert 0 <= away["reconnect_in_ms"] <= 400
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/livez")).status_code == 200
        async with asyncio.timeout(PATIENCE):
            await draining
            await v1.connection.wait_closed()
            await base.connection.wait_closed()
        assert v1.connection.close_code == base.connection.close_code == CloseCode.RESTART


async def test_without_redis_sessions_end_with_the_process() -> None:
    """After 1012 a client subscribes anew, in both protocols."""
    subscribe = {"action": "subscribe", "symbol": "AAPL"}
    async with (
        serve(port=0) as server,
        connect(server.ws_url + "me?protocol=bookcast.v1") as v1,
        connect(server.ws_url + "base") as base,
    ):
        token = (await v1.hear())["session"]
        await v1.ask(subscribe)
        await base.ask(subscribe)
        await server.stop()
        for client in (v1, base):
            await client.connection.wait_closed()
            assert client.connection.close_code == CloseCode.RESTART
        await server.start()
        async with (
            connect(server.ws_url + "me?protocol=bookcast.v1") as v1_again,
            connect(server.ws_url + "base") as base_again,
        ):
            await v1_again.hear()
            answer = await v1_again.ask({"action": "resume", "session": token})
            assert answer["code"] == "unknown_session"
            await server.publish("AAPL", BOOK)
            assert await base_again.silent()


async def test_a_second_word_ends_a_drain() -> None:
    """The drain doesn't wait for the rest of its time."""
    async with serve(port=0, drain_seconds=600) as server, connect(server.ws_url + "me") as client:
        assert await client.silent()
        hurry = asyncio.Event()
        draining = asyncio.create_task(server.drain(hurry=hurry))
        await asyncio.sleep(0)
        hurry.set()
        async with asyncio.timeout(PATIENCE):
            await draining


async def test_an_embedding_programs_debug_log_tells_the_whole_story(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Connections, messages and where updates went, under bookcast's own logger names."""
    with caplog.at_level(logging.DEBUG, "bookcast"):
        async with serve(port=0) as server, connect(server.ws_url + "me") as client:
            await client.subscribe("AAPL")
            await server.publish("AAPL", BOOK)
            await client.hear()
    assert all(
        words in caplog.text
        for words in (
            "connection opened",
            'message received: b\'{"action": "subscribe", "symbol": "AAPL"}\'',
            "topic subscribed",
            "orderbook:US.AAPL seq 1 as AAPL: sent to 1",
            "connection closed",
        )
    )
    about = [vars(one) for one in caplog.records if "client_id" in vars(one)]
    assert {(one["client_id"], one["connection"]) for one in about} == {("me", 1)}
    assert {one["symbol"] for one in about if "symbol" in one} == {"US.AAPL"}


async def test_what_another_release_wrote_and_this_one_cant_read_is_told(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, to v1 clients; it is counted, the node is degraded, and the next ones are shown."""
    async with (
        serve(port=0, redis_url=redis_url) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
        connect(server.ws_url + "me", subprotocols=["bookcast.v1"]) as client,
    ):
        assert isinstance(server.parts.backend.engine, RedisEngine)
        link = server.parts.backend.engine._link
        await client.hear()
        await client.ask({"action": "subscribe", "channel": "trades", "symbol": "AAPL"})
        assert (await client.hear())["state"] == "pending"
        trade: TradeData = {"price": 1, "size": 1, "timestamp": 1_767_225_600_000}
        first = await server.publish("AAPL", {"trades": [trade]}, channel="trades")
        assert (await client.hear())["seq"] == 1
        await written_by_another(link, TRADES, *[b"of another release"] * 5)
        await server.publish("AAPL", {"trades": [trade]}, channel="trades")
        heard = [await client.hear()]
        while heard[-1].get("seq") != 7:
            heard.append(await client.hear())
        assert [one for one in heard if one["type"] == "gap"] == [
            {
                "type": "gap",
                "channel": "trades",
                "symbol": "AAPL",
                "epoch": first.epoch,
                "from_seq": 2,
                "to_seq": 6,
                "reason": "unreadable",
            }
        ]
        assert (heard[-1]["epoch"], heard[-1]["prev_seq"]) == (first.epoch, 6)
        assert "bookcast_engine_unreadable_total 5.0" in (await http.get("/metrics")).text
        health = (await http.get("/health")).json()
        assert health["status"] == "degraded"
        assert health["engine"]["state"] == "connected"
        assert "trades:US.AAPL, seq" in health["engine"]["detail"]
        assert (await http.get("/readyz")).status_code == 200
        client.connection.transport.abort()
    told = [one for one in caplog.records if "can't read what another wrote" in one.getMessage()]
    assert len(told) == 1
    assert not any(one.exc_info for one in caplog.records)


async def test_another_threads_loop_publishes_at_once(server: Server) -> None:
    """It awaits publish() as the server's own loop does, and gets the place or the fault."""

    async def publish() -> None:
        begun = asyncio.get_running_loop().time()
        published = await server.publish("AAPL", BOOK)
        assert (published.seq, published.subscribers) == (1, 1)
        with pytest.raises(InvalidInput, match="asks is missing"):
            await server.publish("AAPL", {"bids": []})  # type: ignore[call-overload] # the point
        assert asyncio.get_running_loop().time() - begun < PATIENCE

    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        await asyncio.to_thread(asyncio.run, publish())
        assert (await client.hear())["data"] == BOOK


async def test_tables_are_published_row_by_row(server: Server) -> None:
    """Trades together; one wrong row is named, and nothing is published."""
    bars = pd.DataFrame(
        {"open": [1.0, 2.0], "high": [1.0, 2.0], "low": [1.0, 2.0], "close": [1.0, 2.0]}
        | {"volume": [3, 4]},
        index=pd.date_range("2026-01-05", periods=2, freq="min", tz="UTC", name="time"),
    )
    assert (await server.publish("A", bars, channel="candles", period="1m")).seq == 2
    trades = pd.DataFrame({"price": [1.5, 1.6], "size": [1, 2]})
    assert (await server.publish("A", trades, channel="trades")).seq == 1
    bars.iloc[1, 0] = float("nan")
    with pytest.raises(InvalidInput, match=r"^\[1\].open: NaN isn't a number"):
        await server.publish("A", bars, channel="candles", period="1m")
    bars.iloc[1, 0] = 9
    with pytest.raises(InvalidInput, match=r"^\[1\].high: 2.0 isn't the highest") as caught:
        await server.publish("A", bars, channel="candles", period="1m")
    assert caught.value.path == "[1].high"


async def test_json_text_is_published_in_process(server: Server) -> None:
    """As bytes or as text."""
    for text in ('{"last": 1}', b'{"last": 1}'):
        await server.publish("A", text, channel="quote")
    with pytest.raises(InvalidInput, match="Not valid JSON"):
        await server.publish("A", "{", channel="quote")
