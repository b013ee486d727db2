import asyncio
import gc
import logging
import socket
import weakref
from typing import Any

import httpx
import pytest

from bookcast import Server, serve
from bookcast.compose import NodeTimes
from bookcast.http.server import HttpProtocol, HttpTimes
from bookcast.settings import from_keywords
from tests.conftest import LOOPS
from tests.support import PATIENCE, connect, eventually, handshake, websockets_of

HALF_A_POST = (
    b"POST /broadcast/orderbook?symbol=A HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
)


def server_with(times: HttpTimes, **settings: Any) -> Server:
    return Server(from_keywords(port=0, **settings), times=NodeTimes(http=times))


async def test_a_half_sent_request_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it waits for will not come."""
    server = server_with(HttpTimes(stop_seconds=100))
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HALF_A_POST)
    await writer.drain()
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        await http.get("/livez")
    await asyncio.wait_for(server.stop(), PATIENCE)
    assert "Traceback" not in caplog.text
    writer.close()


async def test_an_upgraded_connection_leaves_no_http_state_behind() -> None:
    """Parser and headers are freed at once, without waiting for a collection of cycles."""
    alive: weakref.WeakSet[HttpProtocol] = weakref.WeakSet()
    original = HttpProtocol.connection_made

    def connection_made(self: HttpProtocol, transport: asyncio.Transport) -> None:
        alive.add(self)
        original(self, transport)

    HttpProtocol.connection_made = connection_made  # type: ignore[method-assign] # a test stands in for it
    gc.disable()
    try:
        async with serve(port=0) as server, connect(server.ws_url + "me") as client:
            assert await client.silent()
            assert len(alive) == 0
    finally:
        gc.enable()
        HttpProtocol.connection_made = original  # type: ignore[method-assign] # a test stands in for it


@pytest.mark.parametrize("anyio_backend", LOOPS.values(), ids=LOOPS)
async def test_small_messages_are_not_held_back_for_company(
    anyio_backend: tuple[str, dict[str, bool]],
) -> None:
    """On no loop does the kernel wait for more to send."""
    async with serve(port=0) as server, connect(server.ws_url + "me") as client:
        assert await client.silent()
        [websocket] = websockets_of(server)
        sock = websocket._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_publisher_that_leaves_in_mid_body_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One line says why nothing was published, at level debug: anybody can cause many."""
    caplog.set_level(logging.DEBUG, "bookcast.ingest.publisher")
    async with serve(port=0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HALF_A_POST)
        await writer.drain()
        writer.close()
        await eventually(lambda: "left in mid-body" in caplog.text, "the line")
    assert "Traceback" not in caplog.text


async def answer_to(port: int, *pieces: bytes) -> bytes:
    """Send something, and give all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await asyncio.wait_for(reader.read(), PATIENCE)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("sent", "status", "word"),
    [
        (b"", b"408", b"head"),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n", b"408", b"head"),
        (HALF_A_POST, b"408", b"body"),
        (b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /l", b"408", b"head"),
    ],
)
async def test_who_does_not_finish_a_request_is_closed(
    sent: bytes, status: bytes, word: bytes
) -> None:
    """Whether nothing came, half a head, half a body, or half a second request."""
    async with serve(port=0, header_timeout=0.2) as server:
        answer = await answer_to(server.port, sent)
        assert answer.split(b"HTTP/1.1 ")[-1].startswith(status)
        assert word in answer
        assert server._refusals.counts["request_timeout"] == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez?" + b"x" * 20_000 + b" HTTP/1.1\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000,
        b"GET /livez HTTP/1.1\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"GET /ws/me HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: "
        + b"x" * 20_000
        + b"\r\n\r\n",
    ],
)
async def test_a_head_that_is_too_large_is_refused(head: bytes) -> None:
    """In its line, one header or many, whole or still coming."""
    async with serve(port=0) as server:
        answer = await answer_to(server.port, head)
        assert answer.startswith(b"HTTP/1.1 431")
        assert server._refusals.counts == {"header_too_large": 1}


async def test_what_is_not_http_is_answered_in_a_sentence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And makes no line in the log: there may be many."""
    async with serve(port=0) as server:
        assert (await answer_to(server.port, b"hello\r\n\r\n")).startswith(b"HTTP/1.1 400")
    assert "Invalid HTTP" not in caplog.text


async def test_an_idle_connection_is_kept_for_the_next_request() -> None:
    """The deadline of a head is for one that has begun."""
    async with (
        serve(port=0, header_timeout=0.2) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        await http.get("/livez")
        await asyncio.sleep(0.5)
        [connection] = server.parts.http.server_state.connections
        await http.get("/livez")
        assert [connection] == list(server.parts.http.server_state.connections)


async def test_an_address_with_connections_enough_is_told_so_over_http() -> None:
    """Twice as many as the limit are read for one head, and not for long."""
    async with server_with(HttpTimes(head_seconds=0.1), max_connections_per_address=2) as server:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await eventually(lambda: server._addresses.count("127.0.0.1") == 2, "both")
        request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = await answer_to(server.port, request)
        assert answer.startswith(b"HTTP/1.1 429")
        assert b"retry-after: 5" in answer.lower()
        held += [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        await eventually(lambda: server._addresses.count("127.0.0.1") == 4, "all")
        assert (await answer_to(server.port)).startswith(b"HTTP/1.1 429")
        for _, writer in held:
            writer.close()
        await eventually(lambda: server._addresses.count("127.0.0.1") == 0, "nobody")
        assert (await answer_to(server.port, request)).startswith(b"HTTP/1.1 200")


PROXY_V2 = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"
    + bytes([192, 0, 2, 7, 127, 0, 0, 1])
    + b"\x00\x50\x1f\x42"
)
PROXY_V1 = b"PROXY TCP4 192.0.2.7 127.0.0.1 80 8002\r\n"


@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2], ids=["text", "binary"])
@pytest.mark.parametrize("by_byte", [False, True])
async def test_the_proxy_protocol_tells_who_is_there(header: bytes, by_byte: bool) -> None:
    """From a trusted proxy, in one piece or byte by byte."""
    async with serve(
        port=0, trusted_proxies=["127.0.0.1"], max_connections_per_address=1
    ) as server:
        data = header + handshake("/ws/me?symbols=AAPL")
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for piece in [bytes([one]) for one in data] if by_byte else [data]:
            writer.write(piece)
            await asyncio.sleep(0)
        assert (await reader.readline()).startswith(b"HTTP/1.1 101")
        assert server._addresses.count("192.0.2.7") == 1
        answer = await answer_to(server.port, header + handshake("/ws/me"))
        assert answer.startswith(b"HTTP/1.1 429")
        writer.close()
        await eventually(lambda: server._addresses.count("192.0.2.7") == 0, "it to leave")


async def test_a_proxy_header_from_others_is_refused_and_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The setting is named; a broken one of a trusted proxy is refused as well."""
    async with serve(port=0) as server:
        answer = await answer_to(server.port, PROXY_V1 + b"GET / HTTP/1.1\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400")
    assert "TRUSTED_PROXIES" in caplog.text
    async with serve(port=0, trusted_proxies=["127.0.0.1"]) as server:
        for broken in (b"PROXY TCP4 nonsense\r\n", b"PROXY " + b"x" * 5000, PROXY_V2[:12] * 2):
            assert (await answer_to(server.port, broken)).startswith(b"HTTP/1.1 400")
