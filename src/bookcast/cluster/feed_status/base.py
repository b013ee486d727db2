"""The port: what the node that runs the feed says of it to all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

Notices = Mapping[str, bytes]
"""What is said, by name: of the feeds, of what they have, or of a topic."""


class FeedStatusBoard(ABC):
    """Notices by name. The node that runs the feed posts them, all nodes have them at hand."""

    @property
    @abstractmethod
    def notices(self) -> Notices:
        """All notices, as far as this node has heard of them."""

    @abstractmethod
    def begin(self) -> None:
        """Begin to post: what another node had posted goes with the first notices."""

    @abstractmethod
    async def post(self, make: Callable[[], Notices], fence: int) -> None:
        """Replace all notices.

        Args:
            make: makes them; it is called only where another node may read them.
            fence: under which this node runs the feed.

        Raises:
            EngineAwayError: when that can't be done now.
            FencedError: when another node runs the feed.
        """

    @abstractmethod
    async def close(self) -> None:
        """End. The notices stay."""
