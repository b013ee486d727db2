"""The election in Redis: the leader holds a lock (a lease) that it must renew."""

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
    """The intervals of the election, in seconds.

    Attributes:
        lock: the lease: it expires when it isn't renewed for so long.
        renewal: how often the leader renews it, and others try to take it.
        precedence: after an outage of Redis, only the former leader may take the lock for so long.
    """

    LONGER: ClassVar = (("lock", 2, "renewal"), ("precedence", 2, "renewal"))

    lock: float = 1.5
    renewal: float = 0.4
    precedence: float = 1.0


class RedisElection(Election):
    """Takes the lock when it is free.

    The lock has a fencing token, which grows. A new leader first raises the fence of every shard,
    so that late publications of an earlier leader are refused. When Redis has lost the token, the
    feed continues with another one.

    Args:
        plane: the node's parts of the backplane.
        node: the id of this node.
        times: the intervals.
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
        # The feed is started and stopped one at a time.
        self._changing = asyncio.Lock()
        self.fence: int | None = None
        plane.subscriber.listen(plane.link.keys.leader_channel, lambda _message: self.note_free())

    async def start(self, candidate: Candidate) -> None:
        """Begin to contend for the lock, in the background."""
        self._candidate = candidate
        self._looking.trigger()
        self._looking.start()

    def note_free(self) -> None:
        """Try to take the lock now: the leader has released it."""
        self._looking.trigger()

    def note_away(self) -> None:
        """Note that Redis is away, or was a moment ago.

        A leader keeps running its feed, since no other node can take over now. For a moment after
        the outage, only that leader may take the lock.
        """
        self._away_until = self._clock() + self._times.precedence

    async def note_fenced(self, fence: int) -> None:
        """Stop the feed if it runs with this fencing token."""
        async with self._changing:
            if self.fence == fence:
                await self._lose("another node runs the feed")

    async def resign(self) -> None:
        """Stop the feed, release the lock and notify the other nodes."""
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
            logger.debug("the feed's lock can't be read: %s", error)

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
            # Even if it is this node again, its token is old: its publications were refused.
            await self._lose("another node has it")
        if not number:
            return
        await self._raise_fences(number)
        self.fence = number
        logger.info("this node runs the feed from now on")
        await self._candidate.gain(number)

    async def _raise_fences(self, number: int) -> None:
        """Raise the fence of every shard, so that late publications of others are refused."""
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
