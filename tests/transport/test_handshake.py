import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
import websockets.exceptions

from bookcast import Server, serve
from bookcast.auth.jwks import UnknownKey
from bookcast.transport.handshake import HandshakeHandler
from tests.conftest import LOOPS
from tests.sessions.world import SECRET
from tests.support import (
    PATIENCE,
    Client,
    connect,
    eventually,
    handshake,
    masked_frame,
    registry_of,
    websockets_of,
)

BOOK: Any = {"bids": [[189.5, 300]], "asks": [[189.6, 100]]}
V1 = "bookcast.v1"


def token(sub: str = "alice", *, lasts: float = 100, **claims: object) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + lasts, **claims}, SECRET, algorithm="HS256")


@asynccontextmanager
async def guarded(**settings: Any) -> AsyncIterator[Server]:
    async with serve(port=0, auth_mode="jwt", auth_jwt_secret=SECRET, **settings) as server:
        yield server


async def refused(url: str, **options: Any) -> tuple[int, str, Any]:
    """Give status, sentence and headers of a handshake that is refused."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        async with connect(url, **options):
            pass
    response = caught.value.response
    return response.status_code, (response.body or b"").decode(), response.headers


async def closed(client: Client) -> int:
    """Wait for the end, and give its code."""
    try:
        while True:
            await client.hear()
    except websockets.exceptions.ConnectionClosed as end:
        assert end.rcvd is not None
        return end.rcvd.code


@pytest.mark.parametrize(
    ("headers", "protocols", "answered"),
    [
        ({"Authorization": "Bearer {}"}, None, None),
        ({"Authorization": "Bearer {}"}, [V1], V1),
        ({}, ["bearer.{}", "bookcast.base"], "bookcast.base"),
        ({}, [V1, "bearer.{}"], V1),
        ({}, ["base64url.bearer.authorization.k8s.io.{b64}", V1], V1),
    ],
)
async def test_a_token_may_stand_in_a_header_or_among_the_subprotocols(
    headers: dict[str, str], protocols: list[str] | None, answered: str | None
) -> None:
    """The answer names the protocol that is spoken, never the token."""
    good = token()
    b64 = base64.urlsafe_b64encode(good.encode()).decode().rstrip("=")
    filled = [one.format(good, b64=b64) for one in protocols] if protocols else None
    async with (
        guarded() as server,
        connect(
            server.ws_url + "me",
            additional_headers={name: value.format(good) for name, value in headers.items()},
            subprotocols=filled,
        ) as client,
    ):
        assert client.connection.subprotocol == answered
        assert (await client.hear())["type"] == "welcome" if answered == V1 else True
        assert (await client.subscribe("AAPL"))["type"] == "subscription_confirmed"


async def test_a_token_in_the_address_has_to_be_short_lived() -> None:
    """Addresses end up in logs."""
    async with guarded() as server:
        async with connect(f"{server.ws_url}me?token={token(lasts=60)}&symbols=AAPL") as client:
            assert (await client.hear())["type"] == "subscription_confirmed"
        url = f"{server.ws_url}me?token={token(lasts=3600)}"
        status, sentence, headers = await refused(url)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "AUTH_QUERY_TOKEN_SECONDS" in sentence


async def test_who_comes_without_a_token_may_send_it_first() -> None:
    """Nothing else is served until then, but a ping."""
    async with guarded() as server, connect(server.ws_url + "me?symbols=AAPL") as client:
        assert await client.ask({"action": "ping"}) == {"type": "pong"}
        assert "authenticate" in (await client.subscribe("AAPL"))["message"]
        assert await client.ask({"action": "authenticate", "token": token()}) == {
            "type": "authenticated"
        }
        assert await client.hear() == {"type": "subscription_confirmed", "symbol": "AAPL"}
        await server.publish("AAPL", BOOK)
        assert (await client.hear())["type"] == "orderbook_update"


async def test_a_v1_client_is_welcomed_and_told_to_authenticate() -> None:
    """With how long it has for that, and how long its token holds."""
    async with guarded() as server, connect(server.ws_url + "me", subprotocols=[V1]) as client:
        assert (await client.hear())["authenticate_within_ms"] == 10_000
        error = await client.ask({"action": "list", "id": 1})
        assert (error["code"], error["id"]) == ("unauthenticated", 1)
        answer = await client.ask({"action": "authenticate", "token": token(), "id": 2})
        assert (answer["type"], answer["id"]) == ("authenticated", 2)
        assert 90_000 < answer["expires_in_ms"] <= 100_000
        assert (await client.ask({"action": "list"}))["type"] == "list"


async def test_who_never_says_who_they_are_is_closed() -> None:
    """With a code that asks not to come back."""
    async with guarded(auth_timeout=0.2) as server, connect(server.ws_url + "me") as client:
        assert await closed(client) == 4503


async def test_a_wrong_token_is_told_and_closes() -> None:
    """In band as at the door."""
    wrong = jwt.encode({"sub": "alice"}, "x" * 32, algorithm="HS256")
    async with guarded() as server:
        async with connect(server.ws_url + "me") as client:
            told = await client.ask({"action": "authenticate", "token": wrong})
            assert "Signature verification failed" in told["message"]
            assert await closed(client) == 4503
        bearer = {"Authorization": f"Bearer {wrong}"}
        status, sentence, _ = await refused(server.ws_url + "me", additional_headers=bearer)
        assert (status, "Signature" in sentence) == (401, True)


@pytest.mark.parametrize(("lasts", "code"), [(-100, 4010), (None, 4503)])
async def test_a_page_learns_in_band_what_is_wrong_with_its_token(
    lasts: float | None, code: int
) -> None:
    """It never sees the answer to its handshake."""
    shown = token(lasts=lasts) if lasts is not None else "nonsense"
    async with (
        guarded() as server,
        connect(
            server.ws_url + "me",
            origin=server.http_url,
            subprotocols=["bookcast.base", f"bearer.{shown}"],
        ) as client,
    ):
        assert (await client.hear())["type"] == "error"
        assert await closed(client) == code
        assert server.connection_count == 0


async def test_a_connection_ends_with_its_token_after_a_notice() -> None:
    """A base client is not told, only closed."""
    async with guarded() as server:
        bearer = {"Authorization": f"Bearer {token(lasts=2)}"}
        async with (
            connect(server.ws_url + "v1", additional_headers=bearer, subprotocols=[V1]) as v1,
            connect(server.ws_url + "base", additional_headers=bearer) as base,
        ):
            await v1.hear()
            notice = await v1.hear()
            assert notice["type"] == "token_expiring"
            assert 0 < notice["in_ms"] <= 2000
            assert await closed(v1) == 4010
            assert await closed(base) == 4010


async def test_each_token_has_one_notice_at_half_of_its_time() -> None:
    """The same token once more is no other one; the next has a notice of its own."""
    async with guarded() as server:
        first, second = token(lasts=2), token(lasts=3)
        bearer = {"Authorization": f"Bearer {first}"}
        async with connect(
            server.ws_url + "me", additional_headers=bearer, subprotocols=[V1]
        ) as client:
            await client.hear()
            notice = await client.hear()
            assert notice["type"] == "token_expiring"
            assert 0 < notice["in_ms"] <= 1000
            for again in (first, second):
                answer = await client.ask({"action": "authenticate", "token": again})
                assert answer["type"] == "authenticated"
            left = answer["expires_in_ms"]
            notice = await client.hear()
            assert notice["type"] == "token_expiring"
            assert 0 < notice["in_ms"] <= left / 2


async def test_another_token_keeps_the_connection() -> None:
    """It may bring other rights: what they no longer hold for ends, with a reason."""
    async with guarded() as server:
        bearer = {"Authorization": f"Bearer {token(lasts=1.5)}"}
        url = server.ws_url + "me?symbols=AAPL,TSLA"
        async with connect(url, additional_headers=bearer, subprotocols=[V1]) as client:
            for _ in range(5):
                await client.hear()
            poorer = token(bookcast={"symbols": ["US.TSLA"]})
            await client.say({"action": "authenticate", "token": poorer})
            heard = [await client.hear() for _ in range(2)]
            assert [one["type"] for one in heard] == ["authenticated", "error"]
            assert (heard[1]["code"], heard[1]["symbol"]) == ("forbidden", "AAPL")
            other = await client.ask({"action": "authenticate", "token": token("bob")})
            assert other["code"] == "forbidden"
            await asyncio.sleep(1.6)
            listed = await client.ask({"action": "list"})
            assert [one["symbol"] for one in listed["subscriptions"]] == ["TSLA"]


async def test_rights_limit_what_a_client_sees_and_how() -> None:
    """The confirmation tells the view that it has."""
    claims = {
        "symbols": ["US.*"],
        "channels": ["orderbook"],
        "max_depth": 1,
        "min_interval_ms": 500,
        "max_subscriptions": 1,
    }
    deep: Any = {"bids": [[2, 1], [1, 1]], "asks": [[3, 1], [4, 1]], "mine": True}
    async with guarded() as server:
        await server.publish("AAPL", deep)
        bearer = {"Authorization": f"Bearer {token(bookcast=claims)}"}
        url = server.ws_url + "me"
        async with connect(url, additional_headers=bearer, subprotocols=[V1]) as client:
            await client.hear()
            confirmed = await client.ask({"action": "subscribe", "symbol": "AAPL", "depth": 5})
            assert confirmed["view"] == {"depth": 1, "mode": "full", "interval_ms": 500}
            assert (await client.hear())["data"] == {"bids": [[2, 1]], "asks": [[3, 1]]}
            for wrong, code in (
                ({"symbol": "HK.00700"}, "forbidden"),
                ({"symbol": "AAPL", "channel": "trades"}, "forbidden"),
                ({"symbol": "TSLA"}, "too_many_subscriptions"),
            ):
                assert (await client.ask({"action": "subscribe", **wrong}))["code"] == code
            quote = {"action": "publish", "channel": "quote", "symbol": "A", "data": {"last": 1}}
            assert (await client.ask(quote))["code"] == "forbidden"
        async with connect(server.ws_url + "base", additional_headers=bearer) as client:
            await client.subscribe("AAPL")
            book = (await client.hear())["data"]
            assert book == {"bids": [[2, 1]], "asks": [[3, 1]], "mine": True}


async def test_a_principal_has_so_many_connections() -> None:
    """By its own word, or by whoever let it in."""
    async with guarded(max_connections_per_principal=1) as server:
        bearer = {"Authorization": f"Bearer {token()}"}
        async with connect(server.ws_url + "one", additional_headers=bearer):
            status, sentence, headers = await refused(
                server.ws_url + "two", additional_headers=bearer
            )
            assert (status, headers["Retry-After"]) == (429, "5")
            assert "MAX_CONNECTIONS_PER_PRINCIPAL" in sentence
            async with connect(server.ws_url + "two") as client:
                told = await client.ask({"action": "authenticate", "token": token()})
                assert "MAX_CONNECTIONS_PER_PRINCIPAL" in told["message"]
                assert await closed(client) == 1013
        await eventually(lambda: server.connection_count == 0, "the first to leave")
        async with connect(server.ws_url + "one", additional_headers=bearer):
            pass


async def test_an_address_has_so_many_connections_and_a_page_is_told_in_band() -> None:
    """The others are answered with 429 and when to try again."""
    async with (
        serve(port=0, max_connections_per_address=2) as server,
        connect(server.ws_url + "one"),
        connect(server.ws_url + "two"),
    ):
        status, sentence, headers = await refused(server.ws_url + "three")
        assert (status, headers["Retry-After"]) == (429, "5")
        assert "TRUSTED_PROXIES" in sentence
        async with connect(server.ws_url + "page", origin=server.http_url) as page:
            assert "MAX_CONNECTIONS_PER_ADDRESS" in (await page.hear())["message"]
            assert await closed(page) == 1013


async def test_the_server_has_so_many_connections() -> None:
    """503, and when to try again."""
    async with serve(port=0, max_connections=1) as server, connect(server.ws_url + "one"):
        status, sentence, headers = await refused(server.ws_url + "two")
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "MAX_CONNECTIONS" in sentence


async def test_users_behind_a_trusted_proxy_are_told_apart() -> None:
    """By the address that it writes last."""
    async with serve(
        port=0, max_connections_per_address=1, trusted_proxies=["127.0.0.1"]
    ) as server:
        forwarded = {"X-Forwarded-For": "9.9.9.9, 192.0.2.1"}
        async with (
            connect(server.ws_url + "a", additional_headers=forwarded),
            connect(server.ws_url + "b", additional_headers={"X-Forwarded-For": "192.0.2.2"}),
        ):
            status, _, _ = await refused(
                server.ws_url + "c", additional_headers={"X-Forwarded-For": "192.0.2.1"}
            )
    assert status == 429


async def test_a_proxy_that_is_not_trusted_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Loudly, with the setting's name, and not at each request."""
    async with serve(port=0) as server:
        for client_id in ("a", "b"):
            async with connect(
                server.ws_url + client_id, additional_headers={"X-Forwarded-For": "192.0.2.1"}
            ):
                pass
    [warning] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "TRUSTED_PROXIES" in warning.getMessage()


async def test_what_is_refused_is_counted_by_its_reason() -> None:
    """In the statistics and for Prometheus."""
    async with guarded() as server, httpx.AsyncClient(base_url=server.http_url) as http:
        await refused(server.ws_url + "me?token=nonsense")
        stats = (await http.get("/stats")).json()
        metrics = (await http.get("/metrics")).text
    assert stats["refusals"] == {"invalid_token": 1}
    assert 'bookcast_refusals_total{reason="invalid_token"} 1.0' in metrics


async def test_a_proxy_may_say_who_somebody_is() -> None:
    """Who comes past it is nobody."""
    async with serve(port=0, auth_mode="proxy", trusted_proxies=["127.0.0.1"]) as server:
        said = {"X-Forwarded-User": "alice", "X-Forwarded-For": "192.0.2.1"}
        async with connect(
            server.ws_url + "me", additional_headers=said, origin=server.http_url
        ) as client:
            assert (await client.subscribe("AAPL"))["type"] == "subscription_confirmed"
        status, _, _ = await refused(server.ws_url + "me", additional_headers=said)
        assert status == 403  # a proxy's word counts for pages of this server alone
        status, _, _ = await refused(server.ws_url + "me")
        assert status == 401


async def test_a_client_that_drops_finds_its_session_over_real_sockets() -> None:
    """The newest book of each symbol that moved; /stats tells of it."""
    async with serve(port=0) as server, httpx.AsyncClient(base_url=server.http_url) as http:
        async with connect(server.ws_url + "me?symbols=AAPL,TSLA") as client:
            await client.hear()
            await client.hear()
            await server.publish("TSLA", BOOK)
            await client.hear()
            client.connection.transport.close()
            await eventually(lambda: server.connection_count == 0, "the client to be lost")
        assert (await http.get("/stats")).json()["sessions"]["parked"] == 1
        assert (await server.publish("AAPL", BOOK | {"n": 1})).subscribers == 0
        await server.publish("AAPL", BOOK | {"n": 2})
        async with connect(server.ws_url + "me") as client:
            book = await client.hear()
            assert (book["symbol"], book["data"]["n"]) == ("AAPL", 2)
            assert await client.silent()
            sessions = (await http.get("/stats")).json()["sessions"]
            assert sessions == {"connected": 1, "parked": 0, "resumed": 1, "expired": 0}


async def test_two_tabs_with_one_id_live_side_by_side() -> None:
    """A browser answers pings by itself."""
    async with (
        serve(port=0) as server,
        connect(server.ws_url + "tab?symbols=AAPL") as first,
        connect(server.ws_url + "tab?symbols=TSLA") as second,
    ):
        await first.hear()
        await second.hear()
        await eventually(lambda: registry_of(server).ownership.duplicates == 1, "the answer")
        await server.publish("AAPL", BOOK)
        await server.publish("TSLA", BOOK)
        assert (await first.hear())["symbol"] == "AAPL"
        assert (await second.hear())["symbol"] == "TSLA"
        assert await asyncio.wait_for(first.silent(), PATIENCE)


async def test_a_connection_that_answers_no_ping_is_closed() -> None:
    """A half-open one would be kept for ever."""
    async with (
        serve(port=0, ping_interval=0.3, ping_timeout=0.3) as server,
        connect(server.ws_url + "me?symbols=AAPL") as client,
    ):
        await client.hear()
        client.connection.transport.pause_reading()
        await eventually(lambda: server.connection_count == 0, "the end")
        assert registry_of(server).ownership.lost == 1
        client.connection.transport.abort()


@pytest.mark.parametrize("anyio_backend", LOOPS.values(), ids=LOOPS)
async def test_a_book_published_while_a_client_closes_is_not_taken_for_read(
    anyio_backend: object,
) -> None:
    """It is sent again when the client comes back, for nobody can tell."""
    async with serve(port=0) as server:
        for number in range(30):
            async with connect(f"{server.ws_url}me{number}?symbols=AAPL") as client:
                await client.hear()
                client.connection.transport.close()
                for step in range(3):
                    await server.publish("AAPL", BOOK | {"n": number * 10 + step})
                    await asyncio.sleep(0)
            await eventually(lambda: server.connection_count == 0, "the client to be lost")
            async with connect(f"{server.ws_url}me{number}") as client:
                # Under load, the last one may still be waiting for company.
                while (await client.hear())["data"]["n"] != number * 10 + 2:
                    pass


@pytest.mark.parametrize(
    "headers",
    [
        ["Sec-WebSocket-Extensions: ", "Sec-WebSocket-Protocol: "],
        ["Sec-WebSocket-Extensions: ,", "Sec-WebSocket-Protocol: , ,"],
        ['Sec-WebSocket-Extensions: , foo; x="ab",', "Sec-WebSocket-Protocol: ,bookcast.base"],
        ["Sec-WebSocket-Protocol: ", "Sec-WebSocket-Protocol: bookcast.base"],
        ["Origin: file://", "Content-Length: 0"],
    ],
)
@pytest.mark.parametrize("path", ["/ws/me", "/ws/me/", "//ws//me", "/ws/me/?symbols="])
async def test_what_says_nothing_changes_nothing(
    server: Server, headers: list[str], path: str
) -> None:
    """Empty elements of a list, or a slash too many."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake(path, *headers))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    offered = any("bookcast.base" in header for header in headers)
    assert (b"Sec-WebSocket-Protocol: bookcast.base" in head) is offered
    assert [one._session.client_id for one in websockets_of(server) if one._session] == ["me"]
    writer.close()


async def test_who_offers_only_other_subprotocols_is_answered_with_none_and_logged(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a minute, by the page, and without their names: one may be a token."""
    for offered in (["graphql-ws", "sEcReT.token"], ["graphql-ws"], [V1, "graphql-ws"], None):
        async with connect(
            server.ws_url + "me", subprotocols=offered, origin=server.http_url
        ) as client:
            assert client.connection.subprotocol == (V1 if V1 in (offered or ()) else None)
    [line] = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert server.http_url in line.getMessage()
    assert "bookcast.v1" in line.getMessage()
    assert "sEcReT" not in caplog.text


async def test_a_refused_page_is_counted_each_time_and_logged_once(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Over HTTP and WebSocket together, with the setting that would let it in."""
    caplog.set_level(logging.INFO)
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        for _ in range(2):
            await refused(server.ws_url + "me", origin="https://evil.example")
            await http.get("/health", headers={"Origin": "https://evil.example"})
    lines = [one for one in caplog.records if "evil.example" in one.getMessage()]
    assert len(lines) == 1
    assert "ALLOWED_ORIGINS" in lines[0].getMessage()
    assert server._refusals.counts["origin_not_allowed"] == 4


async def test_what_comes_behind_a_handshake_waits_for_the_keys_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When whoever signs tokens has to be asked first."""
    asked = asyncio.Event()
    admit = HandshakeHandler.admit

    def admit_when_asked(self: HandshakeHandler, *arguments: Any) -> Any:
        if not asked.is_set():
            raise UnknownKey("a key that isn't known yet")
        return admit(self, *arguments)

    async def ask(_self: HandshakeHandler) -> None:
        asked.set()

    monkeypatch.setattr(HandshakeHandler, "admit", admit_when_asked)
    monkeypatch.setattr(HandshakeHandler, "ask_for_keys", ask)
    async with serve(port=0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake("/ws/me") + masked_frame(1, b'{"action":"ping"}'))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        assert b"pong" in await asyncio.wait_for(reader.readexactly(16), PATIENCE)
        writer.close()


@pytest.mark.parametrize(
    "query",
    [
        "symbols=AAPL,%20TSLA",
        "symbols=AAPL,+TSLA",
        "symbols=%20AAPL%20,,TSLA,",
        "symbols=AAPL&symbols=%09TSLA",
        "symbols=AAPL%2C%0ATSLA,AAPL",
    ],
)
async def test_spaces_around_symbols_of_an_address_say_nothing(server: Server, query: str) -> None:
    """Each symbol is confirmed once, in its order."""
    async with connect(f"{server.ws_url}me?{query}") as client:
        await client.say({"action": "ping"})
        assert [(await client.hear()).get("symbol") for _ in range(3)] == ["AAPL", "TSLA", None]


async def test_a_symbol_of_an_address_that_is_none_names_itself(server: Server) -> None:
    """And spoils no other, in both protocols."""
    query = f"me?symbols=AAPL,{'x' * 65},HK.,TSLA"
    async with connect(server.ws_url + query) as base:
        heard = [await base.hear() for _ in range(4)]
    assert [one.get("symbol") for one in heard] == ["AAPL", None, None, "TSLA"]
    assert "'" + "x" * 64 + "…'" in heard[1]["message"]
    assert "'HK.'" in heard[2]["message"]
    async with connect(server.ws_url + query, subprotocols=[V1]) as client:
        heard = [await client.hear() for _ in range(5)][1:]
    assert [one["type"] for one in heard if one["type"] != "status"][:2] == [
        "subscription_confirmed",
        "error",
    ]
