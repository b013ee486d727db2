"""Clients of both protocols: they come back after a loss, and go on where they were."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.history.client import Client, Place
from tests.history.data import PERIOD
from tests.history.history import Track
from tests.history.tokens import LIFETIME

PING_SECONDS = 1.0
"""A base client hears no heartbeats, so it asks."""

RESUBSCRIBES_AFTER = 12.0
"""A base client that got no book for so long doesn't believe any more that it will."""

LOOK_SECONDS = 0.5
"""How often a client looks whether it lacks a right, once it is to have all."""


class V1Client(Client):
    """A client of bookcast.v1.

    ``subscriptions`` are its subscribe messages; with ``tells``, a message brings its first token.
    """

    def __init__(
        self,
        track: Track,
        subscriptions: Sequence[dict[str, Any]],
        *,
        tells: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(track, **more)
        self._subscriptions = subscriptions
        self._tells = tells
        self._has_begun = False
        self._forbidden: set[str] = set()
        """What its token gives no right to."""
        self._session = ""
        self._next_session = ""
        self._places: dict[str, Place] = {}
        self._unconfirmed: set[str] = set()

    def place(self, topic: str) -> Place | None:
        """Return the position that the client has reached in a topic."""
        return self._places.get(topic)

    async def _begin(self) -> None:
        """Wait for the welcome."""
        self._has_begun = False

    @property
    def _shows_first(self) -> bool:
        return super()._shows_first and not self._tells

    async def _tend(self) -> None:
        """Get all rights in the end; until then nothing is to do, heartbeats come by themselves."""
        await self._hurried.wait()
        with contextlib.suppress(ConnectionClosed):
            while True:
                if self._forbidden and not self._shown and self._token and self._token.symbols:
                    await self._renew()
                await asyncio.sleep(LOOK_SECONDS)

    async def _hear(self, message: Any) -> None:
        topic = f"{message.get('channel')}:{message.get('symbol')}"
        match message["type"]:
            case "welcome":
                self._next_session = message["session"]
                if self._wallet is not None and self._tells:
                    await self._renew()
                else:
                    await self._go_on()
            case "authenticated":
                await (self._subscribe_to_forbidden() if self._has_begun else self._go_on())
            case "token_expiring" if self._renews:
                await self._renew()
            case "resumed":
                self._session = message["session"]
                refused = {
                    f"{one['channel']}:{one['symbol']}": one["code"] for one in message["refused"]
                }
                for one, code in refused.items():
                    if code == "forbidden":
                        self._note_forbidden(one)
                # The connection may have been lost before the server read that it was to subscribe.
                self._unconfirmed -= {
                    f"{one['channel']}:{one['symbol']}" for one in message["restored"]
                }
                await self._subscribe_anew((set(refused) | self._unconfirmed) - self._forbidden)
                await self._subscribe_to_forbidden()
            case "error" if message["code"] == "forbidden" and topic in self.track.topics:
                self._note_forbidden(topic)
            case "error" if message["code"] == "engine_unavailable":
                await asyncio.sleep(message["retry_after_ms"] / 1000)
                await self._resume()
            case "error" if message.get("id") == "resume":
                self._session = ""
                await self._subscribe_anew(set(self.track.topics))
            case "subscription_confirmed":
                self._unconfirmed.discard(topic)
                self._session = self._next_session
                # The position of a book that hasn't come yet is no position of ours.
                if message["seq"] is not None and message["channel"] == "trades":
                    self._places[topic] = message["epoch"], message["seq"]
                if not self._unconfirmed:
                    self.is_subscribed.set()
            case "orderbook_update" | "orderbook_delta" | "trade" | "candle_update":
                self._places[topic] = message["epoch"], message["seq"]
            case "gap" if message["to_seq"] is not None:
                self._places[topic] = message["epoch"], message["to_seq"]

    async def _go_on(self) -> None:
        self._has_begun = True
        await (self._resume() if self._session else self._subscribe(self._subscriptions))

    async def _resume(self) -> None:
        positions = [
            {**_named(topic), "epoch": epoch, "seq": seq}
            for topic, (epoch, seq) in self._places.items()
        ]
        await self._say(
            {"action": "resume", "id": "resume", "session": self._session, "positions": positions}
        )

    def _note_forbidden(self, topic: str) -> None:
        self._forbidden.add(topic)
        self._unconfirmed.discard(topic)
        self._places.pop(topic, None)

    async def _subscribe_to_forbidden(self) -> None:
        """Subscribe to what an earlier token gave no right to, and this one does."""
        assert self._token is not None or not self._forbidden
        if self._forbidden and self._token is not None and self._token.symbols is None:
            topics, self._forbidden = self._forbidden, set()
            await self._subscribe([one for one in self._subscriptions if _topic(one) in topics])

    async def _subscribe_anew(self, topics: set[str]) -> None:
        if not topics:
            return
        self._write("resubscribed", detail=",".join(sorted(topics)))
        for topic in topics:
            self._places.pop(topic, None)
        self._forbidden -= topics
        await self._subscribe([one for one in self._subscriptions if _topic(one) in topics])

    async def _subscribe(self, subscriptions: Sequence[dict[str, Any]]) -> None:
        self._unconfirmed.update(map(_topic, subscriptions))
        for one in subscriptions:
            await self._say({"action": "subscribe", **one})


class BaseClient(Client):
    """A client of the base protocol: it subscribes once, and relies on the server's memory."""

    def __init__(self, track: Track, **more: Any) -> None:
        super().__init__(track, **more)
        self._numbers: dict[str, int] = {}
        self._was_here = False
        self._quiet = 0.0
        """So many seconds it has been connected since the last book."""

    def place(self, topic: str) -> int | None:
        """Return the number of the newest book."""
        return self._numbers.get(topic)

    async def _begin(self) -> None:
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
                self._quiet = 0.0
                number = message["data"].get("n", 0)
                self._numbers[f"orderbook:{message['symbol']}"] = number

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                self._quiet += PING_SECONDS
                if self._quiet > RESUBSCRIBES_AFTER:
                    self._quiet = 0.0
                    self._write("resubscribed")
                    await self._subscribe()
                token = self._token if self._renews and not self._shown else None
                if token is not None and token.until - self._clock() < LIFETIME / 2:
                    await self._renew()
                await self._say({"action": "ping"})
            except ConnectionClosed:
                return


def _named(topic: str) -> dict[str, Any]:
    channel, _, symbol = topic.partition(":")
    period = {"period": PERIOD} if channel == "candles" else {}
    return {"channel": channel, "symbol": symbol, **period}


def _topic(subscription: dict[str, Any]) -> str:
    return f"{subscription.get('channel', 'orderbook')}:{subscription['symbol']}"
