"""Connections above a limit. Their first request is read, since it may be a probe of the node."""

from __future__ import annotations

from typing import Final, Protocol

MAX_READ: Final = 16
"""Connections above the limits that are read at once; file descriptors are reserved for them."""

PATHS: Final = frozenset({b"/livez", b"/readyz"})
METHODS: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Surplus(Protocol):
    """A connection above a limit."""

    def turn_away(self) -> None:
        """Answer with the refusal, and close."""


class Overflow:
    """The connections above a limit that are being read.

    If there are too many, the oldest one makes room. So a flood can't keep probes out, since a
    probe sends its request at once.
    """

    def __init__(self, most: int = MAX_READ) -> None:
        self._most = most
        self._read: dict[Surplus, None] = {}

    def enter(self, connection: Surplus) -> None:
        """Begin to read one more connection."""
        if len(self._read) >= self._most:
            oldest = next(iter(self._read))
            del self._read[oldest]
            oldest.turn_away()
        self._read[connection] = None

    def leave(self, connection: Surplus) -> None:
        """Note that a connection is no longer read; it may not have been."""
        self._read.pop(connection, None)


def is_probe(method: bytes, target: bytes) -> bool:
    """Return whether a request is a probe of the node's health."""
    return method in METHODS and target.partition(b"?")[0] in PATHS
