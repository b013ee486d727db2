"""(j) Through Redis: the latency that another node adds, throughput, and time of a fail-over."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import server
from load import SUBSCRIBE_BASE, Publisher, Sink
from measure import Bench, attempt, deliver
from rows import Mark, Row

from bookcast.fetch import fetch_json

TITLE = "Many nodes, through Redis"
SYMBOLS = 50
CLIENTS = 20
RATE = 2_000
HERE = Path(__file__).parents[1]


def run(bench: Bench) -> list[Row]:
    """Measure, and compare with one node in memory. The load and the second node share a core."""
    if shutil.which("redis-server") is None:
        return [Row("j", "all of it", notes=["this needs redis-server"])]
    rows = attempt("j", "latency", lambda: _latency(bench))
    rows += attempt("j", "throughput", lambda: _throughput(bench))
    rows += attempt("j", "a killed node", lambda: _killed(bench))
    return rows


class Redis:
    """A new Redis, pinned to a core. Use it in a with statement."""

    def __init__(self, core: int) -> None:
        self.port = server.free_port()
        self._folder = tempfile.TemporaryDirectory()
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            machine.pinned(core, *command, "--dir", self._folder.name),
            stdout=subprocess.DEVNULL,
        )
        self.url = f"redis://127.0.0.1:{self.port}"

    def __enter__(self) -> Redis:
        server.wait_until_it_listens(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


def _latency(bench: Bench) -> list[Row]:
    def measure(case: str, there: server.Program, here: server.Program, marks: list[Mark]) -> Row:
        with Sink(
            bench.tools,
            there.port,
            CLIENTS,
            samples=CLIENTS,
            symbols=SYMBOLS,
            subscribe=SUBSCRIBE_BASE,
        ) as sink:
            publisher = Publisher(bench.tools, here.port, way="socket", symbols=SYMBOLS, window=200)
            stretch = deliver(
                there,
                sink,
                publisher,
                rate=RATE,
                seconds=bench.seconds,
                frames_per_update=CLIENTS,
            )
        return Row("j", case, stretch.values, marks, stretch.notes)

    with server.bookcast() as alone:
        first = measure("one node, in memory, 2,000/s", alone, alone, [])
    with Redis(machine.LOAD_CORE) as redis:
        with (
            server.bookcast(redis_url=redis.url) as here,
            server.bookcast(redis_url=redis.url, core=machine.LOAD_CORE) as there,
        ):
            second = measure("node A to node B, 2,000/s", there, here, [])
    for name, limit in (("p50", 2), ("p99", 10)):
        second.values[f"added_{name}"] = second.values[name] - first.values[name]
        second.marks.append(Mark(f"added_{name}", "<=", limit))
    return [first, second]


def _throughput(bench: Bench) -> list[Row]:
    """Publish as fast as possible with only the engine, without subscribers and protocols."""
    with Redis(machine.LOAD_CORE) as redis:
        machine.wait_for_quiet()
        command = machine.pinned(
            machine.SERVER_CORE, sys.executable, HERE / "through_redis.py", redis.url, bench.seconds
        )
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=120)
    values = json.loads(done.stdout)
    return [Row("j", "engine, 1-KB books, flat out", values, [Mark("updates_s", ">=", 40_000)])]


def _killed(bench: Bench) -> list[Row]:
    """Kill a node, and measure until its clients are live at another node."""
    count = 200 if bench.quick else 1_000
    with Redis(machine.LOAD_CORE) as redis:
        with (
            server.bookcast(redis_url=redis.url, feed="simulator") as first,
            server.bookcast(
                redis_url=redis.url, feed="simulator", core=machine.LOAD_CORE
            ) as second,
        ):
            values = asyncio.run(_fail_over(first, second, count))
    marks = [Mark("seconds", "<=", 2), Mark("lost", "<=", 0)]
    return [Row("j", f"killed with the feed, {count:,} base clients", values, marks)]


async def _fail_over(first: server.Program, second: server.Program, count: int) -> dict[str, float]:
    """Return the time from the kill until each client has a new book from the other node."""
    from scenarios.reconnect import Client  # the same bare client

    crowd = [Client(first.port, "base", number) for number in range(count)]
    for number, client in enumerate(crowd):
        client.symbol = ("US.AAPL", "US.MSFT", "US.NVDA", "US.TSLA")[number % 4]
        client.heard_at = 0.0
        client.hear = lambda opcode, text, client=client: _hear(client, opcode, text)
    await asyncio.gather(*(client.connect(again=False) for client in crowd))
    await _until(lambda: all(client.heard_at for client in crowd))
    await asyncio.sleep(1)
    killed = time.time()
    first.kill()
    for client in crowd:
        client.transport.abort()
        client.port, client.heard_at = second.port, 0.0
    await asyncio.gather(*(client.connect(again=True) for client in crowd))
    # A new book of the feed, not one that was stored in Redis.
    await _until(lambda: all(client.newest > killed for client in crowd))
    took = time.time() - killed
    stats = fetch_json(f"http://127.0.0.1:{second.port}/stats", timeout=10)
    resumed = stats["sessions"]["resumed"]
    for client in crowd:
        client.transport.abort()
    return {"seconds": took, "lost": count - resumed}


def _hear(client, opcode: int, text: bytes) -> None:
    if b'"type":"orderbook_update"' in text:
        client.heard_at = time.time()
        stamp = json.loads(text)["timestamp"].replace("Z", "+00:00")
        import datetime

        client.newest = datetime.datetime.fromisoformat(stamp).timestamp()


async def _until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)
