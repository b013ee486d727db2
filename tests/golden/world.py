"""Nodes as bookcast composes them, in a loop that the script drives: all assembly is here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final
from unittest import mock

import msgspec

from bookcast import Server, compose
from bookcast.backend.redis import RedisTimes
from bookcast.backplane.pulse import PulseTimes
from bookcast.cluster.election.redis import ElectionTimes
from bookcast.compose import NodeTimes
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication
from bookcast.settings import Settings, from_keywords
from tests.backplane.links import link
from tests.engine.nodes import written_by_another
from tests.fakes.redis_server import RedisServer
from tests.golden.client import Client, Transport
from tests.golden.loop import ScriptedLoop
from tests.golden.redis_at_hand import SHORT_LIVED_MS, RedisAtHand
from tests.golden.transcript import Transcript

TIMES: Final = NodeTimes(
    redis=RedisTimes(
        pulse=PulseTimes(living=SHORT_LIVED_MS / 1000),
        election=ElectionTimes(lock=SHORT_LIVED_MS / 1000),
    )
)
"""Redis keeps for as long what is renewed all the time."""


class ScriptedFeed(Feed):
    """A feed that publishes what the script says."""

    name = "scripted"

    async def run(self) -> None:
        """Wait for the script."""
        await asyncio.Event().wait()

    def status(self) -> FeedStatus:
        return FeedStatus(self.name, "connected", 0)


class Node:
    """A running server, and the ways into it."""

    def __init__(self, world: World, settings: Settings, name: str) -> None:
        self._world = world
        self._feeds: list[ScriptedFeed] = []
        self.server = Server(settings, node=name, times=TIMES)
        self.connect: Callable[[], asyncio.BaseProtocol]

    async def start(self, *, feeds: bool) -> None:
        """Start; clients can come when this returns."""

        def make(_settings: Settings, publish: Publish) -> Sequence[Feed]:
            self._feeds = [ScriptedFeed(publish)] if feeds else []
            return self._feeds

        with mock.patch.object(compose, "feeds_of", make):
            await self.server.start()
        self.connect = self._world.loop.listeners[-1].connect
        await self._world.loop.selector.settle()

    # Publishing

    async def publish(
        self, symbol: str, data: Any, channel: str = "orderbook", period: str | None = None
    ) -> None:
        """Publish in process, and let it go out."""
        await self.publish_together((symbol, data, channel, period))

    async def publish_together(self, *publications: tuple[Any, ...]) -> None:
        """Publish several before any of them goes out."""
        publish: Any = self.server.publish
        for symbol, data, *rest in publications:
            channel = rest[0] if rest else "orderbook"
            period = rest[1] if len(rest) > 1 else None
            told = f"{channel} {symbol}" + (f" {period}" if period else "")
            self._world.say(f"publish {told} {_json(data)}")
            self._world.begin(publish(symbol, data, channel=channel, period=period), told)
        await self._world.settle()

    async def feed(self, *publications: Publication) -> None:
        """Publish as this node's feed."""
        for one in publications:
            self._world.say(f"the feed publishes {one.topic} {_json(_plain(one))}")
        self._world.begin(self._feeds[0].publish(publications), "feed")
        await self._world.settle()

    async def http(self, method: str, path: str, body: Any = None, *headers: str) -> None:
        """Send a request on a connection of its own."""
        content = b"" if body is None else _json(body).encode()
        self._world.say(f"{method} {path} {content.decode()}".rstrip())
        answer = bytearray()

        def answered() -> None:
            head, _, text = bytes(answer).partition(b"\r\n\r\n")
            status = head.split(b"\r\n")[0].decode().removeprefix("HTTP/1.1 ")
            self._world.say(f"{method} {path} is answered {status} {text.decode()}".rstrip())

        transport = Transport(answer.extend, answered)
        protocol = self.connect()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: 127.0.0.1",
            "Connection: close",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            *headers,
        ]
        transport.receive("\r\n".join([*lines, "", ""]).encode() + content)
        await self._world.settle()


class World:
    """One scenario: its nodes, its clients and what is noted of them."""

    def __init__(self, loop: ScriptedLoop, folder: Path, redis: RedisServer | None) -> None:
        self.loop = loop
        self.folder = folder
        self.transcript = Transcript()
        self._redis = RedisAtHand(redis, loop.selector.set_barrier) if redis is not None else None
        self._nodes: list[Node] = []
        self._begun: set[asyncio.Future[object]] = set()
        self.say = self.transcript.say

    async def node(self, name: str = "one", *, feeds: bool = False, **settings: Any) -> Node:
        """Start a node; on a Redis scenario it shares the Redis."""
        if self._redis is not None:
            settings["redis_url"] = self._redis.server.url
        node = Node(self, self.settings(**settings), name)
        self._nodes.append(node)
        await node.start(feeds=feeds)
        await self.wait(0, quietly=True)
        return node

    def settings(self, **settings: Any) -> Settings:
        """Make settings."""
        return from_keywords(port=0, **settings)

    async def join(
        self,
        name: str,
        node: Node,
        *headers: str,
        client_id: str = "",
        v1: bool = True,
        deflate: bool = False,
        query: str = "",
    ) -> Client:
        """Connect a client; its id is its name unless said otherwise."""
        extra = list(headers)
        if v1:
            extra.append("Sec-WebSocket-Protocol: bookcast.v1")
        if deflate:
            extra.append("Sec-WebSocket-Extensions: permessage-deflate")
        path = f"/ws/{client_id or name}" + (f"?{query}" if query else "")
        self.transcript.end_step()
        client = Client(name, node.connect, path, self.transcript, self.settle, *extra)
        await self.settle()
        return client

    def begin(self, publishing: Awaitable[object], what: str) -> None:
        """Begin to publish; a refusal is noted when it comes."""

        def note(outcome: asyncio.Future[object]) -> None:
            self._begun.discard(outcome)
            if not outcome.cancelled() and (error := outcome.exception()) is not None:
                self.say(f"{what} is refused: {error}")

        begun = asyncio.ensure_future(publishing)
        self._begun.add(begun)
        begun.add_done_callback(note)

    async def settle(self) -> None:
        """Let everything happen that takes no time, and end the step."""
        await self.loop.selector.settle()
        self.transcript.end_step()

    async def wait(self, seconds: float, *, quietly: bool = False) -> None:
        """Let time pass."""
        if not quietly:
            self.say(f"{seconds:g} s pass")
        await self.loop.selector.settle(seconds)
        self.transcript.end_step()

    # Redis

    @property
    def redis(self) -> RedisAtHand:
        """The Redis of the scenario."""
        assert self._redis is not None
        return self._redis

    async def stop_redis(self) -> None:
        """Let Redis end, with all that it has."""
        self.say("Redis goes away")
        self.redis.stop()
        await self.settle()

    async def start_redis(self) -> None:
        """Let Redis come back empty."""
        self.say("Redis is back, empty")
        self.redis.start()
        await self.settle()

    async def hang_redis(self) -> None:
        """Let Redis answer nothing any more."""
        self.say("Redis hangs")
        self.redis.hang()
        await self.settle()

    async def resume_redis(self) -> None:
        """Let Redis go on, with what it has."""
        self.say("Redis goes on")
        self.redis.go_on()
        await self.settle()

    async def write_record(self, topic: Topic, record: bytes) -> None:
        """Publish bytes that another release may have written."""
        self.say(f"another release publishes {topic}: {record!r}")
        async with link(self.redis.server.url) as (to_redis, _):
            await written_by_another(to_redis, topic, record)
        await self.settle()

    async def close(self) -> None:
        """Stop the nodes; what clients are sent then isn't noted any more."""
        if self._redis is not None:
            self._redis.go_on()
        for node in reversed(self._nodes):
            stopping = asyncio.ensure_future(node.server.stop())
            while not stopping.done():
                await self.loop.selector.settle(0.1)
            await stopping
        if self._redis is not None:
            self._redis.close()


def _json(data: Any) -> str:
    return data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))


def _plain(publication: Publication) -> Any:
    return msgspec.to_builtins(publication.data)
