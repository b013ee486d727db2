"""Keeps a feed running: a feed that ends or fails is restarted, with back-off."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bookcast import backoff
from bookcast.feeds.base import Feed, FeedStatus
from bookcast.model.feed_state import FeedState, Security
from bookcast.model.market_data import Data
from bookcast.model.topics import Symbol, Topic

logger = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.5
MAX_DELAY: Final = 30.0
"""The delay before a restart, in seconds, grows from the first to the second, with jitter."""


class Supervisor:
    """Runs one feed and passes the demand on to it.

    ``sleep`` and ``random`` (0 to 1) are parameters so that tests needn't wait.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._feed = feed
        self._sleep = sleep
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._trouble: str | None = None

    def start(self) -> None:
        """Run the feed in the background."""
        self._stopping = False
        self._task = asyncio.create_task(self._run(), name=f"feed {self._feed.name}")

    async def stop(self) -> None:
        """Stop the feed, and wait until it has cleaned up."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def want(self, topic: Topic) -> None:
        """Pass on that subscribers want a topic."""
        self._feed.want(topic)

    def want_to_read(self, topic: Topic) -> None:
        """Pass on that only reads want a topic."""
        self._feed.want_to_read(topic)

    def go_on_after(self, topic: Topic, past: Sequence[Data]) -> None:
        """Pass on what another node's feed published of a topic."""
        self._feed.go_on_after(topic, past)

    def release(self, topic: Topic) -> None:
        """Pass on that nothing wants a topic any more."""
        self._feed.release(topic)

    def serves(self, topic: Topic) -> bool:
        """Return whether the feed may supply a topic, as far as it knows."""
        return self._feed.serves(topic)

    def supply(self, topic: Topic) -> FeedState:
        """Return the feed's state of a topic; ``feed_down`` while the feed isn't running."""
        if self._trouble is None:
            return self._feed.supply(topic)
        return FeedState(self._feed.name, "feed_down", self._trouble)

    @property
    def names_all(self) -> bool:
        """Whether :meth:`symbols` is complete: the feed has no other symbols."""
        return self._feed.names_all

    def symbols(self) -> Sequence[Symbol]:
        """Return the symbols that the feed has; empty where it doesn't know."""
        return self._feed.symbols()

    async def search(self, text: str) -> Sequence[Security]:
        """Return the feed's securities whose symbol contains a text."""
        return await self._feed.search(text)

    def status(self) -> FeedStatus:
        """Return the feed's state; ``disconnected`` while it isn't running."""
        status = self._feed.status()
        if self._trouble is None:
            return status
        return FeedStatus(status.name, "disconnected", status.symbols, self._trouble)

    async def _run(self) -> None:
        failures = 0
        # A feed that fails during its clean-up must not be restarted.
        while not self._stopping:
            started = asyncio.get_running_loop().time()
            try:
                await self._feed.run()
                reason = "it ended"
            except Exception as error:
                logger.exception("feed %s failed", self._feed.name)
                reason = f"it failed: {type(error).__name__}: {error}"
            ran_well = asyncio.get_running_loop().time() - started > MAX_DELAY
            failures = 1 if ran_well else failures + 1
            wait = backoff.delay(failures, self._random(), first=FIRST_DELAY, most=MAX_DELAY)
            self._trouble = f"{reason}; starting again"
            logger.warning("feed %s: %s in %.1f s", self._feed.name, self._trouble, wait)
            await self._sleep(wait)
            self._trouble = None
