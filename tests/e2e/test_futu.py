"""From a simulated OpenD to WebSocket clients, and what they are sent when OpenD fails."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from bookcast import serve
from bookcast.server import Server
from tests.auth.keyring import SECRET, sign
from tests.fakes.opend import SUB, Controller, samples
from tests.support import PATIENCE, Client, connect, eventually

BOOK = {"code": "US.AAPL", "bids": [[189.5, 300, 4]], "asks": [[189.6, 100, 2]]}


@pytest.fixture
def opend() -> Iterator[Controller]:
    """Yield a simulated OpenD."""
    controller = Controller()
    yield controller
    controller.close()


@pytest.fixture
async def server(opend: Controller) -> AsyncIterator[Server]:
    """Yield a server that the simulated OpenD feeds."""
    async with serve(port=0, feed="futu", futu_port=opend.port) as running:
        yield running


async def subscribed(ws: Client, symbol: str = "AAPL", **more: Any) -> Any:
    """Subscribe as a bookcast.v1 client, and return the confirmation."""
    await ws.say({"action": "subscribe", "symbol": symbol, **more})
    return await until(ws, "subscription_confirmed")


async def until(ws: Client, kind: str, **fields: Any) -> Any:
    """Return the next message of this type with these fields; skip all messages before it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            message = await ws.hear()
            if message["type"] == kind and all(message.get(k) == v for k, v in fields.items()):
                return message


async def test_every_channel_reaches_its_clients(opend: Controller, server: Server) -> None:
    """With its numbers as OpenD sent them."""
    quote = {"last": 5.5, "open": 5, "high": 6, "low": 5, "prev_close": 5, "volume": 10.5}
    trade = {"sequence": 7, "time": 1_700_000_000.25, "price": 5.5, "size": 0.5, "dir": 2}
    candle = {"time": 1_700_000_040, "open": 5, "high": 6, "low": 5, "close": 5.5, "volume": 9}
    point = {"time": 1_700_000_040, "price": 5.5, "average": 5.4, "prev_close": 5, "volume": 9}
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
        for channel in ("quote", "trades", "brokers", "timeframe"):
            await subscribed(ws, channel=channel)
        await subscribed(ws, channel="candles", period="1m")
        await subscribed(ws, variant="odd")
        await eventually(lambda: len(opend.held()) == 6, "all")
        opend.push_quotes({"code": "US.AAPL", "turnover": 55.5, **quote})
        data = (await until(ws, "quote_update"))["data"]
        more = {"amplitude": 20, "turnover_rate": 0, "tick_size": 0.01, "security_status": "normal"}
        told = {"turnover": 55.5, "suspended": False, "session": "regular"}
        assert data == {**quote, **told, **more}
        opend.push_trades("US.AAPL", trade)
        [got] = (await until(ws, "trade"))["data"]["trades"]
        assert got == {
            "price": 5.5,
            "size": 0.5,
            "side": "sell",
            "timestamp": 1_700_000_000_250,
            "id": 7,
            "turnover": 2.75,
        }
        opend.push_candles("US.AAPL", "1m", {**candle, "turnover": 1.5})
        told = await until(ws, "candle_update")
        assert (told["period"], told["data"]["time"]) == ("1m", 1_699_999_980_000)
        assert (told["data"]["close"], told["data"]["final"]) == (5.5, False)
        opend.push_brokers("US.AAPL", [[1, "One", 1]], [[2, "Two", 1]])
        assert (await until(ws, "brokers_update"))["data"]["bids"] == [
            {"id": 1, "name": "One", "pos": 1}
        ]
        opend.push_points("US.AAPL", {**point, "turnover": 1.5})
        minute = await until(ws, "timeframe_update")
        assert (minute["data"]["average"], minute["data"]["time"]) == (5.4, 1_699_999_980_000)
        assert minute["ts"][0] is None
        opend.push(BOOK | {"type": 1})
        odd = await until(ws, "orderbook_update")
        assert (odd["variant"], odd["data"]["bids"]) == ("odd", [[189.5, 300, 4]])


async def test_what_is_special_about_a_symbol_reaches_its_clients(
    opend: Controller, server: Server
) -> None:
    """Options, grey markets, odd lots and brokers' single orders arrive; 0 is sent as 0."""
    greeks = {"delta": 0, "gamma": 0.01, "vega": 0.2, "theta": -0.05, "rho": 0}
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
        option, share = "US.AAPL260914C332500", "HK.00700"
        for symbol, channel in (
            *((option, "quote"), (share, "quote")),
            *(("US.AAPL", "trades"), (share, "trades"), (share, "brokers")),
        ):
            await subscribed(ws, symbol, channel=channel)
        await eventually(lambda: len(opend.held()) == 5, "all")
        opend.push_quotes(
            {"code": option, "last": 4.5}
            | {"option": {"strike": 332.5, "size": 100, "iv": 31.5, **greeks, "style": 1}}
        )
        data = (await until(ws, "quote_update"))["data"]
        known = {"strike": 332.5, "size": 100, "iv": 31.5, "oi": 0, "premium": 0}
        assert data["option"] == {**known, **greeks, "style": "american"}
        opend.push_quotes(samples.FIRST_QUOTE)
        opend.push_quotes(samples.FIRST_QUOTE | {"last": 500, "status": 6, "dark": 1})
        data = (await until(ws, "quote_update", symbol=share))["data"]
        assert (data["last"], data["dark"]) == (500, "trading")
        assert (data["security_status"], data["name"]) == ("grey_market", "TENCENT")
        opend.push_quotes({"code": share, "last": 500, "status": 18})
        halted = await until(ws, "status", symbol=share, channel="quote", state="halted")
        assert halted["reason"] == "a circuit breaker has stopped its trading"
        opend.push_trades("US.AAPL", *samples.ODD_LOTS)
        trades = (await until(ws, "trade", symbol="US.AAPL"))["data"]["trades"]
        assert [(one["condition"], one["updates_last"]) for one in trades] == [
            ("odd_lot", False),
            ("odd_lot", False),
        ]
        assert trades[0]["turnover"] == 363.4
        late, bulk = ({"sequence": n, "time": 1_700_000_000, "price": 5, "size": 1} for n in (1, 2))
        opend.push_trades(
            share, late | {"dir": 1, "type": 2, "sign": 80}, bulk | {"dir": 1, "type": 1}
        )
        first, second = (await until(ws, "trade", symbol=share))["data"]["trades"]
        assert (first["condition"], first["condition_sign"]) == ("late", 80)
        assert first["updates_last"] is False
        assert not {"condition", "condition_sign", "updates_last"} & set(second)
        opend.push_brokers(share, [[1, "One", 1, 2**60, 400]], [[2, "Two", 1]])
        queues = (await until(ws, "brokers_update"))["data"]
        one = {"id": 1, "name": "One", "pos": 1, "order": str(2**60), "size": 400}
        assert queues == {"bids": [one], "asks": [{"id": 2, "name": "Two", "pos": 1}]}


async def test_a_base_client_hears_why_its_symbol_does_not_come(
    opend: Controller, server: Server
) -> None:
    """In an error of its protocol, once."""
    opend.refuse(US_TSLA="unknown stock US.TSLA")
    async with connect(server.ws_url + "me") as ws:
        await ws.subscribe("TSLA")
        error = await ws.hear()
        assert error == {"type": "error", "message": "TSLA: unknown stock US.TSLA"}
        await ws.subscribe("AAPL")
        await eventually(lambda: opend.held() == ["US.AAPL:2"], "the other")
        opend.push(BOOK)
        assert (await ws.hear())["type"] == "orderbook_update"


async def test_a_refusal_is_an_error_with_opends_words(opend: Controller, server: Server) -> None:
    """And the subscription waits, until it is granted."""
    opend.refuse(US_AAPL="not today")
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
        await subscribed(ws)
        error = await until(ws, "error")
        assert (error["code"], error["message"]) == ("feed_refused", "not today")
        assert (error["channel"], error["symbol"]) == ("orderbook", "AAPL")
        why = await ws.ask({"action": "why", "symbol": "AAPL"})
        while why["type"] != "why":
            why = await ws.hear()
        assert (why["limited_by"], why["state"]) == ("right", "pending")


async def test_codes_in_other_forms_are_refused_with_a_hint(
    opend: Controller, server: Server
) -> None:
    """What the client typed stays on the wire; the hint, followed, brings data."""
    opend.define({"code": "HK.00700", "name": "TENCENT"}, {"code": "US.AAPL", "name": "Apple"})
    opend.know_only_defined()
    typed = {
        "hk.00700": "HK.00700",
        "700": "HK.00700",
        "AAPL  260914C00332500": "US.AAPL260914C332500",
        "^GSPC": "US..SPX",
        "BTC-USD": "CC.BTCUSD",
    }
    async with (
        connect(server.ws_url + "v1?protocol=bookcast.v1") as ws,
        connect(server.ws_url + "base") as base,
    ):
        for spelling, symbol in typed.items():
            await subscribed(ws, spelling)
            error = await until(ws, "error", symbol=spelling)
            assert (error["code"], error["did_you_mean"]) == ("feed_refused", [symbol])
            assert "unknown stock" in error["message"]
        await subscribed(ws, "ZZZZ")
        assert "did_you_mean" not in await until(ws, "error", symbol="ZZZZ")
        await base.subscribe("0700.HK")
        assert (await base.hear())["message"] == (
            "0700.HK: unknown stock 0700.HK; did you mean HK.00700?"
        )
        await base.subscribe("HK.00700")
        await eventually(lambda: opend.held() == ["HK.00700:2"], "the hint")
        opend.push(BOOK | {"code": "HK.00700"})
        assert (await base.hear())["symbol"] == "HK.00700"


async def test_a_hint_names_only_what_the_client_may_see(opend: Controller) -> None:
    """Each client by its own rights, of one topic."""
    opend.know_only_defined()
    async with serve(
        port=0, feed="futu", futu_port=opend.port, auth_mode="jwt", auth_jwt_secret=SECRET
    ) as server:
        told = {}
        for name, symbols in (("all", ["*"]), ("some", ["US.*", "SH.*"]), ("none", ["US.*"])):
            token = sign(sub=name, bookcast={"symbols": symbols})
            headers = {"Authorization": f"Bearer {token}"}
            url = server.ws_url + f"{name}?protocol=bookcast.v1"
            async with connect(url, additional_headers=headers) as ws:
                await subscribed(ws, "000001")
                told[name] = (await until(ws, "error")).get("did_you_mean")
    assert told == {"all": ["SZ.000001", "SH.000001"], "some": ["SH.000001"], "none": None}


async def test_a_future_of_hong_kong_is_one_topic_under_both_its_names(opend: Controller) -> None:
    """Each client sees the name that it used and needs a right to either; OpenD has it once."""
    code = "HK.HSImain"
    async with serve(
        port=0, feed="futu", futu_port=opend.port, auth_mode="jwt", auth_jwt_secret=SECRET
    ) as server:
        granted = [
            ("HK_FUTURE.HSImain", "HK.*"),
            ("HK.HSImain", "HK_FUTURE.*"),
            ("HK_FUTURE.HSImain", "HK_FUTURE.HSI*"),
        ]
        async with contextlib.AsyncExitStack() as stack:
            clients = []
            for spelling, pattern in granted:
                token = sign(sub=f"{spelling} {pattern}", bookcast={"symbols": [pattern]})
                headers = {"Authorization": f"Bearer {token}"}
                joining = connect(server.ws_url + "me", additional_headers=headers)
                client = await stack.enter_async_context(joining)
                await client.subscribe(spelling)
                clients.append((spelling, client))
            await eventually(lambda: opend.held() == [f"{code}:2"], "the subscription")
            opend.push(BOOK | {"code": code})
            for spelling, client in clients:
                assert (await client.hear())["symbol"] == spelling
            await clients[1][1].say({"action": "subscribe", "symbol": "HK.00700"})
            assert "no right to HK.00700" in (await clients[1][1].hear())["message"]


async def test_event_contracts_come_from_publishers_only(opend: Controller, server: Server) -> None:
    """The feed refuses them without asking OpenD; once they are published, nothing is amiss."""
    async with (
        connect(server.ws_url + "v1?protocol=bookcast.v1") as ws,
        connect(server.ws_url + "base") as base,
        httpx.AsyncClient(base_url=server.http_url) as http,
    ):
        await subscribed(ws, "EC.RAIN")
        error = await until(ws, "error")
        assert (error["code"], error["symbol"]) == ("feed_refused", "EC.RAIN")
        assert "publishers only" in error["message"]
        assert "did_you_mean" not in error
        await base.subscribe("EC.RAIN")
        assert (await base.hear())["type"] == "error"
        book = {"bids": [[0.4, 10]], "asks": [[0.5, 10]]}
        (await http.post("/broadcast/orderbook?symbol=EC.RAIN", json=book)).raise_for_status()
        await until(ws, "orderbook_update")
        assert (await base.hear())["type"] == "orderbook_update"
        await until(ws, "status", state="live")
        async with connect(server.ws_url + "late") as late:
            await late.subscribe("EC.RAIN")
            assert (await late.hear())["type"] == "orderbook_update"
        assert opend.held() == []
        assert SUB not in opend.requests()


async def test_waiting_for_quota_is_told_with_the_time_when_it_may_end() -> None:
    """Then the data come."""
    opend = Controller(quota=1)
    settings: Any = {"futu_min_subscription_seconds": 0.5, "futu_linger_seconds": 60}
    try:
        async with (
            serve(port=0, feed="futu", futu_port=opend.port, **settings) as server,
            connect(server.ws_url + "one?protocol=bookcast.v1") as one,
            connect(server.ws_url + "two?protocol=bookcast.v1") as two,
        ):
            await subscribed(one, "TSLA")
            await eventually(lambda: opend.held() == ["US.TSLA:2"], "the first")
            await subscribed(two)
            status = await until(two, "status", state="pending")
            while "quota" not in status:
                status = await until(two, "status", state="pending")
            assert status["quota"] == {
                "pool": "stock",
                "used": 1,
                "limit": 1,
                "next_free_ms": None,
            }
            await one.say({"action": "unsubscribe", "symbol": "TSLA"})
            await eventually(lambda: opend.held() == ["US.AAPL:2"], "the exchange")
            opend.push(BOOK)
            await until(two, "orderbook_update")
            await until(two, "status", state="live")
    finally:
        opend.close()


async def test_candles_begin_with_as_many_as_were_asked_for(
    opend: Controller, server: Server
) -> None:
    """Each client with its own number; then the one that is forming."""
    minutes = [
        {"time": 60 * n, "open": n, "high": n, "low": n, "close": n, "volume": n}
        for n in range(1, 31)
    ]
    opend.store_candles("US.AAPL", "1m", *minutes)
    more = {"channel": "candles", "period": "1m"}
    async with (
        connect(server.ws_url + "three?protocol=bookcast.v1") as three,
        connect(server.ws_url + "none?protocol=bookcast.v1") as none,
    ):
        await asyncio.gather(subscribed(three, history=3, **more), subscribed(none, **more))
        told = [await until(three, "candle_update") for _ in range(4)]
        assert [(c["data"]["close"], c["data"]["final"]) for c in told] == [
            (27, True),
            (28, True),
            (29, True),
            (30, False),
        ]
        first = await until(none, "candle_update")
        assert (first["data"]["close"], first["data"]["final"]) == (30, False)
        later = await subscribed(none, history=2, **more)
        assert later["seq"] is not None
        assert (await until(none, "candle_update"))["data"]["close"] == 28


async def test_every_client_hears_that_opend_is_gone_and_is_live_again_soon(
    opend: Controller, server: Server
) -> None:
    """Within two seconds each, or thrice as many where much else is going on."""
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as ws:
        await subscribed(ws)
        await eventually(lambda: opend.held() == ["US.AAPL:2"], "the subscription")
        opend.push(BOOK)
        await until(ws, "status", state="live")
        opend.stop_listening()
        gone = time.monotonic()
        down = await until(ws, "status", state="feed_down")
        assert time.monotonic() - gone < 6
        assert "OpenD at 127.0.0.1" in down["reason"]
        await asyncio.sleep(1)
        opend.listen()
        back = time.monotonic()
        await until(ws, "orderbook_update")
        await until(ws, "status", state="live")
        assert time.monotonic() - back < 6


async def test_securities_are_found_over_http(opend: Controller, server: Server) -> None:
    """With what a trader needs to know of them."""
    opend.define({"code": "US.AAPL", "name": "Apple Inc", "lot": 1, "spread": 0.01})
    async with httpx.AsyncClient(base_url=server.http_url) as http:
        feeds: list[Any] = []
        async with asyncio.timeout(PATIENCE):
            while not feeds or feeds[0]["state"] != "connected":
                feeds = (await http.get("/health")).json()["feeds"]
        found = (await http.get("/symbols?q=apple")).json()["symbols"]
        assert found == [
            {
                "symbol": "US.AAPL",
                "name": "Apple Inc",
                "kind": "stock",
                "lot_size": 1,
                "tick_size": 0.01,
                "session": "regular",
            }
        ]
