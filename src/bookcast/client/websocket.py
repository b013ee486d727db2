"""The WebSocket under a line, by the library ``websockets``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from bookcast.client.address import is_local
from bookcast.client.errors import Refused
from bookcast.errors import ERRORS
from bookcast.protocol.v1.messages import SUBPROTOCOL

CLOSE_WITHIN: Final = 2.0
"""Seconds that a peer has to answer a close frame."""
MAX_QUEUE: Final = 1024
"""Frames of one read that may wait before the next read. Each is dealt with at once."""
ABNORMAL: Final = 1006
"""There was no close frame."""


class Events(Protocol):
    """What is told of a socket. None of it raises."""

    def opened(self) -> None:
        """The socket is open."""

    def received(self, data: bytes) -> None:
        """A message came."""

    def closed(self, code: int, reason: str) -> None:
        """The socket is gone."""

    def refused(self, error: Refused) -> None:
        """The handshake was answered with an error."""


class Socket(Protocol):
    """One connection, or the attempt at one."""

    def send(self, text: bytes) -> None:
        """Send a message, if it is open."""

    def close(self, code: int) -> None:
        """Drop the socket: its events are ignored from now on. It closes on its own."""


class Opener(Protocol):
    """Opens sockets."""

    def open(self, address: str, events: Events) -> Socket:
        """Begin to open one."""

    async def finish(self) -> None:
        """Wait a little until those that were closed have ended, and end them in any case."""


class _Problem(msgspec.Struct):
    """What of a refusal's body is read."""

    code: str = ""
    detail: str = ""
    title: str = ""


class WebSockets:
    """Opens WebSockets on an event loop, and sees to it that none outlives the client."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, address: str, events: Events) -> WebSocket:
        """Begin to open one."""
        socket = WebSocket(address, events)
        task = socket.task = self._loop.create_task(socket.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return socket

    async def finish(self) -> None:
        """Wait a little until those that were closed have ended, and end them in any case."""
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_WITHIN + 1)
        finally:
            for task in self._tasks:
                task.cancel()


class WebSocket:
    """One WebSocket: opened, read and closed by one task, so it ends with that."""

    task: asyncio.Task[None]

    def __init__(self, address: str, events: Events) -> None:
        self._address = address
        self._events: Events | None = events
        self._outgoing: asyncio.Queue[bytes | int] = asyncio.Queue()
        self._is_open = False

    def send(self, text: bytes) -> None:
        """Send a message, if it is open."""
        if self._is_open:
            self._outgoing.put_nowait(text)

    def close(self, code: int) -> None:
        """Drop the socket: its events are ignored. A dead peer has a short time to answer."""
        self._events = None
        if self._is_open:
            self._is_open = False
            self._outgoing.put_nowait(code)
        else:
            self.task.cancel()

    async def run(self) -> None:
        """Open it, and tell what comes until it ends."""
        try:
            connection = await connect(
                self._address,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                proxy=None if is_local(self._address) else True,
                open_timeout=None,  # the line counts, until the server's welcome
                close_timeout=CLOSE_WITHIN,
                ping_interval=None,  # the protocol has pings of its own
                max_size=None,
                max_queue=MAX_QUEUE,
            )
        except InvalidStatus as error:
            if self._events is not None:
                self._events.refused(_refusal(error))
        except Exception as error:  # noqa: BLE001 - names, networks, certificates, proxies
            self._end(ABNORMAL, f"{type(error).__name__}: {error}")
        else:
            await self._use(connection)

    async def _use(self, connection: ClientConnection) -> None:
        writer = asyncio.get_running_loop().create_task(self._write(connection))
        try:
            self._is_open = True
            if self._events is not None:
                self._events.opened()
            while True:
                data = await connection.recv(decode=False)
                if self._events is not None:
                    self._events.received(data)
        except ConnectionClosed as error:
            close = error.rcvd
            self._is_open = False
            self._end(
                close.code if close else ABNORMAL,
                close.reason if close else "the connection was lost",
            )
        finally:
            self._is_open = False
            writer.cancel()
            connection.transport.abort()

    async def _write(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # which the reader tells
            while True:
                match await self._outgoing.get():
                    case int(code):
                        await connection.close(code)
                    case text:
                        await connection.send(text, text=True)

    def _end(self, code: int, reason: str) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.closed(code, reason)


def _refusal(error: InvalidStatus) -> Refused:
    """Return the error that a handshake was answered with.

    It is final where bookcast itself says what is wrong: a proxy's answer may be another soon.
    """
    response = error.response
    try:
        problem = msgspec.json.decode(response.body or b"", type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    known = ERRORS.get(problem.code)
    return Refused(
        problem.code if known else "not_connected",
        f"HTTP {response.status_code}: {problem.detail or problem.title or response.reason_phrase}",
        final=known is not None and not known.retry,
        retry_after=_seconds(next(iter(response.headers.get_all("Retry-After")), "")),
    )


def _seconds(retry_after: str) -> float | None:
    """Read a ``Retry-After``: seconds, or a date; None where it is neither."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
