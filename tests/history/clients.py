"""Clients as people write them: they come back after a loss, and go on where they were."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from tests.history.history import Event, Happening, Track

OPEN_TIMEOUT = 2.0
SILENCE = 4.0
"""After so long without a word a client takes the connection for dead; there are heartbeats."""

PING_SECONDS = 1.0
"""A base client hears no heartbeats, so it asks."""

FIRST_WAIT = 0.1
MOST_WAIT = 1.0
"""Waits between attempts double from the first to the last, with jitter."""

RESUBSCRIBES_AFTER = 12.0
"""A base client that got no book for so long doesn't believe any more that it will."""

RESTS = 0.005
"""After so many of its messages a slow client rests."""

RECEIVE_BUFFER = 4096

Place = tuple[str, int]
"""Epoch and seq."""

_decode = msgspec.json.Decoder().decode


class Client(ABC):
    """Stays connected through the balancer until told to stop.

    Args:
        track: where it writes down what happens.
        url: of the balancer, to which the name is appended.
        clock: seconds since the run began.
        slow: now and then it reads nothing for a while.
        seed: of its waits.
    """

    def __init__(
        self,
        track: Track,
        *,
        url: str,
        clock: Callable[[], float],
        slow: bool = False,
        seed: str = "",
    ) -> None:
        self.track = track
        self._url = f"{url}{track.name}"
        self._clock = clock
        self._slow = slow
        self._hurried = asyncio.Event()
        self._random = random.Random(f"{seed} {track.name}")
        self._task: asyncio.Task[None] | None = None
        self._connection: websockets.asyncio.client.ClientConnection | None = None
        self._node = ""
        self.is_subscribed = asyncio.Event()
        """Set once it had everything for the first time."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection now."""
        return self._connection is not None

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._run(), name=self.track.name)

    def hurry(self) -> None:
        """Be slow no more."""
        self._slow = False
        self._hurried.set()

    async def stop(self) -> None:
        """End, without goodbye; raises what went wrong meanwhile."""
        assert self._task is not None
        failed = self._task.done()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._write("stopped")
        if failed:
            self._task.result()

    @abstractmethod
    def place(self, topic: str) -> Place | int | None:
        """Tell how far it has a topic: its position, or the number of a base client's book."""

    @abstractmethod
    async def _begin(self) -> None:
        """Say what is to be said first."""

    @abstractmethod
    async def _hear(self, message: Any) -> None:
        """Take a message."""

    @abstractmethod
    async def _tend(self) -> None:
        """Do what is to be done again and again while it is connected."""

    def _write(self, what: Happening, **more: Any) -> None:
        self.track.events.append(Event(self._clock(), what, node=self._node, **more))

    async def _say(self, message: dict[str, Any]) -> None:
        assert self._connection is not None
        text = json.dumps(message)
        self._write("said", message=msgspec.Raw(text.encode()))
        await self._connection.send(text)

    async def _run(self) -> None:
        failures = 0
        while True:
            if await self._connect():
                failures = 0
            failures += 1
            longest = min(MOST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
            seconds = longest * self._random.uniform(0.5, 1)
            self._write("waits", seconds=seconds)
            await asyncio.sleep(seconds)

    async def _connect(self) -> bool:
        """Be connected until that ends; tell whether there was a connection at all."""
        sock = socket.socket()
        sock.setblocking(False)
        if self._slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        host, port = self._url.removeprefix("ws://").partition("/")[0].split(":")
        protocols = [Subprotocol("bookcast.v1")] if self.track.protocol == "v1" else None
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
                connection = await websockets.asyncio.client.connect(
                    self._url,
                    sock=sock,
                    subprotocols=protocols,
                    compression=None,
                    ping_interval=None,
                    open_timeout=None,
                    close_timeout=0.5,
                    max_queue=4 if self._slow else 64,
                    proxy=None,
                )
        except (OSError, InvalidHandshake, InvalidMessage, EOFError) as error:
            sock.close()
            self._write("refused", detail=f"{type(error).__name__}: {error}")
            return False
        except BaseException:
            sock.close()
            raise
        self._connection = connection
        assert connection.response is not None
        self._node = connection.response.headers.get("X-Node", "")
        self._write("opened")
        try:
            await self._live(connection)
        finally:
            connection.transport.abort()
            self._connection = None
            self._node = ""
        return True

    async def _live(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        tending = asyncio.create_task(self._tend())
        detail = ""
        try:
            await self._begin()
            while True:
                async with asyncio.timeout(SILENCE):
                    text = await connection.recv(decode=False)
                self._write("heard", message=msgspec.Raw(text))
                await self._hear(_decode(text))
                if self._slow and self._random.random() < RESTS:
                    await self._rest(self._random.uniform(1, 4))
        except ConnectionClosed as closed:
            detail = str(closed) or "closed"
        except TimeoutError:
            detail = "silent for too long"
        finally:
            tending.cancel()
            if detail:  # else the run has stopped it, which is no loss
                self._write("lost", detail=detail, code=connection.close_code or 0)

    async def _rest(self, seconds: float) -> None:
        """Read nothing for a while, unless it is to be slow no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()


class V1Client(Client):
    """Speaks bookcast.v1; ``subscriptions`` are its subscribe messages."""

    def __init__(self, track: Track, subscriptions: Sequence[dict[str, Any]], **more: Any) -> None:
        super().__init__(track, **more)
        self._subscriptions = subscriptions
        self._token = ""
        self._next_token = ""
        self._places: dict[str, Place] = {}
        self._unconfirmed: set[str] = set()

    def place(self, topic: str) -> Place | None:
        """Tell how far it has a topic."""
        return self._places.get(topic)

    async def _begin(self) -> None:
        """Wait for the welcome."""

    async def _tend(self) -> None:
        """Do nothing: heartbeats come by themselves."""

    async def _hear(self, message: Any) -> None:
        topic = f"{message.get('channel')}:{message.get('symbol')}"
        match message["type"]:
            case "welcome":
                self._next_token = message["session"]
                if self._token:
                    await self._resume()
                else:
                    await self._subscribe(self._subscriptions)
            case "resumed":
                self._token = message["session"]
                lost = {f"{one['channel']}:{one['symbol']}" for one in message["refused"]}
                await self._subscribe_anew(lost)
            case "error" if message["code"] == "engine_unavailable":
                await asyncio.sleep(message["retry_after_ms"] / 1000)
                await self._resume()
            case "error" if message.get("id") == "resume":
                self._token = ""
                await self._subscribe_anew(set(self.track.topics))
            case "subscription_confirmed":
                self._unconfirmed.discard(topic)
                self._token = self._next_token
                # The position of a book that hasn't come yet is no position of ours.
                if message["seq"] is not None and message["channel"] == "trades":
                    self._places[topic] = message["epoch"], message["seq"]
                if not self._unconfirmed:
                    self.is_subscribed.set()
            case "orderbook_update" | "orderbook_delta" | "trade":
                self._places[topic] = message["epoch"], message["seq"]
            case "gap" if message["to_seq"] is not None:
                self._places[topic] = message["epoch"], message["to_seq"]

    async def _resume(self) -> None:
        positions = [
            dict(zip(("channel", "symbol"), topic.split(":"), strict=True), epoch=epoch, seq=seq)
            for topic, (epoch, seq) in self._places.items()
        ]
        await self._say(
            {"action": "resume", "id": "resume", "session": self._token, "positions": positions}
        )

    async def _subscribe_anew(self, topics: set[str]) -> None:
        if not topics:
            return
        self._write("resubscribed", detail=",".join(sorted(topics)))
        for topic in topics:
            self._places.pop(topic, None)
        await self._subscribe([one for one in self._subscriptions if _topic(one) in topics])

    async def _subscribe(self, subscriptions: Sequence[dict[str, Any]]) -> None:
        self._unconfirmed.update(map(_topic, subscriptions))
        for one in subscriptions:
            await self._say({"action": "subscribe", **one})


class BaseClient(Client):
    """Speaks the base protocol: it subscribes once, and trusts that the server remembers."""

    def __init__(self, track: Track, **more: Any) -> None:
        super().__init__(track, **more)
        self._numbers: dict[str, int] = {}
        self._was_here = False
        self._heard_at = 0.0

    def place(self, topic: str) -> int | None:
        """Tell the number of the newest book."""
        return self._numbers.get(topic)

    async def _begin(self) -> None:
        self._heard_at = self._clock()
        if not self._was_here:
            await self._subscribe()

    async def _subscribe(self) -> None:
        for topic in self.track.topics:
            await self._say({"action": "subscribe", "symbol": topic.partition(":")[2]})

    async def _hear(self, message: Any) -> None:
        match message["type"]:
            case "subscription_confirmed":
                self._was_here = True
                self.is_subscribed.set()
            case "orderbook_update":
                self._heard_at = self._clock()
                number = message["data"].get("n", 0)
                self._numbers[f"orderbook:{message['symbol']}"] = number

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                if self._clock() - self._heard_at > RESUBSCRIBES_AFTER:
                    self._heard_at = self._clock()
                    self._write("resubscribed")
                    await self._subscribe()
                await self._say({"action": "ping"})
            except ConnectionClosed:
                return


def _topic(subscription: dict[str, Any]) -> str:
    return f"{subscription.get('channel', 'orderbook')}:{subscription['symbol']}"
