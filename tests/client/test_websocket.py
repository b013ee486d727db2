"""Real sockets under the line."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from bookcast.client.errors import Refused
from bookcast.client.websocket import WebSockets
from tests.support import PATIENCE, eventually


class Told:
    """A record of a socket's events."""

    def __init__(self) -> None:
        self.all: list[Any] = []

    def opened(self) -> None:
        """Note it."""
        self.all.append("opened")

    def received(self, data: bytes) -> None:
        """Note it."""
        self.all.append(data)

    def closed(self, code: int, reason: str) -> None:
        """Note it."""
        self.all.append((code, reason))

    def refused(self, error: Refused) -> None:
        """Note it."""
        self.all.append(error)


@asynccontextmanager
async def peer(
    handler: Callable[[ServerConnection], Any], **options: Any
) -> AsyncIterator[tuple[str, Server]]:
    """Run a server; yield its address."""
    options = {"subprotocols": ["bookcast.v1"], **options}
    async with serve(handler, "127.0.0.1", 0, **options) as server:
        [listener] = server.sockets
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/me", server


async def test_messages_go_both_ways_in_order_and_the_goodbye_has_its_code() -> None:
    """Text frames, whatever their size."""
    heard: list[Any] = []
    codes: list[int | None] = []

    async def handler(connection: ServerConnection) -> None:
        assert connection.subprotocol == "bookcast.v1"
        await connection.send("x" * 2_000_000)
        heard.extend([message async for message in connection])
        codes.append(connection.close_code)

    async with peer(handler) as (address, _):
        sockets, told = WebSockets(asyncio.get_running_loop()), Told()
        socket = sockets.open(address, told)
        socket.send(b"too early")
        await eventually(lambda: len(told.all) == 2, "the first message")
        for number in range(100):
            socket.send(b"%d" % number)
        socket.close(1000)
        socket.send(b"too late")
        await sockets.finish()
        assert told.all == ["opened", b"x" * 2_000_000]
        assert heard == [str(number) for number in range(100)]
        await eventually(lambda: bool(codes), "the goodbye")
        assert codes == [1000]


async def test_a_close_of_the_servers_is_told_with_its_reason() -> None:
    """A connection that breaks off has no code of its own."""

    async def handler(connection: ServerConnection) -> None:
        if await connection.recv() == "close":
            await connection.close(4501, "taken over")
        else:
            connection.transport.abort()

    async with peer(handler) as (address, _):
        ends = {b"close": (4501, "taken over"), b"abort": (1006, "the connection was lost")}
        for word, end in ends.items():
            sockets, told = WebSockets(asyncio.get_running_loop()), Told()
            socket = sockets.open(address, told)
            await eventually(lambda told=told: bool(told.all), "the opening")  # type: ignore[misc] # mypy can't infer a lambda's default
            socket.send(word)
            await asyncio.wait_for(socket.task, PATIENCE)
            assert told.all == ["opened", end]


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "expected"),
    [
        (503, b'{"code":"server_full","detail":"Full"}', "7", ("server_full", False, 7)),
        (421, b'{"code":"host_not_allowed","title":"No"}', "", ("host_not_allowed", True, None)),
        (502, b"<html>Bad gateway</html>", "soon", ("not_connected", False, None)),
        (404, b'{"code":"somebody_elses"}', "", ("not_connected", False, None)),
    ],
)
async def test_a_handshake_that_is_refused_says_why(
    status: int, body: bytes, retry_after: str, expected: tuple[str, bool, float | None]
) -> None:
    """It is final where bookcast itself says what has to be mended."""

    def refuse(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(HTTPStatus(status), "")
        response.headers["Retry-After"] = retry_after
        response.body = body
        del response.headers["Content-Length"]
        response.headers["Content-Length"] = str(len(body))
        return response

    async def handler(_connection: ServerConnection) -> None:
        raise AssertionError

    async with peer(handler, process_request=refuse) as (address, _):
        sockets, told = WebSockets(asyncio.get_running_loop()), Told()
        await asyncio.wait_for(sockets.open(address, told).task, PATIENCE)
    [error] = told.all
    assert (error.code, error.final, error.retry_after) == expected
    assert error.message.startswith(f"HTTP {status}: ")


async def test_retry_after_may_be_a_date() -> None:
    """Of HTTP's."""

    def refuse(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "")
        response.headers["Retry-After"] = formatdate(time.time() + 1000, usegmt=True)
        return response

    async with peer(lambda _connection: None, process_request=refuse) as (address, _):
        sockets, told = WebSockets(asyncio.get_running_loop()), Told()
        await asyncio.wait_for(sockets.open(address, told).task, PATIENCE)
    assert 900 < told.all[0].retry_after <= 1000


async def test_a_header_that_comes_twice_counts_once() -> None:
    """As a proxy before the server makes it."""

    def refuse(connection: ServerConnection, _request: Request) -> Response:
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "")
        response.headers["Retry-After"] = "7"
        response.headers["Retry-After"] = "9"
        return response

    async with peer(lambda _connection: None, process_request=refuse) as (address, _):
        sockets, told = WebSockets(asyncio.get_running_loop()), Told()
        await asyncio.wait_for(sockets.open(address, told).task, PATIENCE)
    assert told.all[0].retry_after == 7


async def test_where_nobody_listens_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy is asked for this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://203.0.113.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://203.0.113.1:1")
    sockets, told = WebSockets(asyncio.get_running_loop()), Told()
    await asyncio.wait_for(sockets.open("ws://127.0.0.1:9/ws/me", told).task, PATIENCE)
    [(code, reason)] = told.all
    assert code == 1006
    assert "refused" in reason.lower() or "failed" in reason


async def test_one_that_is_let_go_while_it_connects_ends() -> None:
    """Nothing is told of it."""
    held: list[asyncio.StreamWriter] = []

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    async with await asyncio.start_server(hold, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        sockets, told = WebSockets(asyncio.get_running_loop()), Told()
        socket = sockets.open(f"ws://127.0.0.1:{port}/ws/me", told)
        await eventually(lambda: bool(held), "a connection")
        socket.close(4000)
        await sockets.finish()
        assert socket.task.cancelled()
        assert told.all == []
        held[0].close()
        await held[0].wait_closed()
