"""The node's pub/sub connection to Redis. It reconnects when the connection is lost or silent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Collection
from typing import Any, Final

from redis.asyncio.client import PubSub

from bookcast import backoff
from bookcast.backplane.link import LOST, Link
from bookcast.observability.counter import counter

logger = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.1
MAX_DELAY: Final = 1.0
"""The delay between attempts to connect grows from the first to the second, with jitter."""

CANCEL_SECONDS: Final = 0.1

TOGETHER: Final = 1000
"""At most so many channels are named in one command."""


class Subscriber:
    """Listens on channels. Messages are lost, without notice, while the connection is broken.

    So ``connected`` is called whenever all channels are subscribed again. The receivers then read
    what they may have missed.

    Args:
        link: makes the connection to Redis.
        connected: called when all channels are subscribed.
    """

    lost = counter(
        "bookcast_engine_subscriptions_lost", "How often the subscription at Redis was lost"
    )

    def __init__(self, link: Link, connected: Callable[[], None] = lambda: None) -> None:
        self._link = link
        self._channels: dict[str, asyncio.Future[None]] = {}
        self._handlers: dict[str, Callable[[bytes], None]] = {}
        self._hear_other: Callable[[str, bytes], None] = lambda _channel, _message: None
        self._connected = connected
        self._pubsub: PubSub | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()
        self.trouble: str | None = "not connected yet"
        """What is wrong with the connection; None when it works."""

    def listen(self, channel: str, hear: Callable[[bytes], None]) -> None:
        """Call ``hear`` with each message of a channel. Call this before :meth:`start`."""
        self._handlers[channel] = hear

    def listen_to_others(self, hear: Callable[[str, bytes], None]) -> None:
        """Call ``hear`` with channel and message of all other subscribed channels."""
        self._hear_other = hear

    def start(self) -> None:
        """Start connecting, in the background."""
        self._task = asyncio.create_task(self._run(), name="subscriber")

    async def close(self) -> None:
        """Stop listening, and disconnect."""
        for task in (self._task, self._reading):
            # While it connects, the library may mistake a cancellation for its own timeout.
            while task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=CANCEL_SECONDS)
        await self._drop()
        for confirmed in self._channels.values():
            confirmed.cancel()

    async def subscribe(self, channels: Collection[str], patience: float) -> bool:
        """Subscribe to channels. Return True when Redis has confirmed all within ``patience`` s."""
        loop = asyncio.get_running_loop()
        new = [channel for channel in channels if channel not in self._channels]
        self._channels.update({channel: loop.create_future() for channel in new})
        await self._send("subscribe", new)
        wanted = [self._channels[channel] for channel in channels if channel in self._channels]
        if wanted:
            await asyncio.wait(wanted, timeout=patience)
        return all(one.done() and not one.cancelled() for one in wanted)

    async def unsubscribe(self, channels: Collection[str]) -> None:
        """Unsubscribe from channels."""
        known = [channel for channel in channels if channel in self._channels]
        for channel in known:
            self._channels.pop(channel).cancel()
        await self._send("unsubscribe", known)

    def reconnect(self, reason: str) -> None:
        """Replace a connection that looks open but doesn't work."""
        self.trouble = reason
        if self._reading is not None:
            self._reading.cancel()

    async def _send(self, command: str, channels: list[str]) -> None:
        if self._pubsub is None:
            return  # all channels are subscribed when it connects
        pubsub = self._pubsub
        try:
            async with self._sending:
                for at in range(0, len(channels), TOGETHER):
                    await getattr(pubsub, command)(*channels[at : at + TOGETHER])
        except LOST as error:
            self.reconnect(f"{command} failed: {error}")

    async def _run(self) -> None:
        failures = 0
        while True:
            self._reading = asyncio.create_task(self._listen(), name="subscription")
            await asyncio.wait([self._reading])
            reading, self._reading = self._reading, None
            error = None if reading.cancelled() else reading.exception()
            if error is not None:
                self.trouble = str(error) or type(error).__name__
                if not isinstance(error, LOST):
                    logger.error("listening to Redis met a fault of ours", exc_info=error)
            was_well = self._pubsub is not None
            self.lost += was_well
            await self._drop()
            failures = 1 if was_well else failures + 1
            logger.log(
                logging.WARNING if was_well else logging.DEBUG,
                "the subscription at Redis is lost: %s",
                self.trouble,
            )
            await asyncio.sleep(
                backoff.delay(failures, random.random(), first=FIRST_DELAY, most=MAX_DELAY)
            )

    async def _listen(self) -> None:
        pubsub = self._link.pubsub()
        try:
            channels = [*self._handlers, *self._channels]
            loop = asyncio.get_running_loop()
            for channel, confirmed in self._channels.items():
                if confirmed.done():
                    self._channels[channel] = loop.create_future()
            for at in range(0, len(channels), TOGETHER):
                await pubsub.subscribe(*channels[at : at + TOGETHER])
            unconfirmed = set(channels)
            while unconfirmed:
                unconfirmed.discard(self._take(await pubsub.parse_response()))
            self._pubsub, self.trouble = pubsub, None
            # Channels may have been added during the awaits.
            await self._send("subscribe", [one for one in self._channels if one not in channels])
            self._connected()
            while True:
                self._take(await pubsub.parse_response())
        finally:
            if self._pubsub is not pubsub:
                await _close(pubsub)

    def _take(self, response: Any) -> str:
        """Process a message of Redis. Return the channel that it confirms, else ""."""
        kind, where = response[0], response[1]
        channel: str = where.decode() if isinstance(where, bytes) else where
        if kind in {b"message", "message"}:
            try:
                self._hear(channel, response[2])
            except Exception:
                # A message that can't be processed must not end the loop.
                logger.exception("what was said on %s can't be read", channel)
        elif kind in {b"subscribe", "subscribe"}:
            confirmed = self._channels.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
            return channel
        return ""

    def _hear(self, channel: str, message: bytes) -> None:
        hear = self._handlers.get(channel)
        if hear is not None:
            hear(message)
        else:
            self._hear_other(channel, message)

    async def _drop(self) -> None:
        pubsub, self._pubsub = self._pubsub, None
        if pubsub is not None:
            await _close(pubsub)


async def _close(pubsub: PubSub) -> None:
    with contextlib.suppress(*LOST):
        await pubsub.aclose()  # type: ignore[no-untyped-call] # the library's
