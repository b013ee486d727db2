import asyncio
import gc
import time
import weakref

import httpx

from bookcast import serve
from bookcast.http.server import HttpProtocol
from tests.support import connect


async def test_a_half_sent_request_does_not_hold_up_the_end() -> None:
    """The stop waits for requests under way, but not for long."""
    server = serve(port=0)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"POST /broadcast/orderbook?symbol=A HTTP/1.1\r\nHost: x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
    )
    await writer.drain()
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        await http.get("/livez")
    began = time.monotonic()
    await server.stop()
    assert time.monotonic() - began < 4
    writer.close()


async def test_an_upgraded_connection_leaves_no_http_state_behind() -> None:
    """Parser and headers are freed at once, without waiting for a collection of cycles."""
    alive: weakref.WeakSet[HttpProtocol] = weakref.WeakSet()
    original = HttpProtocol.connection_made

    def connection_made(self: HttpProtocol, transport: asyncio.Transport) -> None:
        alive.add(self)
        original(self, transport)

    HttpProtocol.connection_made = connection_made  # type: ignore[method-assign, assignment]
    gc.disable()
    try:
        async with serve(port=0) as server, connect(server.ws_url + "me") as client:
            assert await client.silent()
            assert len(alive) == 0
    finally:
        gc.enable()
        HttpProtocol.connection_made = original  # type: ignore[method-assign]
