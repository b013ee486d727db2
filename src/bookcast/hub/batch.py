"""What one flush sends of several topics: joined, so that each connection gets one write."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from operator import call
from typing import Final

from bookcast.hub.view import Outbox, View

PENDING_BYTES: Final = 128 * 1024
"""When a flush has so much to send, it is written: that bounds what waits for each client."""

MAX_COMPARED: Final = 8
"""So many groups are searched for one with the same clients."""


class _Group:
    """Clients who see the same views, and the frames of those.

    Who they are is decided when the first frame comes: a write may find one of them full, who is
    then held, but counts as having been shown what is here.
    """

    __slots__ = ("appends", "frames", "outboxes", "writes")

    def __init__(self, view: View) -> None:
        self.outboxes = view.outboxes()
        self.writes = view.writes()
        self.appends = view.appends()
        self.frames: list[bytes] = []


class Batch:
    """Frames of several views until they are written.

    Often the same clients see many views: what those show is joined once for all of them.
    """

    def __init__(self) -> None:
        self._groups: list[_Group] = []
        self._bytes = 0

    def append(self, view: View, frames: bytes) -> None:
        """Add frames for all clients of a view that can take data."""
        outboxes = view.outboxes()
        for group in self._groups[:MAX_COMPARED]:
            if group.outboxes is outboxes or group.outboxes == outboxes:
                break
        else:
            group = _Group(view)
            self._groups.append(group)
        group.frames.append(frames)
        self._bytes += len(frames)
        if self._bytes >= PENDING_BYTES:
            self.write()

    def write(self) -> None:
        """Write all of it: one write for each client."""
        groups, self._groups = self._groups, []
        self._bytes = 0
        everybody: set[Outbox] = set()
        everybody.update(*(group.outboxes for group in groups))
        if len(everybody) == sum(len(group.outboxes) for group in groups):
            for group in groups:
                to_all(group.writes, b"".join(group.frames))
            return
        for group in groups:
            to_all(group.appends, b"".join(group.frames))
        for outbox in everybody:
            outbox.flush()


def to_all(functions: tuple[Callable[[bytes], None], ...], frames: bytes) -> None:
    """Call functions that return None with the same frames.

    any() then runs through them all, with no bytecode between two system calls: measured, a tenth
    of a frame's whole cost.
    """
    any(map(call, functions, repeat(frames)))
