"""Releases side by side on one Redis, and the way back to an earlier one."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from bookcast.auth.principal import EVERYTHING, anyone
from bookcast.backplane.keys import Keys
from tests.fakes.redis_server import RedisServer
from tests.releases import PREVIOUS, unpack
from tests.support import PATIENCE, Client, Command, command, connect, eventually

V1: Any = ["bookcast.v1"]

LATER = """
import sys
from bookcast.cluster.members import redis as members
from bookcast.engine.redis import records
from bookcast.cli.main import main

write, read = records.encode, records.decode

def encode(publication, server_ms, *, restored=False, form):
    text = write(publication, server_ms, restored=restored, form=min(form, 2))
    return b"later" + text if form > 2 else text

def decode(topic, position, text):
    return read(topic, position, text.removeprefix(b"later"))

records.encode, records.decode, members.NEWEST = encode, decode, 3
sys.exit(main())
"""
"""A release that reads one format more, and writes it where all nodes do."""


class Nodes:
    """Starts nodes of releases on one Redis. ``feed``: which runs a simulated market."""

    def __init__(self, redis_url: str, previous: Path) -> None:
        self._previous = previous
        self._environ = {"REDIS_URL": redis_url}

    def previous(self, *options: str) -> AbstractContextManager[Command]:
        return self._node(*options, environ={"PYTHONPATH": str(self._previous)})

    def this(self, *options: str) -> AbstractContextManager[Command]:
        return self._node(*options)

    def later(self, *options: str) -> AbstractContextManager[Command]:
        return self._node(*options, prefix=(sys.executable, "-c", LATER))

    def _node(
        self, *options: str, environ: dict[str, str] | None = None, prefix: tuple[str, ...] = ()
    ) -> AbstractContextManager[Command]:
        return command(
            *("serve", "--port", "0", *options),
            environ={**self._environ, **(environ or {})},
            prefix=prefix,
        )


@pytest.fixture
def nodes(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nodes:
    monkeypatch.chdir(tmp_path)
    return Nodes(redis_url, unpack(PREVIOUS, tmp_path))


def at(node: Command, client: str) -> AbstractAsyncContextManager[Client]:
    return connect(f"{node.http_url.replace('http', 'ws')}/ws/{client}", subprotocols=V1)


async def publish(
    node: Command, channel: str, data: object, symbol: str = "AAPL"
) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await http.post(f"{node.http_url}/broadcast/{channel}?symbol={symbol}", json=data)


async def trade(node: Command, number: int) -> None:
    one = {"price": 1, "size": number, "side": "buy", "id": number}
    assert (await publish(node, "trades", {"trades": [one]})).status_code == 200


async def watch(client: Client, channel: str = "trades", **more: object) -> Any:
    await client.hear()  # the welcome
    return await client.ask({"action": "subscribe", "channel": channel, "symbol": "AAPL", **more})


async def heard(client: Client, last: int) -> list[int]:
    """Receive trades up to a given one; a gap counts as none."""
    numbers: list[int] = []
    while not numbers or numbers[-1] < last:
        message = await client.hear()
        assert message["type"] != "gap", message
        if message["type"] == "trade":
            numbers += [one["id"] for one in message["data"]["trades"]]
    return numbers


async def record_format(node: Command) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        stats = (await http.get(f"{node.http_url}/stats")).json()
        return int(stats["node"]["engine"]["record_format"])


async def writes(node: Command, form: int) -> None:
    """Wait until a node writes a format."""
    async with asyncio.timeout(PATIENCE):
        while await record_format(node) != form:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)


async def healthy(node: Command) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        health = (await http.get(f"{node.http_url}/health")).json()
        assert health["status"] == "healthy", health


def ended(node: Command) -> str:
    """End a node, and return the log that it wrote since it served."""
    assert node.process.stderr is not None
    code, _ = node.end(signal.SIGTERM)
    log = node.process.stderr.read()
    assert code == 0, log
    assert "Traceback" not in log, log
    return log


async def test_a_node_of_the_previous_release_beside_this_one_and_the_way_back(
    nodes: Nodes,
) -> None:
    """Of trades that are published alternately at both, clients of both get each once."""
    with nodes.previous("--feed", "none") as old:
        with nodes.this("--feed", "none") as new:
            async with at(old, "a") as one, at(new, "b") as other:
                for client in (one, other):
                    assert (await watch(client))["type"] == "subscription_confirmed"
                    assert (await client.hear())["type"] == "status"
                for number in range(1, 41):
                    await trade((old, new)[number % 2], number)
                assert await heard(one, 40) == list(range(1, 41))
                assert await heard(other, 40) == list(range(1, 41))
            await healthy(new)
            assert await record_format(new) == 1
            assert ended(new)
        async with at(old, "c") as client:
            await watch(client, history=40)
            for number in range(41, 61):
                await trade(old, number)
            assert await heard(client, 60) == list(range(1, 61))
        ended(old)


async def test_going_back_to_the_previous_release_when_all_nodes_were_of_this_one(
    nodes: Nodes,
) -> None:
    """It reads what this one wrote, and goes on in its epoch."""
    with nodes.this("--feed", "none") as new:
        await writes(new, 2)
        for number in range(1, 11):
            await trade(new, number)
        answer = await publish(new, "orderbook", {"bids": [[1, 2]], "asks": [[3, 4]]})
        ended(new)
    with nodes.previous("--feed", "none") as old:
        async with at(old, "a") as client:
            await watch(client, history=10)
            for number in range(11, 21):
                await trade(old, number)
            assert await heard(client, 20) == list(range(1, 21))
        async with at(old, "b") as client:
            confirmed = await watch(client, "orderbook")
            assert confirmed["epoch"] == answer.json()["epoch"]
            assert (await client.hear())["data"] == {"bids": [[1, 2]], "asks": [[3, 4]]}
        ended(old)


async def saved(server: RedisServer, token: str) -> None:
    """Wait until a session is found by its token."""
    key = Keys().session("token", anyone(EVERYTHING).id, token)
    await eventually(lambda: server.cli("EXISTS", key) == "1", "the session in Redis")


async def test_a_session_and_the_feeds_word_go_from_release_to_release(
    nodes: Nodes, redis_server: RedisServer
) -> None:
    """The feed runs at one, its symbols are live at the other, and so both ways."""
    with nodes.previous("--feed", "simulator") as old, nodes.this("--feed", "simulator") as new:
        assert (await publish(old, "orderbook", {"bids": [[1, 2]], "asks": []}, "X")).is_success
        token = ""
        for node in (old, new, old):
            async with at(node, "a") as client:
                token_before, token = token, (await client.hear())["session"]
                if not token_before:
                    await client.ask({"action": "subscribe", "symbol": "AAPL"})
                else:
                    resumed = await client.ask({"action": "resume", "session": token_before})
                    assert resumed["type"] == "resumed", resumed
                    assert [one["symbol"] for one in resumed["restored"]] == ["AAPL"]
                while (await client.hear())["type"] != "orderbook_update":
                    pass
                why = {"action": "why", "channel": "orderbook", "symbol": "AAPL"}
                await client.say(why)
                while (answer := await client.hear())["type"] != "why":
                    pass
                assert answer["state"] == "live"
                await saved(redis_server, token)
                client.connection.transport.abort()
        ended(old)
        ended(new)


async def test_a_later_release_writes_what_this_one_reads(nodes: Nodes) -> None:
    """As long as a node of this one lives, and again when one comes back."""
    with nodes.later("--feed", "none") as later:
        await writes(later, 3)
        await trade(later, 1)
        with nodes.this("--feed", "none") as node:
            await writes(later, 2)
            async with at(node, "a") as one, at(later, "b") as other:
                for client in (one, other):
                    await watch(client)
                for number in range(2, 42):
                    await trade((later, node)[number % 2], number)
                assert (await heard(other, 41))[-40:] == list(range(2, 42))
                assert await told(one, 41) == (1, list(range(2, 42)))
            ended(node)
        await writes(later, 3)
        ended(later)


async def told(client: Client, last: int) -> tuple[int, list[int]]:
    """Receive trades up to a given one, and count the gaps that report unreadable ones."""
    numbers: list[int] = []
    gaps = 0
    while not numbers or numbers[-1] < last:
        message = await client.hear()
        if message["type"] == "gap":
            assert message["reason"] == "unreadable"
            gaps += 1
        elif message["type"] == "trade":
            numbers += [one["id"] for one in message["data"]["trades"]]
    return gaps, numbers
