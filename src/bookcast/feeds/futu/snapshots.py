"""Decides when to ask OpenD for snapshots, where it pushes nothing. Pure: it asks nothing itself.

OpenD takes 60 such requests in 30 s, of up to 400 symbols each, and refuses a request for a single
symbol that it won't give. So each symbol is asked for alone first; those that it gave go together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from bookcast.feeds.futu.calls import MAX_SNAPSHOTS
from bookcast.model import Symbol

WINDOW_SECONDS: Final = 30.0
MAX_REQUESTS: Final = 50
"""In a window; OpenD's own bound is 60, and other programs may ask as well."""

MAX_TRIES: Final = 10
"""So many of them are for symbols that are asked for alone, once OpenD gives any."""

FASTEST_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 120.0
"""A symbol without a snapshot is asked for again after this long."""


class SnapshotPlanner:
    """Says for which symbols to ask next. Times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._wanted: dict[Symbol, None] = {}
        self._given: set[Symbol] = set()
        self._failed: dict[Symbol, float] = {}
        self._asked: deque[float] = deque()
        self._tried: deque[float] = deque()
        self._rounds: dict[int, float] = {}

    @property
    def every_seconds(self) -> float:
        """How often each symbol is asked for."""
        batches = -(-len(self._given) // MAX_SNAPSHOTS)
        return max(FASTEST_SECONDS, batches * WINDOW_SECONDS / (MAX_REQUESTS - MAX_TRIES))

    def gives(self, symbol: Symbol) -> bool:
        """Tell whether OpenD gives snapshots of a symbol that is wanted."""
        return symbol in self._given

    def want(self, symbols: Collection[Symbol]) -> None:
        """Ask for these from now on, and for no others."""
        self._wanted = dict.fromkeys(symbols)
        self._given &= self._wanted.keys()

    def next_request(self, now: float) -> tuple[Symbol, ...]:
        """Give the symbols to ask for now; none while nothing is due."""
        while self._asked and self._asked[0] <= now - WINDOW_SECONDS:
            self._asked.popleft()
        if len(self._asked) >= MAX_REQUESTS:
            return ()
        while self._tried and self._tried[0] <= now - WINDOW_SECONDS:
            self._tried.popleft()
        if not self._given or len(self._tried) < MAX_TRIES:
            due = [s for s in self._wanted if s not in self._given and self._due_at(s) <= now]
            if due:
                self._asked.append(now)
                self._tried.append(now)
                return (min(due, key=self._due_at),)
        given = [symbol for symbol in self._wanted if symbol in self._given]
        for start in range(0, len(given), MAX_SNAPSHOTS):
            if self._rounds.get(start, now) <= now:
                self._rounds[start] = now + self.every_seconds
                self._asked.append(now)
                return tuple(given[start : start + MAX_SNAPSHOTS])
        return ()

    def done(self, symbols: Collection[Symbol]) -> None:
        """OpenD gave these."""
        self._given.update(symbol for symbol in symbols if symbol in self._wanted)

    def refused(self, symbols: Collection[Symbol], now: float) -> None:
        """OpenD refused a request: one symbol won't be given, or one of several is to blame."""
        self._given.difference_update(symbols)
        if len(symbols) == 1:
            self._failed.update(dict.fromkeys(symbols, now + RETRY_SECONDS))

    def _due_at(self, symbol: Symbol) -> float:
        """Tell when a symbol may be asked for alone: those that never were come first."""
        return self._failed.get(symbol, float("-inf"))
