"""A connection's outgoing queue: what is sent together, and what waits while the client can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bookcast.hub.view import Subscription
from bookcast.model.topics import Topic

FLUSH_BYTES: Final = 32 * 1024
"""A client that gets much at once gets it in writes of about this size."""


class Outbox:
    """Frames for one client, joined into one write per flush.

    The queue is bounded: :meth:`put` writes when :data:`FLUSH_BYTES` are reached, the hub's flush
    writes when it has appended its own bound. When the client isn't ``writable``, the hub appends
    nothing more (it keeps only what the client was shown last, a reference) and the session takes
    no further commands.
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
        """Append a frame; it goes out with the next flush, or now when much is waiting."""
        self._frames.append(frame)
        self._put_bytes += len(frame)
        if self._put_bytes >= FLUSH_BYTES:
            self.flush()

    def clear(self) -> None:
        """Forget what waits: nobody is there any more."""
        self._frames.clear()
        self._put_bytes = 0

    def flush(self) -> None:
        """Write all frames in one go."""
        frames = self._frames
        if not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self._put_bytes = 0
        self.write(data)
