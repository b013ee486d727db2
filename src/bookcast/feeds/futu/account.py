"""The state that OpenD reports: its login, the markets' states, the account's rights."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from bookcast.feeds.futu.markets import MarketState
from bookcast.feeds.futu.rights import (
    LEVEL_1,
    MANY_LEVELS,
    NO_PUSH,
    RIGHTS,
    SF,
    market_of,
    missing_right,
    rights_of,
)
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.trading_states import SecurityStates
from bookcast.model.market_data import TradingSession
from bookcast.model.topics import Symbol

logger = logging.getLogger(__name__)

NOTIFY: Final = 1003
_EVENT, _PROGRAM, _CONNECTION, _RIGHT, _QUOTA, _USED_QUOTA = 1, 2, 3, 4, 6, 7
KICKED_OUT: Final = 7
_LOGIN_EVENTS: Final = frozenset({4, 5, KICKED_OUT, 8, 9, 10, 11, 15})
_READY: Final = 10

CONVINCING: Final = 3
"""After OpenD reported a lost login, it must report being logged in so many times."""

TAKEN_BACK: Final = (
    "if another terminal took it over, OpenD takes it back once by itself (auto_hold_quote_right), "
    "or when it is told request_highest_quote_right"
)


class Account:
    """The state of OpenD's account, as last reported.

    Attributes:
        trouble: why a connected OpenD can't supply data; None if it can.
        rights: the account's right for each market, as ``Qot_Common.QotRight``.
        notices: the number of notifications about the login.
        states: the state of each security's market.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.trouble: str | None = None
        self.rights: dict[str, int] = {}
        self.notices = 0
        self.states = SecurityStates()
        self._logged_in = False
        self._well = 0
        self._lost_at: dict[str, float] = {}
        self._fell_from: dict[str, int] = {}

    def take_global_state(self, s2c: Any) -> None:
        """Store the answer to ``GetGlobalState``."""
        self.states.take_markets(s2c)
        before, self._logged_in = self._logged_in, s2c.qotLogined
        self._well = self._well + 1 if s2c.qotLogined else 0
        if not s2c.qotLogined:
            self.trouble = self.trouble or _program_trouble(s2c.programStatus)
        elif not before or self._well >= CONVINCING:
            # It may have logged in again between two requests, without a notification.
            self.trouble = None

    @property
    def has_sf(self) -> bool:
        """Whether the account has Hong Kong's SF right, which limits books by securities."""
        return self.rights.get("HK stocks") == SF

    def take_user_info(self, s2c: Any) -> None:
        """Store the answer to ``GetUserInfo``."""
        self._note_rights(rights_of(s2c))

    def take_notification(self, body: bytes) -> bool:
        """Process a ``Notify``. Return whether the subscriptions should be checked at OpenD."""
        response = messages("Notify").Response()
        response.ParseFromString(body)
        news = response.s2c
        if news.type == _EVENT and news.event.eventType in _LOGIN_EVENTS:
            self.notices += 1
            taken_over = news.event.eventType == KICKED_OUT
            self._well = 0
            what = (
                "this account was logged in elsewhere, which takes its quote rights over"
                if taken_over
                else "OpenD's login failed"
            )
            self.trouble = ": ".join(filter(None, [what, news.event.desc]))
        elif news.type == _CONNECTION:
            self.notices += 1
            if news.connectStatus.qotLogined:
                self.trouble = None
                return True
            self._well = 0
            self.trouble = self.trouble or "OpenD has lost its login to the quote servers"
        elif news.type == _PROGRAM and news.programStatus.programStatus.type != _READY:
            logger.warning("OpenD: %s", _program_trouble(news.programStatus.programStatus))
        elif news.type == _RIGHT:
            self._note_rights(rights_of(news.qotRight))
            return True
        return news.type in {_QUOTA, _USED_QUOTA}

    def disconnected(self) -> None:
        """Forget all but the rights: the connection is lost."""
        self.trouble = None
        self._logged_in = False
        self._well = 0
        self.states.disconnected()
        self._lost_at.clear()

    def market(self, symbol: Symbol) -> MarketState:
        """Return the state of a symbol's market."""
        return self.states.state(symbol)

    def session(self, symbol: Symbol) -> TradingSession | None:
        """Return the session of a symbol's market now, or None."""
        return self.market(symbol).session

    def lost_right(self, symbol: Symbol, heard_at: float) -> str | None:
        """Return, in words, the right lost since a symbol's last data; None if none was lost.

        A symbol that still gets data has its right, whichever right its code suggests.
        """
        market = market_of(symbol, self.rights)
        lost_at = self._lost_at.get(market)
        if lost_at is None or heard_at > lost_at:
            return None
        missing = missing_right(symbol, self.rights)
        return f"{missing}; {TAKEN_BACK}" if missing is not None else None

    def fewer_levels(self, symbol: Symbol) -> str | None:
        """Return, in words, that a symbol's right fell from many levels to one, or None."""
        market = market_of(symbol, self.rights)
        before = self._fell_from.get(market)
        if before is None:
            return None
        return (
            f"books have the best level only: the account's right for {market} fell from "
            f"{RIGHTS[before]} to {RIGHTS[LEVEL_1]}; {TAKEN_BACK}"
        )

    def _note_rights(self, rights: Mapping[str, int]) -> None:
        for market, right in rights.items():
            before = self.rights.get(market)
            if right not in NO_PUSH:
                self._lost_at.pop(market, None)
            elif before is not None and before not in NO_PUSH:
                self._lost_at[market] = self._clock()
            if right == LEVEL_1 and before in MANY_LEVELS:
                self._fell_from[market] = before
            elif right != LEVEL_1:
                self._fell_from.pop(market, None)
        self.rights.update(rights)

    def missing_right(self, symbol: Symbol) -> str | None:
        """Return, in words, the right that the account lacks for a symbol, by its code; or None."""
        return missing_right(symbol, self.rights)


def _program_trouble(status: Any) -> str:
    described = f": {status.strExtDesc}" if status.strExtDesc else ""
    return f"OpenD isn't logged in to the quote servers{described}"
