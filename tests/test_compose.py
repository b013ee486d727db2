"""A node is begun in order, and ended in reverse, also where the beginning fails."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from bookcast import serve
from bookcast.backend.redis import RedisBackend
from bookcast.errors import StartupError
from bookcast.feeds.runner import FeedRunner
from bookcast.http.server import HttpServer
from bookcast.sessions.ownership import SessionOwnership
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


@pytest.mark.parametrize("is_cancelled", [False, True])
@pytest.mark.parametrize("step", [RedisBackend, SessionOwnership, FeedRunner, HttpServer])
async def test_whatever_fails_in_the_beginning_nothing_is_left(
    step: Any, is_cancelled: bool, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task, and no port in use; also where whoever starts it gives up."""
    before, start = asyncio.all_tasks(), step.start
    error: BaseException = asyncio.CancelledError() if is_cancelled else StartupError("It can't")

    def fail(*args: Any) -> Any:
        begun = start(*args)
        if begun is None:
            raise error

        async def fail_later() -> None:
            await begun
            raise error

        return fail_later()

    monkeypatch.setattr(step, "start", fail)
    server = serve(port=0, feed="simulator", redis_url=redis_url)
    with pytest.raises(type(error)):
        await server.start()
    assert asyncio.all_tasks() == before
