"""When the last candle of a session is final, which OpenD doesn't say.

The session has ended when the market's state says so, or, where that isn't known, the clock. Then
corrections are waited for a moment. A candle that comes when its session is long over waits just as
long, so that one answer of OpenD's is enough to be sure of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from bookcast.feeds.futu.candles import CandleSeries
from bookcast.feeds.futu.markets import MarketState
from bookcast.model.topics import Symbol

OPENING_MINUTES: Final = 30
"""A closed market that opens so soon waits for it: its day hasn't ended, it hasn't begun."""

_REGULAR: Final = frozenset({"auction", "regular", "closing_auction"})
_AFTER: Final = frozenset({"after", "overnight"})
_TRADES_ON: Final = frozenset({"regular", "night"})
"""Phases that may last longer than the clock says."""


class _Phase(NamedTuple):
    """What a market does, and since when, in milliseconds since 1970.

    ``changed``: something else that is known was before it.
    """

    name: str
    since_ms: float
    changed: bool = False


def phase_of(state: MarketState) -> str:
    """Return what a market does, in one word; "" where that isn't known.

    ``regular`` includes the auctions, and ``closed`` the time before the open.
    """
    if state.closed is not None:
        return "break" if state.session == "break" else "closed"
    return "regular" if state.session in _REGULAR else state.session or ""


class Endings:
    """Knows what each symbol's market does, and which candles that ends, once corrections came."""

    def __init__(
        self, state_of: Callable[[Symbol], MarketState], corrections_seconds: float
    ) -> None:
        self._state_of = state_of
        self._corrections_ms = corrections_seconds * 1000
        self._phases: dict[Symbol, _Phase] = {}

    def look(self, symbol: Symbol, now_ms: float) -> None:
        """Look at what a symbol's market does now."""
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
    """Return when the session of a candle of minutes or hours ended, None if it goes on."""
    label, since = series.label, max(phase.since_ms, series.since_ms)
    changed = phase.since_ms if phase.changed else 0.0
    by_clock = series.calendar.session_end(label)
    ends: list[float] = []
    if by_clock is not None:
        end, following = by_clock
        # A market whose state says that it trades may trade longer than usual, though not after
        # the next session has begun.
        if phase.name not in _TRADES_ON or now_ms >= following:
            ends.append(max(end, changed, series.since_ms))
    if phase.name == "closed" or (phase.name in _AFTER and series.calendar.hours.ends_at_close):
        if label <= now_ms:
            ends.append(since)
        elif not series.calendar.opens_soon(now_ms, OPENING_MINUTES):
            # It ends early. What still changes hasn't ended, whatever the state says.
            ends.append(max(since, series.changed_ms))
    elif label <= now_ms and (
        phase.name == "break" or (phase.changed and series.since_ms < phase.since_ms)
    ):
        ends.append(max(since, label))
    return min(ends, default=None)


def _period_end(series: CandleSeries, phase: _Phase, now_ms: float) -> float | None:
    """Return when the last session of a day, week or longer ended, None if it goes on."""
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
        # A day is traded when it has a candle; of a week's last day nobody knows before it opened.
        traded = (
            now_ms >= opens
            if calendar.hours.nights
            else not calendar.opens_soon(now_ms, OPENING_MINUTES)
        )
        if traded if period == "1d" else phase.since_ms >= opens:
            ends.append(max(since, series.changed_ms))
    return min(ends, default=None)
