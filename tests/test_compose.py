"""A node is begun in order, and ended in reverse, also where the beginning fails."""

from __future__ import annotations

import socket

import pytest

from bookcast import serve
from bookcast.errors import StartupError
from tests.support import connect


async def test_a_node_begins_again_after_it_has_ended() -> None:
    """Under the same server, and nothing of the first is left."""
    server = serve(port=0)
    for _ in range(2):
        await server.start()
        async with connect(server.ws_url + "me?symbols=AAPL") as client:
            assert (await client.hear())["type"] == "subscription_confirmed"
            assert server.connection_count == 1
        await server.stop()
        assert server.connection_count == 0
        with pytest.raises(StartupError, match="doesn't run"):
            _ = server.parts


async def test_a_beginning_that_fails_leaves_nothing() -> None:
    """Neither parts nor a port in use."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = serve(host="127.0.0.1", port=taken.getsockname()[1])
        with pytest.raises(StartupError):
            await server.start()
        with pytest.raises(StartupError, match="doesn't run"):
            _ = server.parts
    await server.start()
    await server.stop()
