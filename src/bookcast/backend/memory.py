"""The backend of a single node: everything in this process's memory."""

from __future__ import annotations

from collections.abc import Callable

from bookcast.backend.base import Backend
from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.cluster.base import Cluster
from bookcast.cluster.demand.memory import MemoryDemand
from bookcast.cluster.election.memory import MemoryElection
from bookcast.cluster.feed_status.memory import MemoryFeedStatus
from bookcast.cluster.members.base import Node
from bookcast.cluster.members.memory import MemoryMembers
from bookcast.engine.memory import MemoryEngine
from bookcast.model.topic_log import LogRules
from bookcast.sessions.store.memory import MemorySessionStore


class MemoryBackend(Backend):
    """A backend that is never away.

    ``myself`` returns the description of this node. ``rules``: the bounds of its logs.
    """

    is_reached = True

    def __init__(self, *, myself: Callable[[], Node], rules: LogRules | None = None) -> None:
        self.engine = MemoryEngine(rules=rules)
        self.cluster = Cluster(
            members=MemoryMembers(myself),
            election=MemoryElection(),
            demand=MemoryDemand(),
            feed_status=MemoryFeedStatus(),
            unreadable=UnreadableLog(),
        )
        self.sessions = MemorySessionStore(self.cluster.members.id)

    def attach(
        self, *, away: Callable[[], None], returned: Callable[[], None] = lambda: None
    ) -> None:
        """Do nothing: this backend is never away."""

    async def start(self) -> None:
        """Do nothing."""

    async def renew(self, url: str) -> None:
        """Do nothing: this backend has no password."""

    async def stop(self) -> None:
        """Stop."""
        await self.cluster.election.resign()
        await self.cluster.demand.close()
        await self.cluster.members.close()
