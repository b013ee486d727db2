"""Connections past a limit: read for one head, since it may be a probe of the node."""

from __future__ import annotations

from typing import Final, Protocol

MAX_READ: Final = 16
"""So many connections past the limits are read at once; descriptors are reserved for them."""

PATHS: Final = frozenset({b"/livez", b"/readyz"})
METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Surplus(Protocol):
    """A connection past a limit."""

    def turn_away(self) -> None:
        """Answer with the refusal, and close."""


class Overflow:
    """The connections past a limit that are read now.

    When there are too many, the one that has been read longest makes room: a flood can't keep
    probes out, since a probe sends its head at once.
    """

    def __init__(self, most: int = MAX_READ) -> None:
        self._most = most
        self._read: dict[Surplus, None] = {}

    def enter(self, connection: Surplus) -> None:
        """Read one more."""
        if len(self._read) >= self._most:
            oldest = next(iter(self._read))
            del self._read[oldest]
            oldest.turn_away()
        self._read[connection] = None

    def leave(self, connection: Surplus) -> None:
        """Note that a connection is read no more, if it was."""
        self._read.pop(connection, None)


def is_probe(method: bytes, target: bytes) -> bool:
    """Return whether a request asks how the node is."""
    return method in METHODS and target.partition(b"?")[0] in PATHS
