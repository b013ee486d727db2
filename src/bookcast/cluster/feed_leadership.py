"""Starts the feed when this node is elected, and stops it when the node isn't leader any more."""

from __future__ import annotations

from typing import Protocol

from bookcast.cluster.base import Cluster
from bookcast.cluster.demand.base import Listener


class FeedControl(Listener, Protocol):
    """The feed of a node. It gets the demand of all nodes, and runs while this node is leader."""

    async def run_feed(self, fence: int) -> None:
        """Run the feed with a fencing token; if it runs already, continue with the new one."""

    async def stop_feed(self) -> None:
        """Stop the feed."""


class FeedLeadership:
    """Runs the feed of a node while the node is leader. ``cluster``: the node's ports."""

    def __init__(self, cluster: Cluster, feed: FeedControl) -> None:
        self._cluster = cluster
        self._feed = feed

    async def start(self) -> None:
        """Stand for election."""
        await self._cluster.election.start(self)

    async def gain(self, fence: int) -> None:
        """Run the feed. It gets the demand of all nodes before it begins."""
        self._cluster.feed_status.begin()
        await self._cluster.demand.follow(self._feed)
        await self._feed.run_feed(fence)
        self._cluster.members.announce()

    async def lose(self) -> None:
        """Stop the feed."""
        await self._feed.stop_feed()
        await self._cluster.demand.unfollow()
