import asyncio
import gc
import logging
import socket
import time
import weakref

import httpx
import pytest

from bookcast import serve
from bookcast.http.server import HttpProtocol
from tests.conftest import LOOPS
from tests.support import connect, eventually, websockets_of

HALF_A_POST = (
    b"POST /broadcast/orderbook?symbol=A HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
)


async def test_a_half_sent_request_does_not_hold_up_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What it waits for will not come."""
    server = serve(port=0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HALF_A_POST)
    await writer.drain()
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        await http.get("/livez")
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 1
    assert "Traceback" not in caplog.text
    writer.close()


async def test_an_upgraded_connection_leaves_no_http_state_behind() -> None:
    """Parser and headers are freed at once, without waiting for a collection of cycles."""
    alive: weakref.WeakSet[HttpProtocol] = weakref.WeakSet()
    original = HttpProtocol.connection_made

    def connection_made(self: HttpProtocol, transport: asyncio.Transport) -> None:
        alive.add(self)
        original(self, transport)

    HttpProtocol.connection_made = connection_made  # type: ignore[method-assign]
    gc.disable()
    try:
        async with serve(port=0) as server, connect(server.ws_url + "me") as client:
            assert await client.silent()
            assert len(alive) == 0
    finally:
        gc.enable()
        HttpProtocol.connection_made = original  # type: ignore[method-assign]


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
    """One line says why nothing was published."""
    caplog.set_level(logging.INFO)
    async with serve(port=0) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(HALF_A_POST)
        await writer.drain()
        writer.close()
        await eventually(lambda: "left in mid-body" in caplog.text, "the line")
    assert "Traceback" not in caplog.text
