"""Decides when the last candle of a session is final, which OpenD doesn't report.

A session has ended when the market's state says so, or by the clock where the state isn't known.
Then the candle stays open for a moment, for corrections. A candle that arrives long after its
session ended waits equally long, so that one answer of OpenD can correct it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from bookcast.feeds.futu.candles import CandleSeries
from bookcast.feeds.futu.markets import MarketState
from bookcast.model.topics import Symbol

OPENING_MINUTES: Final = 30
"""A closed market that opens within so many minutes is before its day, not after it."""

_REGULAR: Final = frozenset({"auction", "regular", "closing_auction"})
_AFTER: Final = frozenset({"after", "overnight"})
_TRADES_ON: Final = frozenset({"regular", "night"})
"""Phases that may last longer than usual hours."""


class _Phase(NamedTuple):
    """The phase of a market. ``since_ms``: since when, in milliseconds since 1970.

    ``changed``: the phase before it is known, so the time of the change is too.
    """

    name: str
    since_ms: float
    changed: bool = False


def phase_of(state: MarketState) -> str:
    """Return a market's phase in one word; "" if it is unknown.

    ``regular`` includes the auctions, ``closed`` the time before the open.
    """
    if state.closed is not None:
        return "break" if state.session == "break" else "closed"
    return "regular" if state.session in _REGULAR else state.session or ""


class Endings:
    """Tracks the phase of each symbol's market, and decides which candles are final."""

    def __init__(
        self, state_of: Callable[[Symbol], MarketState], corrections_seconds: float
    ) -> None:
        self._state_of = state_of
        self._corrections_ms = corrections_seconds * 1000
        self._phases: dict[Symbol, _Phase] = {}

    def look(self, symbol: Symbol, now_ms: float) -> None:
        """Update the phase of a symbol's market."""
        name = phase_of(self._state_of(symbol))
        known = self._phases.get(symbol)
        if known is None or known.name != name:
            changed = known is not None and known.name != ""
            self._phases[symbol] = _Phase(name, now_ms, changed)

    def has_ended(self, symbol: Symbol, series: CandleSeries, now_ms: float) -> bool:
        """Return whether the forming candle of a series is final now."""
        if series.forming is None:
            return False
        phase = self._phases.get(symbol, _Phase("", now_ms))
        ended = (
            _intraday_end(series, phase, now_ms)
            if series.minutes
            else _period_end(series, phase, now_ms)
        )
        return ended is not None and now_ms >= ended + self._corrections_ms


def _intraday_end(series: CandleSeries, phase: _Phase, now_ms: float) -> float | None:
    """Return when the session of an intraday candle ended; None while it continues."""
    label, since = series.label, max(phase.since_ms, series.since_ms)
    changed = phase.since_ms if phase.changed else 0.0
    by_clock = series.calendar.session_end(label)
    ends: list[float] = []
    if by_clock is not None:
        end, following = by_clock
        # A market that trades by its state may trade longer than usual, but not past the
        # beginning of the next session.
        if phase.name not in _TRADES_ON or now_ms >= following:
            ends.append(max(end, changed, series.since_ms))
    if phase.name == "closed" or (phase.name in _AFTER and series.calendar.hours.ends_at_close):
        if label <= now_ms:
            ends.append(since)
        elif not series.calendar.opens_soon(now_ms, OPENING_MINUTES):
            # The session ended early. A candle that still changes isn't final, whatever the state.
            ends.append(max(since, series.changed_ms))
    elif label <= now_ms and (
        phase.name == "break" or (phase.changed and series.since_ms < phase.since_ms)
    ):
        ends.append(max(since, label))
    return min(ends, default=None)


def _period_end(series: CandleSeries, phase: _Phase, now_ms: float) -> float | None:
    """Return when the last session of a period of a day or more ended; None while it continues."""
    assert series.forming is not None
    calendar, period = series.calendar, series.period
    begins, opens, closes, day_ends = calendar.last_day(period, series.forming.time)
    today = begins <= now_ms < day_ends
    since = max(phase.since_ms, series.since_ms)
    changed = phase.since_ms if phase.changed and today else 0.0
    ends: list[float] = []
    if now_ms >= closes and not (phase.name == "regular" and today):
        ends.append(max(closes, changed, series.since_ms))
    if phase.name in _AFTER and today and (period == "1d" or phase.since_ms >= opens):
        ends.append(since)
    if phase.name == "closed" and today:
        # A day with a candle was traded. For the last day of a longer period that is known only
        # after it has opened.
        traded = (
            now_ms >= opens
            if calendar.hours.nights
            else not calendar.opens_soon(now_ms, OPENING_MINUTES)
        )
        if traded if period == "1d" else phase.since_ms >= opens:
            ends.append(max(since, series.changed_ms))
    return min(ends, default=None)
