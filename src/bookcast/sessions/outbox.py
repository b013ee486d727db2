"""A connection's outgoing queue: what is sent together, and what waits while the client can't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FLUSH_BYTES: Final = 32 * 1024
"""A client that gets much at once gets it in writes of about this size."""


class Outbox:
    """Frames for one client, joined into one write per flush.

    The queue is bounded by :data:`FLUSH_BYTES` and one frame: a longer one is written at once, and
    when the client then isn't ``writable``, the hub appends nothing more (it keeps only the newest
    state, once for everybody) and the session takes no further commands.
    """

    __slots__ = ("_put_bytes", "conflated", "frames", "writable", "write")

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self.write = write
        self._put_bytes = 0
        self.frames: list[bytes] = []
        self.writable = True
        self.conflated = 0

    def put(self, frame: bytes) -> None:
        """Append a frame; it goes out with the next flush, or now when much is waiting."""
        self.frames.append(frame)
        self._put_bytes += len(frame)
        if self._put_bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write all frames in one go."""
        frames = self.frames
        if not frames:
            return
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        frames.clear()
        self._put_bytes = 0
        self.write(data)
