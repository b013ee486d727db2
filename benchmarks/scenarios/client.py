"""(k) What bookcast.client takes to keep a book: deltas that are applied and proven, on one core."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import socket
import subprocess
import sys
import threading
from pathlib import Path

import machine
from bookcast.client.book import Book, change_book
from bookcast.protocol.v1.messages import BookLevel, Sides
from measure import Bench
from rows import Mark, Row

TITLE = "Deltas that bookcast.client keeps a book from"
WATCHER = Path(__file__).parent.parent / "watcher.py"
DEPTH, CHANGES = 10, 2
RATE = 30_000
"""Deltas that are sent for each second of the measurement, as fast as the client takes them."""
MARKS = [Mark("updates_s", ">=", 20_000), Mark("twice", "<=", 0)]
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def run(bench: Bench) -> list[Row]:
    """Send what was written before, and see how fast the client reads it."""
    count = round(RATE * bench.seconds)
    frames = _frames(count)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, frames), daemon=True)
        thread.start()
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws/me"
        command = machine.pinned(machine.SERVER_CORE, sys.executable, WATCHER, address, count + 1)
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
        thread.join()
    told = json.loads(result.stdout)
    values = {
        "updates_s": told["deltas"] / told["cpu"],
        "us_update": told["cpu"] / told["deltas"] * 1e6,
        "bytes": len(frames) / count,
        "seconds": told["seconds"],
        "twice": told["broken"],
    }
    case = f"{DEPTH} levels a side, {CHANGES} changed in each of {count:,} deltas"
    return [Row("k", case, values, MARKS)]


def _frames(count: int) -> bytes:
    """Write a whole book and so many deltas, as the server does."""
    dice = random.Random(7)
    bids = [[189.9 - level / 100, 100 + level, 3] for level in range(DEPTH)]
    asks = [[190 + level / 100, 100 + level, 3] for level in range(DEPTH)]
    data = {
        side: [[round(level[0], 2), *level[1:]] for level in levels]
        for side, levels in (("bids", bids), ("asks", asks))
    }
    book = Book(*(tuple(BookLevel(*level) for level in data[side]) for side in ("bids", "asks")))
    head = {"channel": "orderbook", "symbol": "US.AAPL", "epoch": "m-1f3c"}
    ts = [1767225600000.25, 1767225600000.5, 1767225600000.75]
    frames = [_frame({"type": "orderbook_update", **head, "seq": 1, "ts": ts, "data": data})]
    for seq in range(2, count + 2):
        changes = {"bids": [], "asks": []}
        for _ in range(CHANGES):
            side = dice.choice(("bids", "asks"))
            level = dice.choice(data[side])
            changes[side].append([level[0], dice.randint(1, 5_000), dice.randint(1, 20)])
        read = Sides(*([BookLevel(*level) for level in changes[side]] for side in ("bids", "asks")))
        book = change_book(book, read)
        proof = {"prev_seq": seq - 1, "checksum": book.checksum()}
        message = {"type": "orderbook_delta", **head, "seq": seq, "ts": ts, **proof}
        frames.append(_frame({**message, "data": changes}))
    return b"".join(frames)


def _frame(message: object) -> bytes:
    payload = json.dumps(message, separators=(",", ":")).encode()
    if len(payload) < 126:
        return bytes([0x81, len(payload)]) + payload
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def _serve(listener: socket.socket, frames: bytes) -> None:
    """Speak as much of the protocol as one subscription needs."""
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        [key] = [
            line.partition(b": ")[2]
            for line in request.split(b"\r\n")
            if b"Sec-WebSocket-Key" in line
        ]
        accept = base64.b64encode(hashlib.sha1(key.strip() + GUID).digest())
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: bookcast.v1\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        welcome = {"type": "welcome", "protocol": "bookcast.v1", "client_id": "me", "session": "s"}
        connection.sendall(_frame({**welcome, "heartbeat_ms": 10_000, "server_time": 0}))
        connection.recv(65536)  # it subscribes
        view = {"depth": DEPTH, "mode": "delta", "interval_ms": 0}
        confirmed = {"type": "subscription_confirmed", "id": 1, "channel": "orderbook"}
        place = {"symbol": "US.AAPL", "view": view, "epoch": "m-1f3c", "seq": 1}
        connection.sendall(_frame({**confirmed, **place}))
        connection.sendall(frames)
        while connection.recv(65536):
            pass
