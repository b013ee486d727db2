"""Counts how many files one must open to follow a message through the server.

python -m scripts.walks                     the table
python -m scripts.walks --steps             with every move
python -m scripts.walks --only subscribe    one walk

The real server runs in this process, with a real Redis and a simulated OpenD where a walk needs
them, and a ``bookcast.v1`` client that is connected to it. One message is followed between the ends
in :data:`WALKS`; ``scripts/tracing.py`` explains how. A book is the second one of its topic. A
subscription is the first one to a symbol, at the node that runs the feed.

* A move is a call of a function in another file of ``src/bookcast``, or the wake-up of a waiting
function in another file. Repeated calls from the same function to the same one count once. A call
by a library counts as a call by the function that called the library, or that scheduled it.
* Files at the top of ``src/bookcast`` are one package; every folder in it is another.
* A move goes through a stored callback where the lines of the call don't name what is called.
* The engine is entered by a move from another package to a method of an object of the engine.

A setting has no message. ``scripts/passing.py`` finds in the source where ``SESSION_QUEUE`` is
passed on. Its walk ends where functions of the hub decide by it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import http.client
import itertools
import json
import re
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from tests.fakes.opend import Controller
from tests.fakes.redis_server import RedisServer
from tests.support import handshake, masked_frame

from bookcast import Server, serve
from bookcast.feeds.base import Feed
from scripts.passing import passing_of
from scripts.tracing import Move, TracedLoop, Tracer, moves_of, written_by

MARKER: Final = b"WALK"
SYMBOLS: Final = (f"US.WALK{number}" for number in itertools.count())
"""A new symbol for each walk, since the server remembers symbols."""

REDIS_SECONDS: Final = 15.0
"""A long timeout of Redis, since the path of a message differs in an outage."""

PATIENCE: Final = 20.0
MOST_TIMES: Final = 5

REST_SECONDS: Final = 0.5
"""After so long, the server has finished with earlier messages."""


@dataclass(frozen=True)
class Ends:
    """The beginning and end of a walk, in words. ``start``: the name of its first function."""

    title: str
    begins: str
    start: str
    ends: str


SOCKET: Final = "the write of the client's transport"

WALKS: Final = {
    "http": Ends(
        "HTTP book → socket", "the route of POST /broadcast/orderbook", "broadcast", SOCKET
    ),
    "futu": Ends("Futu book → socket", "a book of OpenD has come", "buffer_updated", SOCKET),
    "subscribe": Ends(
        "subscribe → feed demand", "a client's subscribe has come", "data_received", "Feed.want"
    ),
}
SETTING: Final = ("session_queue", "SESSION_QUEUE → the hub's decisions")


@dataclass(frozen=True)
class Walk:
    """The result of a walk. ``is_read``: it was read from the source, without a message."""

    title: str
    moves: list[Move]
    begins: str
    ends: str
    is_read: bool = False

    @property
    def between_packages(self) -> int:
        """The number of moves to another package."""
        return sum(package_of(move.caller) != package_of(move.callee) for move in self.moves)

    @property
    def stored(self) -> int:
        """The number of moves through a stored callback."""
        return sum(move.stored for move in self.moves)

    @property
    def files(self) -> int:
        """The number of files that the moves lead to."""
        return len({move.callee.partition(":")[0] for move in self.moves})

    @property
    def entries(self) -> list[Move]:
        """The moves that enter the engine."""
        return [move for move in self.moves if enters_engine(move)]


def package_of(function: str) -> str:
    """Return the package of a function; "" for files at the top."""
    folder, slash, _ = function.partition("/")
    return folder if slash else ""


def enters_engine(move: Move) -> bool:
    """Return whether a move leads from another package into an object of the engine."""
    return package_of(move.caller) != "engine" and move.owner.startswith("bookcast.engine.")


class Subscriber:
    """A ``bookcast.v1`` client on a blocking socket. Call it from a thread."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.address = self._socket.getsockname()
        self._heard = b""
        self._socket.sendall(handshake("/ws/walker", "Sec-WebSocket-Protocol: bookcast.v1"))
        self.hear(b'"welcome"')

    def subscribe(self, symbol: str) -> None:
        """Subscribe to books. The mask is zero, so that the bytes contain the symbol."""
        text = json.dumps({"action": "subscribe", "symbol": symbol}).encode()
        self._socket.sendall(masked_frame(1, text))

    def hear(self, word: bytes) -> None:
        """Receive until a word has arrived."""
        while word not in self._heard:
            data = self._socket.recv(65536)
            assert data, f"the server closed the connection before {word!r}"
            self._heard += data
        self._heard = self._heard.partition(word)[2]

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


async def walk_http(tracer: Tracer, redis_url: str | None = None) -> None:
    """Publish a book over HTTP to a subscriber."""
    symbol = next(SYMBOLS)
    async with _node(redis_url) as server, _subscriber(server) as client:
        await _subscribe(client, symbol)
        await asyncio.to_thread(_post, server.port, symbol, 1)
        await asyncio.to_thread(client.hear, b'"orderbook_update"')
        await asyncio.sleep(REST_SECONDS)
        tracer.begin(MARKER, _writes_to(client.address))
        await asyncio.to_thread(_post, server.port, symbol, 2)
        await _ended(tracer)


async def walk_futu(tracer: Tracer, redis_url: str | None = None) -> None:
    """Push a book from OpenD to a subscriber."""
    symbol = next(SYMBOLS)
    async with _opend() as opend, _node(redis_url, opend) as server, _subscriber(server) as client:
        await _subscribe(client, symbol)
        await _until(opend.held)
        await asyncio.to_thread(opend.push, _futu_book(symbol, 1))
        await asyncio.to_thread(client.hear, b'"orderbook_update"')
        await asyncio.sleep(REST_SECONDS)
        tracer.begin(MARKER, _writes_to(client.address))
        await asyncio.to_thread(opend.push, _futu_book(symbol, 2))
        await _ended(tracer)


async def walk_subscribe(tracer: Tracer, redis_url: str | None = None) -> None:
    """Subscribe to a symbol that has no other subscriber, at the node that runs the feed."""
    async with _opend() as opend, _node(redis_url, opend) as server, _subscriber(server) as client:
        await _subscribe(client, "US.OTHER")
        await _until(opend.held)
        await asyncio.sleep(REST_SECONDS)
        tracer.begin(MARKER, _is_told_to_want)
        await asyncio.to_thread(client.subscribe, next(SYMBOLS))
        await _ended(tracer)


SCENES: Final[dict[str, Callable[[Tracer, str | None], Any]]] = {
    "http": walk_http,
    "futu": walk_futu,
    "subscribe": walk_subscribe,
}


def follow(name: str, redis: RedisServer | None = None) -> Walk:
    """Return the result of one walk, on an event loop of its own. Redis is emptied before."""
    if redis is not None:
        redis.cli("FLUSHALL")
    redis_url = redis.url if redis is not None else None
    tracer = Tracer()
    with asyncio.Runner(loop_factory=lambda: TracedLoop(tracer)) as runner:
        try:
            runner.run(SCENES[name](tracer, redis_url))
        finally:
            tracer.stop()
    ends = WALKS[name]
    begins = re.compile(rf".*[.:]{ends.start}")
    whole = tracer.path()
    calls = list(itertools.dropwhile(lambda call: not begins.fullmatch(call.function), whole))
    assert calls, f"{ends.start} isn't called on the way"
    # Its caller is before the beginning.
    calls[0] = dataclasses.replace(calls[0], caller=None)
    where = "memory" if redis is None else "Redis"
    return Walk(
        f"{ends.title}, {where}",
        moves_of(calls),
        f"{calls[0].function}: {ends.begins}",
        f"{tracer.end}: {ends.ends}",
    )


def steady(name: str, redis: RedisServer | None = None) -> Walk:
    """Repeat a walk until two results agree: another message may be read together with this one."""
    walks: list[Walk] = []
    while len(walks) < MOST_TIMES:
        walk = follow(name, redis)
        if walk in walks:
            return walk
        walks.append(walk)
    raise AssertionError(f"{name} goes another way each time")


def walk_setting() -> Walk:
    """Return the walk of a setting through the source."""
    passing = passing_of(SETTING[0])
    moves = [Move(*one, stored=False) for one in passing.moves]
    decisions = ", ".join(one for one in passing.decisions if one.startswith("hub/"))
    return Walk(SETTING[1], moves, passing.start, decisions, is_read=True)


@contextlib.asynccontextmanager
async def _subscriber(server: Server) -> AsyncIterator[Subscriber]:
    client = await asyncio.to_thread(Subscriber, server.port)
    try:
        yield client
    finally:
        client.close()


@contextlib.asynccontextmanager
async def _opend() -> AsyncIterator[Controller]:
    opend = await asyncio.to_thread(Controller)
    try:
        yield opend
    finally:
        opend.close()


@contextlib.asynccontextmanager
async def _node(redis_url: str | None, opend: Controller | None = None) -> AsyncIterator[Server]:
    """Run a node. It is leader if there is a feed."""
    settings: dict[str, Any] = {"redis_url": redis_url, "redis_timeout": REDIS_SECONDS}
    if opend is not None:
        settings |= {"feed": "futu", "futu_port": opend.port}
    async with serve(port=0, **settings) as server:
        if opend is not None:
            await _until(opend.connections)
        yield server


async def _subscribe(client: Subscriber, symbol: str) -> None:
    await asyncio.to_thread(client.subscribe, symbol)
    await asyncio.to_thread(client.hear, b'"subscription_confirmed"')


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - another process knows
            await asyncio.sleep(0.01)


async def _ended(tracer: Tracer) -> None:
    async with asyncio.timeout(PATIENCE):
        await tracer.ended.wait()


def _post(port: int, symbol: str, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    body = json.dumps({"bids": [[100, size]], "asks": [[101, 1]]})
    path = f"/broadcast/orderbook?symbol={symbol}"
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    assert answer.status == http.HTTPStatus.OK, answer.read()
    connection.close()


def _futu_book(symbol: str, size: int) -> dict[str, Any]:
    return {"code": symbol, "bids": [[100, size, 1]], "asks": [[101, 1, 1]]}


def _writes_to(address: object) -> Callable[[FrameType], bool]:
    def is_end(frame: FrameType) -> bool:
        if MARKER not in written_by(frame):
            return False
        return bool(frame.f_locals["self"].get_extra_info("peername") == address)

    return is_end


def _is_told_to_want(frame: FrameType) -> bool:
    found = frame.f_locals
    return (
        frame.f_code.co_name == "want"
        and isinstance(found.get("self"), Feed)
        and MARKER.decode() in str(found["topic"])
    )


def table(walks: list[Walk]) -> str:
    """Return the counts as a table in Markdown."""
    lines = [
        "| walk | moves | between packages | stored callbacks | files | engine entered |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for one in walks:
        stored, entered = ("", "") if one.is_read else (one.stored, len(one.entries))
        counts = (len(one.moves), one.between_packages, stored, one.files, entered)
        lines.append(f"| {one.title} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def _steps(walk: Walk) -> str:
    lines = [f"\n{walk.title}", f"  begins: {walk.begins}"]
    for number, move in enumerate(walk.moves, 1):
        stored = ", stored" if move.stored else ""
        enters = ", enters the engine" if enters_engine(move) else ""
        lines.append(f"  {number:3} {move.caller} → {move.callee}{stored}{enters}")
    return "\n".join([*lines, f"  ends: {walk.ends}"])


def walks_of(only: list[str]) -> list[Walk]:
    """Return the results of the chosen walks, in memory and through Redis."""
    walks: list[Walk] = []
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as redis:
        for name in only:
            if name == SETTING[0]:
                walks.append(walk_setting())
                continue
            walks += [steady(name), steady(name, redis)]
    return walks


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="counts the moves of four walks")
    names = [*WALKS, SETTING[0]]
    parser.add_argument("--only", action="append", choices=names, help="one walk; repeatable")
    parser.add_argument("--steps", action="store_true", help="show every move")
    options = parser.parse_args()
    # By default Python would exit at once on SIGTERM, and leave child processes running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    walks = walks_of(options.only or names)
    if options.steps:
        sys.stdout.write("\n".join([*map(_steps, walks), "", ""]))
    sys.stdout.write(f"{table(walks)}\n")


if __name__ == "__main__":
    main()
