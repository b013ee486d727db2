"""What happens, and in which order, when a node begins and ends to run the feed."""

from __future__ import annotations

from typing import Protocol

from bookcast.cluster.base import Cluster
from bookcast.cluster.demand.base import Listener


class FeedControl(Listener, Protocol):
    """The feed of a node: hears what is wanted, and runs while it is this node's turn."""

    async def run_feed(self, fence: int) -> None:
        """Run it, and publish under a fence; or go on under another one."""

    async def stop_feed(self) -> None:
        """Run it no more."""


class FeedLeadership:
    """Lets the feed of a node run when that is elected. ``cluster``: this node's."""

    def __init__(self, cluster: Cluster, feed: FeedControl) -> None:
        self._cluster = cluster
        self._feed = feed

    async def start(self) -> None:
        """Stand for election."""
        await self._cluster.election.start(self)

    async def gain(self, fence: int) -> None:
        """Run the feed, which knows from the beginning what is wanted."""
        self._cluster.feed_status.begin()
        await self._cluster.demand.follow(self._feed)
        await self._feed.run_feed(fence)
        self._cluster.members.announce()

    async def lose(self) -> None:
        """End the feed."""
        await self._feed.stop_feed()
        await self._cluster.demand.unfollow()
