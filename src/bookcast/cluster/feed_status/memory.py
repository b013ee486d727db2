"""The board of the nodes of one process. Usually that is one node, and nobody reads notices."""

from __future__ import annotations

from collections.abc import Callable

from bookcast.cluster.feed_status.base import FeedStatusBoard, Notices
from bookcast.errors import FencedError


class SharedNotices:
    """The notices that the nodes of one process share."""

    def __init__(self) -> None:
        self.notices: Notices = {}
        self.readers = 0
        """How many nodes use the board."""
        self._fence = 0

    def raise_fence(self, fence: int) -> None:
        """Refuse posts with a lower fencing token from now on.

        Raises:
            FencedError: when a higher one has posted already.
        """
        if fence < self._fence:
            raise FencedError(f"the feed is run under {self._fence} by now")
        self._fence = fence


class MemoryFeedStatus(FeedStatusBoard):
    """The board of a node. ``shared``: the notices of all nodes; None for a single node."""

    def __init__(self, shared: SharedNotices | None = None) -> None:
        self._shared = shared or SharedNotices()
        self._shared.readers += 1

    @property
    def notices(self) -> Notices:
        """All notices as last posted."""
        return self._shared.notices

    def begin(self) -> None:
        """Do nothing: each post replaces all notices."""

    async def post(self, make: Callable[[], Notices], fence: int) -> None:
        """Replace all notices, if other nodes may read them.

        Raises:
            FencedError: when another node runs the feed.
        """
        self._shared.raise_fence(fence)
        if self._shared.readers > 1:
            self._shared.notices = dict(make())

    async def close(self) -> None:
        """Stop using the board."""
        self._shared.readers -= 1
