"""The port: what all nodes want of the feed together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from bookcast.model.topics import Topic


class Listener(Protocol):
    """Who hears what all nodes want together: the feed, on the node that runs it.

    Each call tells a change, and none is made twice in a row for a topic.
    """

    def want(self, topic: Topic) -> None:
        """Some node has subscribers of a topic that none had before."""

    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want a topic from now on, at whatever nodes."""

    def release(self, topic: Topic) -> None:
        """No node wants a topic any more."""


class Demand(ABC):
    """Tells what this node wants, and follows what all nodes want where this one runs the feed.

    What this node itself wants reaches a listener here at once, without a task.
    """

    @abstractmethod
    def want(self, topic: Topic) -> None:
        """Somebody on this node subscribes to a topic."""

    @abstractmethod
    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want a topic on this node, from now on."""

    @abstractmethod
    def release(self, topic: Topic) -> None:
        """Nobody on this node wants a topic any more."""

    @abstractmethod
    async def follow(self, listener: Listener) -> None:
        """Notify a listener of what all nodes want, from now on.

        It has been told once when this returns. Once more does nothing.
        """

    @abstractmethod
    async def unfollow(self) -> None:
        """Notify the listener no more; all that it heard of is released. Once more does nothing."""

    @abstractmethod
    async def close(self) -> None:
        """End. What this node wanted counts no more, or soon won't."""
