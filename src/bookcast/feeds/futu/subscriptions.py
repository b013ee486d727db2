"""Decides what to subscribe at OpenD and what to let go. Pure: it does nothing itself.

The caller takes one action at a time, performs it and reports how it went::

    while action := planner.next_action(now):
        ...                                  # ask OpenD
        planner.done(action, now)            # or planner.refused(action, reason, now)
    # then sleep until planner.next_time(), or until demand changes

Times are seconds of any one clock that never goes back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from bookcast.model import Symbol

MAX_BATCH: Final = 100
"""Symbols in one request."""

RETRY_SECONDS: Final = 60.0
"""A refused symbol is tried again after this long."""

RELEASE_RETRY_SECONDS: Final = 5.0
"""An unsubscription that was refused, usually as too early, is tried again after this long."""


class Subscribe(NamedTuple):
    """Ask OpenD for these symbols, all in one request."""

    symbols: tuple[Symbol, ...]


class Unsubscribe(NamedTuple):
    """Tell OpenD that these symbols are no longer needed, all in one request."""

    symbols: tuple[Symbol, ...]


Action = Subscribe | Unsubscribe


class Refusal(NamedTuple):
    """Why OpenD won't give a symbol, in its own words, and when to ask again."""

    reason: str
    retry_at: float


class SubscriptionPlanner:
    """Brings what is held at OpenD in line with what is wanted, within OpenD's rules.

    An unwanted symbol is let go no sooner than ``min_subscription_seconds`` after it was
    subscribed, since OpenD refuses earlier; wanted again meanwhile, it just stays.
    """

    def __init__(self, min_subscription_seconds: float) -> None:
        self._min_subscription_seconds = min_subscription_seconds
        self._wanted: dict[Symbol, None] = {}  # a set that keeps its order
        self._releasable_at: dict[Symbol, float] = {}  # exactly the symbols held
        self._refusals: dict[Symbol, Refusal] = {}
        # Symbols that may have spoilt a batch: they are asked for one by one.
        self._suspects: set[Symbol] = set()

    @property
    def held(self) -> Collection[Symbol]:
        """The symbols subscribed at OpenD now."""
        return self._releasable_at.keys()

    @property
    def refusals(self) -> Mapping[Symbol, Refusal]:
        """The symbols that OpenD refused lately, and why."""
        return self._refusals

    def want(self, symbol: Symbol) -> None:
        """Somebody wants this symbol."""
        self._wanted[symbol] = None

    def release(self, symbol: Symbol) -> None:
        """Nobody wants this symbol any more."""
        self._wanted.pop(symbol, None)
        self._suspects.discard(symbol)

    def next_action(self, now: float) -> Action | None:
        """Give what to do now, or None while nothing is due.

        Letting go comes first, because that may free the quota which subscribing needs.
        """
        # A refusal outlives its demand until it is due, so that a client which asks for a bad
        # code again and again doesn't have OpenD asked as often.
        for symbol in [s for s, r in self._refusals.items() if r.retry_at <= now]:
            del self._refusals[symbol]
            if symbol in self._wanted:
                self._suspects.add(symbol)
        unneeded = [
            symbol
            for symbol, at in self._releasable_at.items()
            if at <= now and symbol not in self._wanted
        ]
        if unneeded:
            return Unsubscribe(tuple(unneeded[:MAX_BATCH]))
        missing = [
            symbol
            for symbol in self._wanted
            if symbol not in self._releasable_at and symbol not in self._refusals
        ]
        trusted = [symbol for symbol in missing if symbol not in self._suspects]
        if trusted:
            return Subscribe(tuple(trusted[:MAX_BATCH]))
        return Subscribe((missing[0],)) if missing else None

    def next_time(self) -> float | None:
        """Tell when something is next due if demand stays as it is; None for never.

        Holds after :meth:`next_action` gave None.
        """
        due = [at for symbol, at in self._releasable_at.items() if symbol not in self._wanted]
        due += [refusal.retry_at for s, refusal in self._refusals.items() if s in self._wanted]
        return min(due, default=None)

    def done(self, action: Action, now: float) -> None:
        """OpenD has done what the action asked."""
        for symbol in action.symbols:
            if isinstance(action, Subscribe):
                # Counted from the answer, thus never earlier than OpenD counts.
                self._releasable_at[symbol] = now + self._min_subscription_seconds
                self._suspects.discard(symbol)
            else:
                self._releasable_at.pop(symbol, None)

    def refused(self, action: Action, reason: str, now: float) -> Symbol | None:
        """OpenD has refused the action, and nothing of it was done.

        Returns:
            The symbol, if it is now known that OpenD won't give it for the time being.
        """
        if isinstance(action, Unsubscribe):
            for symbol in action.symbols:
                self._releasable_at[symbol] = now + RELEASE_RETRY_SECONDS
            return None
        if len(action.symbols) > 1:
            self._suspects.update(symbol for symbol in action.symbols if symbol in self._wanted)
            return None
        [symbol] = action.symbols
        self._suspects.discard(symbol)
        self._refusals[symbol] = Refusal(reason, now + RETRY_SECONDS)
        return symbol

    def confirm(self, actual: Collection[Symbol], promised: Collection[Symbol]) -> list[Symbol]:
        """Compare what OpenD says is subscribed with what it had promised, and give what it lost.

        The lost are no longer held, so they are asked for again if still wanted.
        """
        lost = [s for s in self._releasable_at if s in promised and s not in actual]
        for symbol in lost:
            del self._releasable_at[symbol]
        return lost

    def disconnected(self) -> None:
        """Nothing is held any more, and whatever was refused may be granted next time."""
        self._releasable_at.clear()
        self._suspects.update(symbol for symbol in self._refusals if symbol in self._wanted)
        self._refusals.clear()
