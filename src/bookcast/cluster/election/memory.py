"""The election among the nodes of one process. Usually that is one node."""

from __future__ import annotations

import asyncio
import logging

from bookcast.background import BackgroundTasks
from bookcast.cluster.election.base import Candidate, Election

logger = logging.getLogger(__name__)


class MemoryLock:
    """The lock of the feed for the nodes of one process, first come, first served.

    Attributes:
        fence: the fencing token of the newest holder, 0 before the first.
    """

    def __init__(self) -> None:
        self.fence = 0
        self._holder: MemoryElection | None = None
        self._waiting: list[MemoryElection] = []

    def wait(self, election: MemoryElection) -> None:
        """Queue a node for the lock."""
        self._waiting.append(election)

    def take(self, election: MemoryElection) -> int | None:
        """Return the new fencing token if the node got the lock; None if it isn't its turn."""
        if self._holder is not None or self._waiting[:1] != [election]:
            return None
        self._holder = self._waiting.pop(0)
        self.fence += 1
        return self.fence

    def release(self, election: MemoryElection) -> None:
        """Take the lock, or the place in the queue, from a node, as if it were dead.

        The next node in the queue is notified. The node itself isn't.
        """
        if election in self._waiting:
            self._waiting.remove(election)
        if self._holder is election:
            self._holder = None
        if self._holder is None:
            for one in self._waiting[:1]:
                one.note_free()


class MemoryElection(Election):
    """Takes the lock when it is this node's turn. ``lock``: None for a single node."""

    def __init__(self, lock: MemoryLock | None = None) -> None:
        self.fence: int | None = None
        self._lock = lock or MemoryLock()
        self._candidate: Candidate | None = None
        # The feed is started and stopped one at a time.
        self._changing = asyncio.Lock()
        self._work = BackgroundTasks()

    async def start(self, candidate: Candidate) -> None:
        """Stand for election, and run the feed at once if no other node does."""
        self._candidate = candidate
        self._lock.wait(self)
        await self._take()

    def note_free(self) -> None:
        """Try to take the lock soon: it may be free."""
        self._work.begin(self._take(), "election")

    async def note_fenced(self, fence: int) -> None:
        """Stop the feed if it runs with this fencing token, and queue for the lock again."""
        async with self._changing:
            if self.fence != fence:
                return
            await self._lose("another node runs the feed")
            self._lock.release(self)
            self._lock.wait(self)
        self.note_free()

    async def resign(self) -> None:
        """Stop the feed, and let the next node run it."""
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
