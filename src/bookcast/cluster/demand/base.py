"""The demand port: which topics all nodes together want from the feed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from bookcast.model.topics import Topic


class Listener(Protocol):
    """Receives the demand of all nodes: the feed, on the leader.

    Each call is a change. No call is repeated for a topic without another one in between.
    """

    def want(self, topic: Topic) -> None:
        """Note that subscribers want a topic from now on, on at least one node."""

    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want a topic from now on, on all nodes together."""

    def release(self, topic: Topic) -> None:
        """Note that no node wants a topic any more."""


class Demand(ABC):
    """Publishes this node's demand, and follows that of all nodes while this node is leader.

    This node's own demand reaches its listener at once, without a task.
    """

    @abstractmethod
    def want(self, topic: Topic) -> None:
        """Note that subscribers of this node want a topic from now on."""

    @abstractmethod
    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want a topic on this node from now on."""

    @abstractmethod
    def release(self, topic: Topic) -> None:
        """Note that nothing on this node wants a topic any more."""

    @abstractmethod
    async def follow(self, listener: Listener) -> None:
        """Notify a listener of the demand of all nodes, from now on.

        When this returns, the listener has the present demand. A second call does nothing.
        """

    @abstractmethod
    async def unfollow(self) -> None:
        """Release all topics at the listener, and stop notifying it. A second call does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """Stop. This node's demand ends now, or expires soon."""
