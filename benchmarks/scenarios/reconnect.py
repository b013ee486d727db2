"""(i) All clients reconnect at once: all sessions resume, each client gets what it missed once."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
import urllib.request

import server
from measure import Bench
from rows import Mark, Row

from bookcast.fetch import fetch_json

TITLE = "Everybody is lost and reconnects at once"
CONNECTIONS = 10_000
SYMBOLS = [f"US.S{number:03}" for number in range(100)]
PATIENCE = 60.0
KEY = base64.b64encode(b"0123456789abcdef").decode()
SEQ = re.compile(rb'"seq":([0-9]+)')
SESSION = re.compile(rb'"session":"([^"]+)"')
EPOCH = re.compile(rb'"epoch":"([^"]+)"')


def run(bench: Bench) -> list[Row]:
    """Measure base clients, found by their ids, and v1 clients with tokens and positions."""
    count = CONNECTIONS // 5 if bench.quick else CONNECTIONS
    rows = []
    for kind in ("base", "v1"):
        with server.bookcast(session_ttl=300) as program:
            values = asyncio.run(_storm(program, kind, count))
        marks = [Mark("seconds", "<=", 15), Mark("lost", "<=", 0), Mark("twice", "<=", 0)]
        rows.append(Row("i", f"{kind}, {count:,} clients", values, marks))
    return rows


async def _storm(program: server.Program, kind: str, count: int) -> dict[str, float]:
    crowd = [Client(program.port, kind, number) for number in range(count)]
    for at in range(0, count, 200):
        await asyncio.gather(*(client.connect(again=False) for client in crowd[at : at + 200]))
    await _until(lambda: all(client.confirmed for client in crowd), "confirmations")
    _publish(program.port, 1)
    await _until(lambda: all(client.heard == [1] for client in crowd), "the first update")
    for client in crowd:
        client.transport.abort()
    await _until(lambda: _stats(program.port)["sessions"]["parked"] == count, "the loss")
    _publish(program.port, 2)
    cpu, began = program.cpu_seconds(), time.monotonic()
    for client in crowd:
        client.heard.clear()
    await asyncio.gather(*(client.connect(again=True) for client in crowd))
    await _until(lambda: all(client.heard for client in crowd), "what was missed")
    took = time.monotonic() - began
    _publish(program.port, 3)
    await _until(lambda: all(client.heard[-1] == 3 for client in crowd), "what comes next")
    sessions = _stats(program.port)["sessions"]
    assert sessions["resumed"] == count, sessions
    spent = program.cpu_seconds() - cpu
    for client in crowd:
        client.transport.abort()
    return {
        "seconds": took,
        "us_client": spent / count * 1e6,
        "lost": sum(client.heard[:1] != [2] for client in crowd),
        "twice": sum(client.heard != [2, 3] for client in crowd),
    }


async def _until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(0.02)


def _stats(port: int):
    return fetch_json(f"http://127.0.0.1:{port}/stats", timeout=10)


def _publish(port: int, number: int) -> None:
    """Publish a book and a trade of each symbol, with ``number`` as their size."""
    updates = []
    for symbol in SYMBOLS:
        book = {"bids": [[100, number]], "asks": [[101, 1]], "seq": number}
        trades = {"trades": [{"price": 100, "size": number, "timestamp": 1_700_000_000_000}]}
        updates.append({"channel": "orderbook", "symbol": symbol, "data": book})
        updates.append({"channel": "trades", "symbol": symbol, "data": trades})
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/broadcast",
        json.dumps({"updates": updates}).encode(),
        {"Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=10) as answer:
        told = json.load(answer)
    refused = [result["error"] for result in told["results"] if "error" in result]
    assert not refused, f"the server refused {len(refused)} updates, the first: {refused[0]}"


class Client(asyncio.Protocol):
    """A minimal WebSocket client. ``heard``: the numbers of the books and trades received."""

    def __init__(self, port: int, kind: str, number: int) -> None:
        self.port, self.kind, self.number = port, kind, number
        self.symbol = SYMBOLS[number % len(SYMBOLS)]
        self.heard: list[int] = []
        self.confirmed = False
        self.token = self.epoch = b""

    async def connect(self, *, again: bool) -> None:
        self.again, self.buffer, self.open = again, b"", False
        loop = asyncio.get_running_loop()
        for attempt in range(5):
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.2 * attempt)
            else:
                return
        raise ConnectionError("the server takes no connections")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        symbols = f"?symbols={self.symbol}" if self.kind == "base" and not self.again else ""
        protocol = "" if self.kind == "base" else "Sec-WebSocket-Protocol: bookcast.v1\r\n"
        transport.write(
            f"GET /ws/storm-{self.number}{symbols} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {KEY}\r\n{protocol}\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self.open, self.buffer = True, rest
        while len(self.buffer) >= 2:
            length, start = self.buffer[1], 2
            if length == 126:
                length, start = int.from_bytes(self.buffer[2:4], "big"), 4
            if len(self.buffer) < start + length:
                return
            frame, self.buffer = self.buffer[: start + length], self.buffer[start + length :]
            self.hear(frame[0] & 15, frame[start:])

    def hear(self, opcode: int, text: bytes) -> None:
        if opcode == 9:
            self.transport.write(b"\x8a" + bytes([0x80 | len(text)]) + bytes(4) + text)
        elif b'"type":"welcome"' in text:
            token, self.token = self.token, SESSION.search(text)[1]
            self.say(self.resume(token) if self.again else self.subscribe())
        elif b'"type":"subscription_confirmed"' in text:
            self.confirmed = True
        elif b'"type":"orderbook_update"' in text:
            self.heard.append(int(SEQ.search(text)[1]))
        elif b'"type":"trade"' in text:
            self.epoch = EPOCH.search(text)[1]
            self.heard += [trade["size"] for trade in json.loads(text)["data"]["trades"]]

    def subscribe(self) -> object:
        return {"action": "subscribe", "symbol": self.symbol, "channel": "trades"}

    def resume(self, token: bytes) -> object:
        place = {
            "channel": "trades",
            "symbol": self.symbol,
            "epoch": self.epoch.decode(),
            "seq": 1,
        }
        return {"action": "resume", "session": token.decode(), "positions": [place]}

    def say(self, message: object) -> None:
        text = json.dumps(message).encode()
        length = (
            bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
        )
        self.transport.write(b"\x81" + length + bytes(4) + text)
