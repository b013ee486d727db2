import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PATIENCE, ROOT

RIGHT = """
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

import bookcast


async def right(server: bookcast.Server, thread: bookcast.ServerThread, handed: Any) -> None:
    book: bookcast.BookData = {"bids": [[1, 2.5]], "asks": [{"price": 3, "volume": 4}]}
    placed: bookcast.Published = await server.publish("A", book)
    await server.publish("A", {"bids": [(1, 2)], "asks": [], "timestamp": 5})
    await server.publish(None, {"code": "HK.00700", "Bid": [(1, 2, 1, {})], "Ask": []})
    await server.publish(None, handed)
    await server.publish("A", b'{"bids": [], "asks": []}', channel="orderbook")
    await server.publish("A", {"last": np.float64(1.5), "volume": Decimal(3)}, channel="quote")
    now = datetime.now(UTC)
    trade: bookcast.TradesData = {"trades": [{"price": 1, "size": 2, "timestamp": now}]}
    placed = thread.publish("A", trade, channel="trades")
    prices = np.float32(1)
    thread.publish_threadsafe(
        "A",
        {"time": now, "open": 1, "high": 1, "low": 1, "close": prices, "volume": 0},
        channel="candles",
        period="1m",
    ).result().seq
    thread.publish("A", [{"code": "US.A", "last_price": 1}], channel="quote")
    thread.publish("A", {"bid": [], "ask": []}, channel="brokers")
    thread.publish("A", {"time": 5, "price": 1}, channel="timeframe")
    bookcast.serve(port=0, feed="simulator", simulator_symbols=["US.AAPL"])
    bookcast.serve_in_thread(port=0, default_market="HK")
"""
WRONG = {
    "bookcast.serve(prot=0)": "prot",
    'bookcast.serve(port="0")': "port",
    'bookcast.serve(feed="simulation")': "feed",
    'bookcast.serve(simulator_symbols="AAPL")': "simulator_symbols",
    "bookcast.serve_in_thread(allowed_origin=[])": "allowed_origin",
    'await server.publish("A", {"bids": []})': "publish",
    'await server.publish("A", {"bids": [["1", 2]], "asks": []})': "publish",
    'await server.publish("A", {"last": 1}, channel="quotes")': "publish",
    'await server.publish("A", {"lst": 1}, channel="quote")': "publish",
    'await server.publish("A", {"last": 1})': "publish",
    'await server.publish("A", {"last": 1}, chanel="quote")': "publish",
    'await server.publish("A", {"last": 1}, channel="quote", period="1m")': "publish",
    'await server.publish(5, {"bids": [], "asks": []})': "publish",
    'thread.publish("A", {"trades": [{"price": 1}]}, channel="trades")': "publish",
    'thread.publish_threadsafe("A", {"time": 5}, channel="candles", period="7m")': "publish",
    'thread.publish("A", {"bids": [], "asks": []}, channel="orderbook").sequence': "sequence",
}


@pytest.mark.timeout(PATIENCE * 12)
def test_a_type_checker_finds_what_is_wrong_and_nothing_else(tmp_path: Path) -> None:
    """A keyword, a channel, data of another channel, a field."""
    (tmp_path / "right.py").write_text(RIGHT)
    head = (
        "import bookcast\n"
        "async def wrong(server: bookcast.Server, thread: bookcast.ServerThread) -> None:\n"
    )
    (tmp_path / "wrong.py").write_text(head + "".join(f"    {line}\n" for line in WRONG))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "--no-pretty"),
            *("--config-file", "", "--cache-dir", str(tmp_path / "cache")),
            *("right.py", "wrong.py"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 12,
        check=False,
        env=os.environ | {"MYPYPATH": str(ROOT / "src")},
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert [line for line in errors if not line.startswith("wrong.py")] == []
    found = {int(line.split(":")[1]): line for line in errors}
    assert set(found) == set(range(3, 3 + len(WRONG))), done.stdout + done.stderr
    for number, word in enumerate(WRONG.values(), start=3):
        assert word in found[number]
