"""Helpers: clients over real sockets, stand-ins with injected time, waiting for conditions."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import websockets.asyncio.client
from websockets.typing import Origin

from bookcast import Server
from bookcast.hub.view import ViewSpec
from bookcast.model import Book, Level, Position, Symbol, Topic, Update
from bookcast.sessions.websocket import WebSocket

PATIENCE = 10.0
"""Seconds that anything may take before its test fails."""

ROOT = Path(__file__).parent.parent

AAPL = Topic("orderbook", Symbol("US.AAPL"))
TSLA = Topic("orderbook", Symbol("US.TSLA"))


def update(seq: int, topic: Topic = AAPL, epoch: str = "e") -> Update:
    """Make an update whose book tells its number: the best bid's size."""
    book = Book(bids=(Level(100, seq),), asks=(Level(101, 1),))
    return Update(topic, Position(epoch, seq), book, server_ms=0)


class RecordingOutbox:
    """An outbox that keeps what was written, one entry per write."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.writable = True
        self.conflated = 0
        self.shown: dict[Topic, ViewSpec] = {}
        self.full_after = False
        self.writes: list[bytes] = []
        self.write: Callable[[bytes], None] = self.writes.append

    def put(self, frame: bytes) -> None:
        self.frames.append(frame)

    def flush(self) -> None:
        if self.frames:
            self.write(b"".join(self.frames))
            self.frames.clear()


class ManualTimer:
    """A clock that stands still and a ``call_later`` that fires only when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, function))

    def run(self) -> None:
        """Move on to each call's time, in order, until none is left."""
        while self.calls:
            self.calls.sort(key=lambda call: call[0])
            when, function = self.calls.pop(0)
            self.now = max(self.now, when)
            function()


def websockets_of(server: Server) -> list[WebSocket]:
    """Give the WebSockets that a server holds."""
    assert server._http is not None
    connections = server._http.server_state.connections
    return [connection for connection in connections if isinstance(connection, WebSocket)]


async def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds, and fail when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        await asyncio.sleep(0.005)


class Client:
    """A WebSocket client that talks JSON."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self.connection = connection

    async def say(self, message: object) -> None:
        """Send a message; text goes as it is."""
        text = message if isinstance(message, str | bytes) else json.dumps(message)
        await self.connection.send(text)

    async def hear(self) -> Any:
        """Receive the next message."""
        return json.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))

    async def ask(self, message: object) -> Any:
        """Send a message and receive the next one."""
        await self.say(message)
        return await self.hear()

    async def subscribe(self, symbol: str) -> Any:
        """Subscribe and receive the confirmation."""
        return await self.ask({"action": "subscribe", "symbol": symbol})

    async def silent(self) -> bool:
        """Tell whether nothing came before the answer to a ping."""
        answer = await self.ask({"action": "ping"})
        return bool(answer == {"type": "pong"})


@asynccontextmanager
async def connect(url: str, *, origin: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """Connect a client; leaving closes it properly."""
    async with websockets.asyncio.client.connect(
        url,
        origin=Origin(origin) if origin is not None else None,
        compression=None,
        proxy=None,
        **options,
    ) as connection:
        yield Client(connection)


HANDSHAKE_KEY = base64.b64encode(b"0123456789abcdef").decode()


def handshake(path: str, *headers: str) -> bytes:
    """Write the handshake of a client by hand."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {HANDSHAKE_KEY}",
        *headers,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def masked_frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """Write a client's frame by hand, masked with zeros."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(payload) < 126:
        length = bytes([0x80 | len(payload)])
    elif len(payload) < 65536:
        length = bytes([0x80 | 126]) + len(payload).to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + len(payload).to_bytes(8, "big")
    return head + length + bytes(4) + payload


class Command:
    """A running ``bookcast`` command, with the lines of its log so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.log: list[str] = []
        self.http_url = ""

    def wait_for_log(self, pattern: str) -> re.Match[str]:
        """Read the log until a line matches."""
        assert self.process.stderr is not None
        stream: IO[str] = self.process.stderr
        for line in stream:
            self.log.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no {pattern!r} in the log:\n{''.join(self.log)}")

    def end(self, signal_number: int) -> tuple[int, float]:
        """Send a signal; give the exit code and the seconds that the end took."""
        began = time.monotonic()
        self.process.send_signal(signal_number)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began


@contextmanager
def command(
    *arguments: str, environ: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> Iterator[Command]:
    """Run ``bookcast`` in a process of its own, and wait until it serves."""
    python = prefix or (sys.executable, "-m", "bookcast")
    process = subprocess.Popen(
        [*python, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environ or {})},
    )
    running = Command(process)
    try:
        running.http_url = running.wait_for_log(r"serving at (http://\S+?),")[1]
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
        if process.stderr is not None:
            process.stderr.close()


def run(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``bookcast`` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bookcast", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
        env={**os.environ, **(environ or {})},
    )
