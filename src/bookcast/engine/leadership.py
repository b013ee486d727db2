"""Which node runs the feed: one at a time, by a lock that has to be renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bookcast.backplane.link import Link
from bookcast.backplane.names import SHARDS
from bookcast.errors import EngineAwayError

logger = logging.getLogger(__name__)

LOCK_MS: Final = 1500
"""Who hasn't renewed the lock for so long has lost it."""

RENEW_SECONDS: Final = 0.4

PATIENCE_SECONDS: Final = 1.0
"""After Redis was away, whoever had the lock before may take it again for so long."""


class Leadership:
    """Takes the lock when it is free, and tells.

    The lock has a number, which grows: the fence. Whoever takes it raises the fence of every shard
    first, so that what an earlier holder still publishes is refused.

    Args:
        link: the way to Redis.
        node: this process.
        gained: called, with the fence, when this node is to run the feed, or goes on under another
            one, since Redis has forgotten the first.
        lost: called when it isn't to any more.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        gained: Callable[[int], Awaitable[None]],
        lost: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._node = node
        self._gained = gained
        self._lost = lost
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._free = asyncio.Event()
        self._away_until = 0.0
        # The feed is begun and ended in turn.
        self._changing = asyncio.Lock()
        self.fence: int | None = None
        """The number under which this node runs the feed; None: it doesn't."""

    def start(self) -> None:
        """Look for the lock from now on, in the background."""
        self._task = asyncio.create_task(self._run(), name="leadership")

    def note_free(self) -> None:
        """Take note that whoever had the lock gave it up."""
        self._free.set()

    def note_away(self) -> None:
        """Take note that Redis is away, or was a moment ago.

        Whoever runs the feed goes on: nobody else can take over now. Afterwards he has the first
        word.
        """
        self._away_until = self._clock() + PATIENCE_SECONDS

    async def fenced(self, fence: int) -> None:
        """Take note that another node has the lock: something was refused under this fence."""
        async with self._changing:
            if self.fence == fence:
                await self._lose("another node runs the feed")

    async def close(self) -> None:
        """End the feed, and let another node run it at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self.fence is not None:
            await self._lose("this node ends")
            try:
                await self._link.call(
                    "resign", [self._link.keys.lock], [self._node, self._link.keys.leader_channel]
                )
            except EngineAwayError as error:
                logger.warning("the feed can't be handed over: %s", error)

    async def _run(self) -> None:
        while True:
            try:
                async with self._changing:
                    await self._look()
            except EngineAwayError as error:
                self.note_away()
                logger.debug("the lock of the feed can't be looked at: %s", error)
            except Exception:
                logger.exception("leadership met a fault of ours")
            self._free.clear()
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._free.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        may_take = self.fence is not None or self._clock() >= self._away_until
        number, was_free = await self._link.call(
            "lead",
            [self._link.keys.lock, self._link.keys.lock_number],
            [self._node, LOCK_MS, "acquire" if may_take else "renew", self.fence or 0],
        )
        if number == self.fence:
            if was_free:  # Redis may have forgotten more than the lock
                await self._raise_fences(number)
            return
        if self.fence is not None:
            # It may be this node again, but what it published meanwhile was refused.
            await self._lose("another node has it")
        if not number:
            return
        await self._raise_fences(number)
        self.fence = number
        logger.info("this node runs the feed from now on")
        await self._gained(number)

    async def _raise_fences(self, number: int) -> None:
        """Refuse what earlier holders still publish."""
        await asyncio.gather(
            *(
                self._link.call("fence", [self._link.keys.fence(shard)], [number])
                for shard in range(SHARDS)
            )
        )

    async def _lose(self, why: str) -> None:
        self.fence = None
        logger.info("this node runs the feed no more: %s", why)
        await self._lost()
