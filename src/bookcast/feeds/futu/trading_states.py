"""Plans requests for the market state of each security: its session, and whether it is closed.

``GetGlobalState`` has one state for a whole market, but futures, options and some stocks have their
own hours. So OpenD is asked for the state of each security that is subscribed or polled
(``Qot_GetMarketState``), within its limits: 400 codes a request, 10 requests in 30 s. Until the
answer, the market's state is used. This module does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, Final, NamedTuple

from bookcast.feeds.futu.kinds import kind_of
from bookcast.feeds.futu.markets import (
    STATE_FIELDS,
    MarketState,
    market_state,
    state_market_of,
    symbol_of,
)
from bookcast.model.topics import Symbol

MAX_CODES: Final = 400
MAX_REQUESTS: Final = 10
WINDOW_SECONDS: Final = 31.0
"""OpenD's window is 30 s by arrival of requests, which is a little later than their sending."""

SPACING_SECONDS: Final = 0.5
"""A request waits so long for each one in the window, so that new securities share requests."""

FRESH_SECONDS: Final = 60.0
"""A security's state is requested again after so long, or when its market's state changes."""

_UNKNOWN: Final = MarketState()


class _Known(NamedTuple):
    number: int | None
    again_at: float


class SecurityStates:
    """Stores the states, and decides which securities to request next.

    Times are seconds of a monotonic clock.
    """

    def __init__(self) -> None:
        self._markets: dict[str, int] = {}
        self._known: dict[Symbol, _Known] = {}
        self._asked: deque[float] = deque()
        # Refused requests are halved until the refused security is found.
        self._batch = MAX_CODES
        self._alone: set[Symbol] = set()

    def state(self, symbol: Symbol) -> MarketState:
        """Return the state of a security's market, as OpenD last reported it."""
        known = self._known.get(symbol)
        number = known.number if known is not None else None
        if number is None:
            number = self._markets.get(state_market_of(symbol))
        state = market_state(number) if number is not None else _UNKNOWN
        if state.session == "pre" and kind_of(symbol) == "option":
            return state._replace(session=None)  # options have no pre-market session
        return state

    def take_markets(self, s2c: Any) -> None:
        """Store the states of a ``GetGlobalState`` answer. Absent fields are unknown."""
        present = {descriptor.name for descriptor, _ in s2c.ListFields()}
        markets = {
            market: getattr(s2c, field)
            for market, field in STATE_FIELDS.items()
            if field in present
        }
        changed = {m for m in STATE_FIELDS if markets.get(m) != self._markets.get(m)}
        self._markets = markets
        for symbol, known in self._known.items():
            if state_market_of(symbol) in changed:
                self._known[symbol] = known._replace(again_at=float("-inf"))

    def next_request(self, wanted: Collection[Symbol], now: float) -> tuple[Symbol, ...]:
        """Return the securities to request now; empty while none is due."""
        self._known = {symbol: k for symbol, k in self._known.items() if symbol in wanted}
        due = [s for s in wanted if s not in self._known or self._known[s].again_at <= now]
        while self._asked and self._asked[0] <= now - WINDOW_SECONDS:
            self._asked.popleft()
        made = len(self._asked)
        if not due or made >= MAX_REQUESTS:
            return ()
        if made and now < self._asked[-1] + made * SPACING_SECONDS:
            return ()
        self._asked.append(now)
        together = [symbol for symbol in due if symbol not in self._alone]
        return tuple(together[: self._batch]) or (due[0],)

    def take(self, asked: Collection[Symbol], s2c: Any, now: float) -> None:
        """Store the answer to a ``Qot_GetMarketState``."""
        self._batch = min(MAX_CODES, self._batch * 2)
        self._note(asked, now)
        for info in s2c.marketInfoList:
            symbol = symbol_of(info.security)
            if symbol in self._known:
                self._known[symbol] = _Known(info.marketState, now + FRESH_SECONDS)

    def refused(self, asked: Collection[Symbol], now: float) -> None:
        """Note that OpenD refused a request.

        The next request is half as large. A single refused security is skipped for a while.
        """
        if len(asked) > 1:
            self._batch = max(1, len(asked) // 2)
            return
        self._alone.update(asked)
        self._note(asked, now)

    def disconnected(self) -> None:
        """Forget all states: the connection is lost."""
        self._markets.clear()
        self._known.clear()
        self._alone.clear()
        self._batch = MAX_CODES

    def _note(self, asked: Collection[Symbol], now: float) -> None:
        """Postpone the next request for these. A known state stays until then."""
        for symbol in asked:
            before = self._known.get(symbol)
            number = before.number if before is not None else None
            self._known[symbol] = _Known(number, now + FRESH_SECONDS)
