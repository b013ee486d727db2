"""The log of a real process: no client can fill it, and it works without a reader."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tests.support import PATIENCE, Command, command, connect

PRODUCTION = {
    "ENVIRONMENT": "production",
    "REDIS_URL": "memory://",
    "MAX_CONNECTIONS_PER_ADDRESS": "0",
    "MESSAGE_RATE": "50",
    "DRAIN_SECONDS": "0",
}
TOKENS = {"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": "a secret of more than thirty-two bytes"}
OPEN = {"AUTH_MODE": "none"}
BASE: Any = {}
V1: Any = {"subprotocols": ["bookcast.v1"]}


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


def ws(served: Command, client_id: str) -> str:
    return served.http_url.replace("http", "ws") + "/ws/" + client_id


def ended(served: Command) -> list[Any]:
    """End the server, and return the entries of its log since it served."""
    assert served.end(signal.SIGTERM)[0] == 0
    assert served.process.stderr is not None
    return [json.loads(line) for line in served.process.stderr.read().splitlines()]


def serving(**environ: str) -> Any:
    return command("serve", "--port", "0", environ={**PRODUCTION, **environ})


async def test_each_connection_leaves_one_short_line_with_its_fields() -> None:
    """This holds whichever side closed it; 300 bytes at most, so a busy day fills no disk."""
    with serving(**OPEN) as served:
        async with connect(ws(served, "stays"), **V1) as stays:
            async with connect(ws(served, "leaves")) as leaves:
                await leaves.subscribe("AAPL")
            async with connect(ws(served, "breaks")) as breaks:
                breaks.connection.transport.abort()
            await asyncio.sleep(0.2)
            entries = ended(served)
            await stays.connection.wait_closed()
    lines = {one["client_id"]: one for one in entries if "client_id" in one}
    assert len([one for one in entries if "client_id" in one]) == 3
    assert {name: (one["code"], one["by"]) for name, one in lines.items()} == {
        "leaves": (1000, "client"),
        "breaks": (1006, "network"),
        "stays": (1012, "server"),
    }
    for line in lines.values():
        assert line["event"] == "connection closed"
        assert line["address"] == "127.0.0.1"
        assert line["principal"] == "anyone"
        assert 0 <= line["duration_s"] < PATIENCE
        assert len(line["node"]) == 8
        assert len(json.dumps(line)) < 300
    assert {one["connection"] for one in lines.values()} == {1, 2, 3}


def wrong_messages() -> list[str]:
    filler = "x" * 60_000
    return [
        json.dumps({"action": "subscribe", "symbol": filler}),
        json.dumps({"action": filler}),
        filler,
        json.dumps({"action": "authenticate", "token": filler}),
        json.dumps({"action": "publish", "symbol": "AAPL", "data": filler}),
    ]


@pytest.mark.parametrize("mode", [TOKENS, OPEN])
async def test_what_a_client_sends_does_not_fill_the_log(mode: dict[str, str]) -> None:
    """Megabytes of wrong messages, and the log has their number."""
    with serving(**mode) as served:
        for text in wrong_messages():
            for protocol in (BASE, V1):
                with contextlib.suppress(websockets.ConnectionClosed):
                    async with connect(ws(served, "stranger"), **protocol) as client:
                        for _ in range(20):
                            await client.say(text)
                        for _ in range(20):
                            await client.hear()
        entries = ended(served)
    assert sum(len(json.dumps(one)) for one in entries) < 6000
    told = [one for one in entries if one["event"] == "refused"]
    refused = sum(sum(one["reasons"].values()) for one in told)
    assert refused == sum(one["count"] for one in told)
    assert refused >= 150


async def test_wrong_publications_and_handshakes_do_not_fill_the_log() -> None:
    """Nor what they quote."""
    body = {"bids": [["x" * 1000, 1]], "asks": []}
    with serving(**OPEN, PUBLISH_RATE="0") as served:
        async with httpx.AsyncClient(base_url=served.http_url) as http:
            for number in range(20):
                target = f"/broadcast/orderbook?symbol={'Y' * 2000}{number}"
                assert (await http.post(target, json=body)).status_code == 422
                assert (await http.get("/books/" + "Z" * 2000)).status_code == 422
            for _ in range(10):
                with pytest.raises(websockets.InvalidStatus):
                    await websockets.connect(ws(served, "w" * 500), proxy=None)
        entries = ended(served)
    assert sum(len(json.dumps(one)) for one in entries) < 4000
    counts = [one["reasons"] for one in entries if one["event"] == "refused"]
    assert sum(one.get("invalid_symbol", 0) for one in counts) == 40
    assert sum(one.get("invalid_client_id", 0) for one in counts) == 10


PUBLISH = json.dumps(
    {"action": "publish", "channel": "quote", "symbol": "US.AAPL", "data": {"last": 1}}
)
FLOODS = ['{"action":"ping"}', b"binary", "no JSON", PUBLISH]


async def test_a_flood_is_closed_though_some_of_it_passes() -> None:
    """More than 10 times MESSAGE_RATE (or 20 PUBLISH_RATE) refused within 10 s."""
    with serving(**OPEN, MESSAGE_RATE="5", PUBLISH_RATE="3") as served:
        for message in FLOODS:
            async with connect(ws(served, "flood"), max_queue=None, **V1) as client:
                with contextlib.suppress(websockets.ConnectionClosed):
                    for _ in range(int(PATIENCE) * 400):
                        await client.say(message)
                        await asyncio.sleep(1 / 400)
                assert client.connection.close_code == 1008, message
        entries = ended(served)
    assert len(entries) < 20


async def test_a_log_that_nobody_reads_holds_nobody_up() -> None:
    """Lines are dropped and counted, and clients served as ever."""
    with serving(**OPEN, MESSAGE_RATE="0", LOG_LEVEL="debug") as served:
        async with connect(ws(served, "me"), max_queue=None) as client:
            for _ in range(30):
                for _ in range(160):
                    await client.say({"action": "ping"})
                for _ in range(160):
                    assert (await client.hear())["type"] == "pong"
            for number in range(20):
                async with connect(ws(served, f"other-{number}")):
                    pass
            async with httpx.AsyncClient(base_url=served.http_url) as http:
                assert (await http.get("/health")).status_code == 200
                metrics = (await http.get("/metrics")).text
            [line] = [
                one for one in metrics.splitlines() if one.startswith("bookcast_log_lines_dropped")
            ]
            dropped = float(line.split()[-1])
        assert dropped > 0
        code, seconds = served.end(signal.SIGTERM)
        assert (code, seconds < PATIENCE / 2) == (0, True)
