"""One of the nodes of this process runs the feed; mostly there is a single one."""

from __future__ import annotations

import asyncio
import logging

from bookcast.background import BackgroundTasks
from bookcast.cluster.election.base import Candidate, Election

logger = logging.getLogger(__name__)


class MemoryLock:
    """What the nodes of one process contend for: whoever came first has it.

    Attributes:
        fence: the number of its newest holder, 0 before the first.
    """

    def __init__(self) -> None:
        self.fence = 0
        self._holder: MemoryElection | None = None
        self._waiting: list[MemoryElection] = []

    def wait(self, election: MemoryElection) -> None:
        """Queue a node for the lock."""
        self._waiting.append(election)

    def take(self, election: MemoryElection) -> int | None:
        """Return the number of a lock that a node has just got, None where it isn't its turn."""
        if self._holder is not None or self._waiting[:1] != [election]:
            return None
        self._holder = self._waiting.pop(0)
        self.fence += 1
        return self.fence

    def release(self, election: MemoryElection) -> None:
        """Take the lock, or the place in the queue, from a node, as when it is dead.

        The next one is told; the node itself isn't.
        """
        if election in self._waiting:
            self._waiting.remove(election)
        if self._holder is election:
            self._holder = None
        if self._holder is None:
            for one in self._waiting[:1]:
                one.note_free()


class MemoryElection(Election):
    """Takes the lock when it is this node's turn. ``lock``: None where there are no others."""

    def __init__(self, lock: MemoryLock | None = None) -> None:
        self.fence: int | None = None
        self._lock = lock or MemoryLock()
        self._candidate: Candidate | None = None
        # The feed is begun and ended in turn.
        self._changing = asyncio.Lock()
        self._work = BackgroundTasks()

    async def start(self, candidate: Candidate) -> None:
        """Run the feed at once where nobody else does."""
        self._candidate = candidate
        self._lock.wait(self)
        await self._take()

    def note_free(self) -> None:
        """Take the lock soon: whoever had it is gone."""
        self._work.begin(self._take(), "election")

    async def note_fenced(self, fence: int) -> None:
        """End the feed that ran under this fence, and wait for another turn."""
        async with self._changing:
            if self.fence != fence:
                return
            await self._lose("another node runs the feed")
            self._lock.release(self)
            self._lock.wait(self)
        self.note_free()

    async def resign(self) -> None:
        """Run the feed no more, and let the next node run it."""
        async with self._changing:
            if self.fence is not None:
                await self._lose("this node ends")
            self._lock.release(self)
        await self._work.end()

    async def _take(self) -> None:
        async with self._changing:
            fence = self._lock.take(self)
            if fence is None or self._candidate is None:
                return
            self.fence = fence
            logger.debug("this node runs the feed from now on")
            await self._candidate.gain(fence)

    async def _lose(self, why: str) -> None:
        self.fence = None
        logger.debug("this node runs the feed no more: %s", why)
        if self._candidate is not None:
            await self._candidate.lose()
