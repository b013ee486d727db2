"""Helpers: clients over real sockets, stand-ins with injected time, waiting for conditions."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar, cast

import pytest
import websockets.asyncio.client
from websockets.typing import Origin

from bookcast import Server, serve
from bookcast.engine.base import Engine
from bookcast.engine.interests import Interest
from bookcast.hub.status import Status
from bookcast.hub.view import Subscription
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.market_data import Book, Candle, Data, Level, Quote, Trade, Trades
from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication, Update
from bookcast.sessions.connections import Registry
from bookcast.transport.websocket import WebSocket

PATIENCE = 30.0
"""Seconds that anything may take before its test fails: many, since machines may be busy."""

ROOT = Path(__file__).parent.parent

AAPL = Topic("orderbook", Symbol("US.AAPL"))
TSLA = Topic("orderbook", Symbol("US.TSLA"))
TRADES = Topic("trades", Symbol("US.AAPL"))
CANDLES = Topic("candles", Symbol("US.AAPL"), "1m")
QUOTE = Topic("quote", Symbol("US.AAPL"))


def missing(reason: str) -> NoReturn:
    """Fail where the page must be tested, skip on a machine that lacks the means."""
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def registry_of(server: Server) -> Registry:
    """Return the registry of a running server."""
    return server.parts.registry


def update(seq: int, topic: Topic = AAPL, epoch: str = "e") -> Update:
    """Return an update whose data contain its number: the best bid's size, a trade's, a volume."""
    data: dict[str, Data] = {
        "orderbook": Book(bids=(Level(100, seq),), asks=(Level(101, 1),)),
        "trades": trades(seq),
        "candles": candle(seq),
        "quote": Quote(volume=seq),
    }
    return Update(topic, Position(epoch, seq), data[topic.channel], server_ms=0)


def trades(*sizes: int) -> Trades:
    """Make trades of these sizes, published together."""
    return Trades(tuple(Trade(100.5, size, "buy", 1_700_000_000_000, size) for size in sizes))


def candle(volume: int, *, final: bool = False) -> Candle:
    """Make a candle of this volume."""
    return Candle(time=0, open=1, high=2, low=1, close=2, volume=volume, final=final)


def published_book(publication: Publication) -> Book:
    """Return the book of a publication."""
    assert isinstance(publication.data, Book)
    return publication.data


class RecordingOutbox:
    """An outbox that keeps what was written, one entry per write."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.append: Callable[[bytes], None] = self.frames.append
        self.writable = True
        self.shown: dict[Topic, Subscription] = {}
        self.may_see: Callable[[Topic], bool] = lambda _topic: True
        self.writes: list[bytes] = []
        self.on_write: Callable[[], None] = lambda: None
        self.write: Callable[[bytes], None] = self._write

    def _write(self, data: bytes) -> None:
        self.writes.append(data)
        self.on_write()

    def put(self, frame: bytes) -> None:
        self.frames.append(frame)

    def flush(self) -> None:
        if self.frames:
            self.write(b"".join(self.frames))
            self.frames.clear()


def line(text: bytes, _deflate: bool) -> bytes:
    """Frame a message as a line of text."""
    return text + b"\n"


class Replica:
    """What a client of ``bookcast.v1`` knows of one topic, and that it can prove.

    It fails when a message doesn't continue what came before, or a checksum doesn't agree.
    """

    def __init__(self) -> None:
        self.bids: dict[float, list[float]] = {}
        self.asks: dict[float, list[float]] = {}
        self.place: tuple[str | None, int | None] = (None, None)
        self.trades: list[int] = []
        self.gaps: list[tuple[int, int]] = []
        self.kinds: list[str] = []

    def hear(self, message: Any) -> None:
        """Take one message of the server."""
        self.kinds.append(message["type"])
        match message["type"]:
            case "subscription_confirmed":
                self.place = (message["epoch"], message["seq"])
            case "orderbook_update":
                self.bids = {level[0]: level for level in message["data"]["bids"]}
                self.asks = {level[0]: level for level in message["data"]["asks"]}
                self.place = (message["epoch"], message["seq"])
            case "orderbook_delta":
                self._continue(message)
                for side, changed in ((self.bids, "bids"), (self.asks, "asks")):
                    for level in message["data"][changed]:
                        if level[1]:
                            side[level[0]] = level
                        else:
                            del side[level[0]]
                assert self.checksum() == message["checksum"]
            case "trade":
                self._continue(message)
                self.trades += [trade["size"] for trade in message["data"]["trades"]]
            case "gap":
                assert message["from_seq"] == (self.place[1] or 0) + 1
                self.gaps.append((message["from_seq"], message["to_seq"]))
                self.place = (message["epoch"], message["to_seq"])

    def _continue(self, message: Any) -> None:
        assert self.place in {(message["epoch"], message["prev_seq"]), (None, None)}
        assert message["seq"] > message["prev_seq"]
        self.place = (message["epoch"], message["seq"])

    def sides(self) -> tuple[list[list[float]], list[list[float]]]:
        """Return both sides, best level first."""
        return (
            [self.bids[price] for price in sorted(self.bids, reverse=True)],
            [self.asks[price] for price in sorted(self.asks)],
        )

    def checksum(self) -> int:
        """Compute the book's checksum from the wire alone."""
        best = (level for side in self.sides() for level in side[:10])
        return zlib.crc32("".join(f"{js(price)}:{js(size)};" for price, size, *_ in best).encode())


def js(number: float) -> str:
    """Write a number as JavaScript does, the long way round: digits and a power of ten."""
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    exponent += len(text) - len(stripped)
    text, point = stripped, len(stripped) + exponent
    if not text:
        return "0"
    if 0 < point <= 21:
        whole = text.ljust(point, "0")
        written = whole[:point] + ("." + whole[point:] if whole[point:] else "")
    elif -6 < point <= 0:
        written = "0." + "0" * -point + text
    else:
        written = text[0] + ("." + text[1:] if text[1:] else "") + f"e{point - 1:+d}"
    return ("-" if sign else "") + written


class Deliveries:
    """Wants topics of an engine, and records all updates: the known ones, and the new ones."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._interests: dict[Topic, list[Interest]] = {}
        self.all: list[Update] = []

    def notice(self, log: TopicLog) -> None:
        """Note what was appended to a log."""
        assert log.newest is not None
        self.all.append(log.newest)
        log.flush_unread()

    def want(self, topic: Topic) -> None:
        """Want a topic, of which nothing has to be known here yet."""
        self._take(self._engine.open_now(topic))

    async def follow(self, *topics: Topic) -> None:
        """Want topics, with what is known of them."""
        opened = self._engine.open(topics)
        for interest in await opened if isinstance(opened, asyncio.Future) else opened:
            self._take(interest)

    def want_to_read(self, topic: Topic) -> None:
        """Read a topic now and then, instead of what was wanted of it before."""
        interest = self._engine.open_now(topic, reads=True)
        self.release(topic)
        self._interests[topic] = [interest]

    def release(self, topic: Topic) -> None:
        """Want a topic no more."""
        for interest in self._interests.pop(topic, ()):
            interest.close()

    def _take(self, interest: Interest) -> None:
        self._interests.setdefault(interest.log.topic, []).append(interest)
        self.all += interest.log.past()


class NumberRenderer:
    """Renders an update as requested symbol and number, a gap and a status as a word."""

    def __init__(self) -> None:
        self.rendered = 0

    def updates(
        self,
        spec: ViewSpec,
        before: Cursor | None,
        updates: Sequence[Update],
        *,
        unchanged_too: bool = False,
    ) -> RenderedStep:
        self.rendered += len(updates)
        frames = b"".join(
            b"<%s %d>" % (spec.requested_symbol.encode(), shown.position.seq) for shown in updates
        )
        return RenderedStep(frames, Cursor.at(updates[-1]) if updates else before, len(updates))

    def gap(self, spec: ViewSpec, topic: Topic, gap: Gap) -> bytes:
        return f"<{spec.requested_symbol} gap {gap.from_seq}-{gap.to_seq}>".encode()

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        if spec.protocol == "base":
            return b""
        return f"<{spec.requested_symbol} {status.state}>".encode()

    def refusal(
        self, spec: ViewSpec, topic: Topic, reason: str, did_you_mean: Sequence[Symbol]
    ) -> bytes:
        meant = "".join(f" {symbol}?" for symbol in did_you_mean)
        return f"<{spec.requested_symbol} refused: {reason}{meant}>".encode()


class ManualTimer:
    """A clock that stands still; its ``call_later`` fires only when a test moves the clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def clock(self) -> float:
        return self.now

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, function))

    def run(self) -> None:
        """Move on to each call's time, in order, until none is left."""
        self.run_until(math.inf)

    def run_until(self, moment: float) -> None:
        """Move on to each call's time, in order, and then to the moment."""
        while self.calls and min(self.calls, key=_when)[0] <= moment:
            self.calls.sort(key=_when)
            when, function = self.calls.pop(0)
            self.now = max(self.now, when)
            function()
        if moment < math.inf:
            self.now = max(self.now, moment)


def _when(call: tuple[float, Callable[[], None]]) -> float:
    return call[0]


def websockets_of(server: Server) -> list[WebSocket]:
    """Return the open WebSockets of a server."""
    connections = server.parts.http.server_state.connections
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
        """Return whether no message arrived before the answer to a ping."""
        answer = await self.ask({"action": "ping"})
        return bool(answer == {"type": "pong"})


@asynccontextmanager
async def connect(url: str, *, origin: str | None = None, **options: Any) -> AsyncIterator[Client]:
    """Connect a client; leaving closes it properly."""
    async with websockets.asyncio.client.connect(
        url,
        origin=Origin(origin) if origin is not None else None,
        proxy=None,
        **{"compression": None, **options},
    ) as connection:
        yield Client(connection)


@asynccontextmanager
async def nodes(redis_url: str, count: int, **settings: Any) -> AsyncIterator[list[Server]]:
    """Run several nodes that share a Redis, in the test's own event loop."""
    servers = [serve(port=0, redis_url=redis_url, **settings) for _ in range(count)]
    async with AsyncExitStack() as stack:
        for server in servers:
            await stack.enter_async_context(server)
        yield servers


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
        """Send a signal; return the exit code and the seconds that the end took."""
        began = time.monotonic()
        self.process.send_signal(signal_number)
        code = self.process.wait(PATIENCE)
        return code, time.monotonic() - began


@contextmanager
def command(
    *arguments: str,
    environ: dict[str, str] | None = None,
    prefix: tuple[str, ...] = (),
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


T = TypeVar("T")


def run_through(coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine that waits for nothing, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    coroutine.close()
    raise AssertionError(f"{coroutine} waits")
