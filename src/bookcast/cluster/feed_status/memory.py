"""Notices of the nodes of this process; mostly there is a single one, and nobody to read them."""

from __future__ import annotations

from collections.abc import Callable

from bookcast.cluster.feed_status.base import FeedStatusBoard, Notices
from bookcast.errors import FencedError


class SharedNotices:
    """The notices that nodes of one process have in common."""

    def __init__(self) -> None:
        self.notices: Notices = {}
        self.readers = 0
        """How many nodes have them at hand."""
        self._fence = 0

    def raise_fence(self, fence: int) -> None:
        """Refuse what earlier holders of the feed still post.

        Raises:
            FencedError: when this is one of them.
        """
        if fence < self._fence:
            raise FencedError(f"the feed is run under {self._fence} by now")
        self._fence = fence


class MemoryFeedStatus(FeedStatusBoard):
    """The board of a node. ``shared``: with the others; None where there are none."""

    def __init__(self, shared: SharedNotices | None = None) -> None:
        self._shared = shared or SharedNotices()
        self._shared.readers += 1

    @property
    def notices(self) -> Notices:
        """All notices, as they were posted last."""
        return self._shared.notices

    def begin(self) -> None:
        """What is posted next takes the place of all there is, as it always does."""

    async def post(self, make: Callable[[], Notices], fence: int) -> None:
        """Replace all notices, where there are others to read them.

        Raises:
            FencedError: when another node runs the feed.
        """
        self._shared.raise_fence(fence)
        if self._shared.readers > 1:
            self._shared.notices = dict(make())

    async def close(self) -> None:
        """Read them no more."""
        self._shared.readers -= 1
