"""(h) From a simulated OpenD to a WebSocket client: delay, CPU, maximum rate, and recovery."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from pathlib import Path

import machine
import server
from measure import DISTURBED, Bench, Stretch, undisturbed
from rows import Mark, Row
from websockets.asyncio.client import connect

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.fakes.opend import Controller

TITLE = "From a simulated OpenD: 50 books"
SYMBOLS = [f"US.S{number:03}" for number in range(50)]
RATE = 2000
TIME = re.compile(rb'"ts":\[([0-9.]+)')


def run(bench: Bench) -> list[Row]:
    """Measure a steady rate, the maximum rate, and how soon clients hear of outages of OpenD."""
    if not bench.v1:
        return [Row("h", "all of it", notes=["not in this version"])]
    opend = Controller()
    try:
        with server.bookcast(feed="futu", futu_port=opend.port, history_size=10) as program:
            steady = undisturbed(lambda: asyncio.run(_books(program, opend, RATE, bench.seconds)))
            flat_out = undisturbed(lambda: asyncio.run(_books(program, opend, 0, bench.seconds)))
            trouble = asyncio.run(_trouble(program, opend))
    finally:
        opend.close()
    return [
        Row(
            "h",
            f"{RATE:,} books/s, one client",
            steady.values,
            [Mark("p99", "<=", 6), Mark("server_core", "<=", 25), Mark("lost", "<=", 0)],
            steady.notes,
        ),
        Row(
            "h",
            "flat out, what OpenD could send",
            flat_out.values,
            [Mark("updates_s", ">=", 15_000)],
            flat_out.notes,
        ),
        *trouble,
    ]


async def _subscribed(program: server.Program, opend: Controller):
    client = await connect(
        f"ws://127.0.0.1:{program.port}/ws/bench?protocol=bookcast.v1",
        compression=None,
        max_queue=None,
        proxy=None,
    )
    await client.send(json.dumps({"action": "subscribe", "symbols": SYMBOLS, "depth": 5}))
    deadline = time.monotonic() + 10
    while len(opend.held()) < len(SYMBOLS):
        assert time.monotonic() < deadline, "OpenD isn't asked for all"
        await asyncio.sleep(0.05)
    return client


async def _books(
    program: server.Program, opend: Controller, rate: float, seconds: float
) -> Stretch:
    machine.wait_for_quiet()
    client = await _subscribed(program, opend)
    delays: list[float] = []
    others = machine.Others()
    cpu, memory, sent = program.cpu_seconds(), program.rss_kb(), opend.flooded()
    opend.flood(SYMBOLS, rate, seconds)
    end = time.monotonic() + seconds + 1
    while time.monotonic() < end:
        try:
            message = await asyncio.wait_for(client.recv(decode=False), 0.2)
        except TimeoutError:
            continue
        if b'"orderbook_update"' in message and (seen := TIME.search(message)):
            delays.append(time.time() * 1000 - float(seen[1]))
    used, grown = program.cpu_seconds() - cpu, program.rss_kb() - memory
    pushed = opend.flooded() - sent
    await client.close()
    delays.sort()
    notes = (
        [DISTURBED] if rate and others.cores() > 0.6 else []
    )  # OpenD and the client use some CPU
    values = {
        "updates_s": pushed / seconds,
        "frames_s": len(delays) / seconds,
        "us_update": used / pushed * 1e6,
        "p50": delays[len(delays) // 2],
        "p99": delays[int(len(delays) * 0.99)],
        "rss_growth": grown,
        "server_core": used / seconds * 100,
    }
    if rate:
        values["lost"] = pushed - len(delays)
    return Stretch(values, notes, used)


async def _trouble(program: server.Program, opend: Controller) -> list[Row]:
    """Return rows whose notes say how soon a client hears of an outage and of its end."""
    client = await _subscribed(program, opend)
    rows = []
    for name, begin, finish, limit in (
        ("OpenD is gone", opend.stop_listening, opend.listen, 2),
        ("OpenD falls silent", opend.mute, lambda: opend.mute(muted=False), 10),
    ):
        begin()
        down = await _until(client, "feed_down")
        await asyncio.sleep(1.5)
        finish()
        live = await _until(client, "live")
        verdict = "ok" if down <= limit and live <= 2 else "MISSED"
        rows.append(
            Row(
                "h",
                name,
                notes=[
                    f"{verdict}: all heard feed_down after {down:.2f} s (mark {limit}), "
                    f"and live {live:.2f} s after it was back (mark 2)"
                ],
            )
        )
    await client.close()
    return rows


async def _until(client, state: str) -> float:
    """Wait until every symbol has this state. Return how many seconds that took."""
    begun = time.monotonic()
    waiting = set(SYMBOLS)
    while waiting:
        assert time.monotonic() < begun + 30, f"{len(waiting)} symbols never were {state}"
        message = json.loads(await asyncio.wait_for(client.recv(), 30))
        if message["type"] == "status" and message["state"] == state:
            waiting.discard(message["symbol"])
    return time.monotonic() - begun
