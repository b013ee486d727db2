"""The Futu feed: the vendor's package on threads of its own, bridged into the event loop.

Three kinds of threads meet here. The event loop decides everything. One :class:`VendorThread` makes
the calls that may block. The vendor's own threads call the hooks of a :class:`Connection`, which
only leave a note: a book in :class:`LatestBooks`, or the connection's new state.

Each connection to OpenD is a new vendor context. A context can reconnect by itself, but waits a
fixed 6 s first, says READY even when it failed to subscribe again, and never tries again after an
OpenD that accepted the connection and then said nothing. So ours ends with its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from typing import Any, Final, Literal

from bookcast.feeds import backoff
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.futu.books import LatestBooks
from bookcast.feeds.futu.connection import ACCEPTED, UNANSWERED, Connection
from bookcast.feeds.futu.subscriptions import Action, Subscribe, SubscriptionPlanner
from bookcast.feeds.futu.thread import VendorThread
from bookcast.feeds.futu.vendor import load_futu
from bookcast.model import Topic

logger = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 15.0
"""Seconds between attempts to connect grow from the first to the last of these, with jitter."""

CONNECT_SECONDS: Final = 30.0
"""The vendor gives up connecting after 20 s; this is for the ways in which it doesn't."""

HANDSHAKE_SECONDS: Final = 10.0
"""OpenD answers a new connection within this, or is taken for silent."""


class FutuFeed(Feed):
    """Publishes the order books that are wanted, from the OpenD at ``host``:``port``."""

    name = "futu"

    def __init__(
        self, publish: Publish, *, host: str, port: int, min_subscription_seconds: float = 60.0
    ) -> None:
        super().__init__(publish)
        self._host = host
        self._port = port
        self._address = f"OpenD at {host}:{port}"
        self._planner = SubscriptionPlanner(min_subscription_seconds)
        self._state: Literal["starting", "connected", "disconnected", "stopped"] = "starting"
        self._detail: str | None = None
        self._changed = asyncio.Event()  # demand or the connection
        self._settled = asyncio.Event()  # what is wanted has been asked for
        self._was_connected = False

    def status(self) -> FeedStatus:
        """Tell whether OpenD serves us; ``symbols`` counts the subscriptions held there."""
        refusals = "; ".join(
            f"OpenD refuses {symbol}: {refusal.reason}"
            for symbol, refusal in self._planner.refusals.items()
        )
        return FeedStatus(
            self.name, self._state, len(self._planner.held), self._detail or refusals or None
        )

    def want(self, topic: Topic) -> None:
        """Subscribe an order book as soon as possible; this feed has no other channel."""
        if topic.channel == "orderbook":
            self._planner.want(topic.symbol)
            self._changed.set()

    def release(self, topic: Topic) -> None:
        """Let go of an order book as soon as OpenD allows it."""
        if topic.channel == "orderbook":
            self._planner.release(topic.symbol)
            self._changed.set()

    def serves(self, topic: Topic) -> bool:
        """Order books come from here."""
        return topic.channel == "orderbook"

    async def run(self) -> None:
        """Stay connected until cancelled; then everything of the vendor's is closed."""
        loop = asyncio.get_running_loop()
        books = LatestBooks(loop)
        thread = VendorThread(loop)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish(books))
                tasks.create_task(self._stay_connected(thread, books))
        finally:
            thread.stop()
            self._state, self._detail = "stopped", None

    async def _publish(self, books: LatestBooks) -> None:
        while True:
            await self.publish(await books.take())

    async def _stay_connected(self, thread: VendorThread, books: LatestBooks) -> None:
        futu = await thread.call(load_futu)
        failures = 0
        while True:
            self._was_connected = False
            begun = asyncio.get_running_loop().time()
            trouble = await self._connect(futu, thread, books)
            # An OpenD that takes us in only to throw us out is knocked at ever less often.
            lasted = asyncio.get_running_loop().time() - begun
            failures = 1 if self._was_connected and lasted > MAX_DELAY else failures + 1
            detail = f"{trouble}; retrying"
            if detail != self._detail:  # said once, not at every attempt
                logger.warning("%s", detail)
            self._state, self._detail = "disconnected", detail
            await asyncio.sleep(
                backoff.delay(failures, random.random(), first=FIRST_DELAY, most=MAX_DELAY)
            )

    async def _connect(self, futu: Any, thread: VendorThread, books: LatestBooks) -> str:
        """Serve one connection to its end, and tell in words why it ended."""
        try:
            address = await thread.call(lambda: _resolve(self._host))
        except (OSError, UnicodeError) as error:
            return f"FUTU_HOST is {self._host!r}, which can't be resolved: {_reason(error)}"
        connection = Connection(books, self._changed)
        check = asyncio.create_task(self._check_held(connection))
        try:
            await thread.call(lambda: connection.open(futu, address, self._port))
            return await self._drive(connection, thread)
        finally:
            check.cancel()
            self._planner.disconnected()
            await connection.close()

    async def _drive(self, connection: Connection, thread: VendorThread) -> str:
        """Do what the planner wants until the connection is lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONNECT_SECONDS
        handshaking = False
        while True:
            self._changed.clear()
            wake_at: float | None = deadline
            if connection.state == "lost":
                if connection.silent:
                    return f"{self._address} doesn't answer"
                what = "closed the connection" if self._was_connected else "is not reachable"
                return f"{self._address} {what}"
            if connection.state == "ready":
                self._note_connected()
                if action := self._planner.next_action(loop.time()):
                    if not await self._perform(action, connection, thread):
                        return f"{self._address} doesn't answer"
                    continue
                if self._planner.held:
                    self._settled.set()
                wake_at = self._planner.next_time()
            elif loop.time() >= deadline:
                return f"{self._address} doesn't answer"
            elif connection.state == "handshaking" and not handshaking:
                handshaking = True
                wake_at = deadline = loop.time() + HANDSHAKE_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(wake_at):
                    await self._changed.wait()

    def _note_connected(self) -> None:
        if not self._was_connected:
            self._was_connected = True
            self._state, self._detail = "connected", None
            logger.info("connected to %s", self._address)

    async def _perform(self, action: Action, connection: Connection, thread: VendorThread) -> bool:
        """Ask OpenD for what the planner wants; False when it gave no answer."""
        answer = await thread.call(lambda: connection.request(action))
        now = asyncio.get_running_loop().time()
        what = "subscribed" if isinstance(action, Subscribe) else "released"
        if answer == ACCEPTED:
            self._planner.done(action, now)
            logger.info("%s %s", what, ", ".join(action.symbols))
        elif answer == UNANSWERED:
            # When the connection is lost meanwhile, that is the better reason.
            return connection.state == "lost"
        elif symbol := self._planner.refused(action, answer, now):
            seconds = self._planner.refusals[symbol].retry_at - now
            logger.warning("OpenD refuses %s: %s; retrying in %.0f s", symbol, answer, seconds)
        else:
            logger.debug("not %s together: %s: %s", what, ", ".join(action.symbols), answer)
        return True

    async def _check_held(self, connection: Connection) -> None:
        """Compare, once a connection, what OpenD says is subscribed with what it had promised.

        On a thread of its own: an OpenD that doesn't answer this must not hold up the demand.
        """
        self._settled.clear()
        await self._settled.wait()
        promised = frozenset(self._planner.held)
        thread = VendorThread(asyncio.get_running_loop(), "bookcast-futu-check")
        try:
            actual = await thread.call(connection.subscribed)
        finally:
            thread.stop()
        if actual is not None and (lost := self._planner.confirm(promised & actual, promised)):
            logger.warning("OpenD has lost %s; subscribing again", ", ".join(lost))
            self._changed.set()


def _resolve(host: str) -> str:
    """Give the IPv4 address of a host, the only kind that the vendor connects to."""
    found = socket.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


def _reason(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)
