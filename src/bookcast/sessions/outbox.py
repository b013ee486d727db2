"""A connection's outgoing queue: frames are joined, and wait while the client can't take data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bookcast.hub.view import Subscription
from bookcast.model.topics import Topic

FLUSH_BYTES: Final = 32 * 1024
"""The queue is written when it has this many bytes: the size of one write, about."""


class Outbox:
    """Frames for one client, joined into one write per flush.

    The queue is bounded: :meth:`put` writes at :data:`FLUSH_BYTES`, and the hub's flush writes at a
    bound of its own. While the client isn't ``writable``, the hub appends nothing (it keeps only
    the client's cursor), and the session accepts no further commands.
    """

    __slots__ = ("_frames", "_put_bytes", "append", "may_see", "shown", "writable", "write")

    def __init__(
        self, write: Callable[[bytes], None], may_see: Callable[[Topic], bool] = lambda _topic: True
    ) -> None:
        self.write = write
        self.may_see = may_see
        self._put_bytes = 0
        self._frames: list[bytes] = []
        self.append = self._frames.append
        self.writable = True
        self.shown: dict[Topic, Subscription] = {}

    def put(self, frame: bytes) -> None:
        """Append a frame for the next flush; write at once if many bytes wait."""
        self._frames.append(frame)
        self._put_bytes += len(frame)
        if self._put_bytes >= FLUSH_BYTES:
            self.flush()

    def clear(self) -> None:
        """Drop all queued frames: the connection has ended."""
        self._frames.clear()
        self._put_bytes = 0

    def flush(self) -> None:
        """Write all queued frames in one write."""
        frames = self._frames
        if not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self._put_bytes = 0
        self.write(data)
