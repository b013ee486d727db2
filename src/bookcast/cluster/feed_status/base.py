"""The feed status port: what the leader publishes about its feed for all nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

Notices = Mapping[str, bytes]
"""Encoded notices by name: of the feeds, of their securities, or of a topic."""


class FeedStatusBoard(ABC):
    """A board of notices. The leader posts them, and every node keeps a copy."""

    @property
    @abstractmethod
    def notices(self) -> Notices:
        """All notices that have reached this node."""

    @abstractmethod
    def begin(self) -> None:
        """Begin to post as leader: the first post removes the notices of the leader before."""

    @abstractmethod
    async def post(self, make: Callable[[], Notices], fence: int) -> None:
        """Replace all notices.

        Args:
            make: returns the notices. It is called only if another node may read them.
            fence: the fencing token of this node's feed.

        Raises:
            EngineAwayError: when Redis is away.
            FencedError: when another node runs the feed.
        """

    @abstractmethod
    async def close(self) -> None:
        """Stop. The notices stay on the board."""
