"""Which node runs the feed: one at a time, by a lock that has to be renewed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import ClassVar

from bookcast.background import Periodic
from bookcast.backplane.base import Backplane
from bookcast.backplane.names import SHARDS
from bookcast.cluster.election.base import Candidate, Election
from bookcast.errors import EngineAwayError
from bookcast.timing import Times, milliseconds

logger = logging.getLogger(__name__)


class ElectionTimes(Times, frozen=True, kw_only=True):
    """Of the lock that elects a node, in seconds.

    ``lock``: who hasn't renewed it for so long has lost it. ``renewal``: how often it is renewed,
    or looked at. ``precedence``: after Redis was away, whoever had the lock before may take it
    again for so long, before others do.
    """

    LONGER: ClassVar = (("lock", 2, "renewal"), ("precedence", 2, "renewal"))

    lock: float = 1.5
    renewal: float = 0.4
    precedence: float = 1.0


class RedisElection(Election):
    """Takes the lock when it is free.

    The lock has a number, which grows: the fence. Whoever takes it raises the fence of every shard
    first, so that what an earlier holder still publishes is refused. When Redis has forgotten the
    number, the feed goes on under another one.

    Args:
        plane: the way to Redis.
        node: this process.
        times: how long the lock lasts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plane: Backplane,
        node: str,
        times: ElectionTimes,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = plane.link
        self._node = node
        self._times = times
        self._clock = clock
        self._candidate: Candidate
        self._looking = Periodic(self._look_in_turn, times.renewal, "election")
        self._away_until = 0.0
        # The feed is begun and ended in turn.
        self._changing = asyncio.Lock()
        self.fence: int | None = None
        plane.subscriber.listen(plane.link.keys.leader_channel, lambda _message: self.note_free())

    async def start(self, candidate: Candidate) -> None:
        """Look for the lock from now on, in the background."""
        self._candidate = candidate
        self._looking.trigger()
        self._looking.start()

    def note_free(self) -> None:
        """Take note that whoever had the lock gave it up."""
        self._looking.trigger()

    def note_away(self) -> None:
        """Take note that Redis is away, or was a moment ago.

        Whoever runs the feed goes on: nobody else can take over now. Afterwards he has the first
        word.
        """
        self._away_until = self._clock() + self._times.precedence

    async def note_fenced(self, fence: int) -> None:
        """End the feed that ran under this fence."""
        async with self._changing:
            if self.fence == fence:
                await self._lose("another node runs the feed")

    async def resign(self) -> None:
        """Run the feed no more, and let another node run it at once."""
        await self._looking.close()
        if self.fence is not None:
            await self._lose("this node ends")
            try:
                await self._link.call(
                    "resign", [self._link.keys.lock], [self._node, self._link.keys.leader_channel]
                )
            except EngineAwayError as error:
                logger.warning("the feed can't be handed over: %s", error)

    async def _look_in_turn(self) -> None:
        try:
            async with self._changing:
                await self._look()
        except EngineAwayError as error:
            self.note_away()
            logger.debug("the lock of the feed can't be looked at: %s", error)

    async def _look(self) -> None:
        may_take = self.fence is not None or self._clock() >= self._away_until
        number, was_free = await self._link.call(
            "lead",
            [self._link.keys.lock, self._link.keys.lock_number],
            [
                self._node,
                milliseconds(self._times.lock),
                "acquire" if may_take else "renew",
                self.fence or 0,
            ],
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
        await self._candidate.gain(number)

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
        await self._candidate.lose()
