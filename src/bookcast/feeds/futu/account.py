"""What OpenD says of itself: whether it is logged in, the markets' hours, the account's rights."""

from __future__ import annotations

import logging
from typing import Any, Final

from bookcast.feeds.futu.markets import (
    STATE_FIELDS,
    MarketState,
    market_state,
    missing_right,
    rights_of,
)
from bookcast.feeds.futu.schema import messages
from bookcast.model import Symbol, TradingSession

logger = logging.getLogger(__name__)

NOTIFY: Final = 1003
_EVENT, _PROGRAM, _CONNECTION, _RIGHT, _QUOTA, _USED_QUOTA = 1, 2, 3, 4, 6, 7
KICKED_OUT: Final = 7
_LOGIN_EVENTS: Final = frozenset({4, 5, KICKED_OUT, 8, 9, 10, 11, 15})
_READY: Final = 10

_UNKNOWN: Final = MarketState()


class Account:
    """The state of OpenD's account, as far as it told.

    Attributes:
        trouble: why OpenD can't give data although it is there; None when it can.
        rights: what the account may see of each market, as ``Qot_Common.QotRight``.
    """

    def __init__(self) -> None:
        self.trouble: str | None = None
        self.rights: dict[str, int] = {}
        self._states: dict[str, MarketState] = {}
        self._logged_in: bool | None = None

    def take_global_state(self, s2c: Any) -> None:
        """Take the answer to ``GetGlobalState``."""
        self._states = {
            prefix: market_state(getattr(s2c, field)) for prefix, field in STATE_FIELDS.items()
        }
        before, self._logged_in = self._logged_in, s2c.qotLogined
        if not s2c.qotLogined:
            self.trouble = self.trouble or _program_trouble(s2c.programStatus)
        elif before is False:
            self.trouble = None

    def take_user_info(self, s2c: Any) -> None:
        """Take the answer to ``GetUserInfo``."""
        self.rights.update(rights_of(s2c))

    def take_notification(self, body: bytes) -> bool:
        """Take a ``Notify``; tell whether what is subscribed should be looked at again."""
        response = messages("Notify").Response()
        response.ParseFromString(body)
        news = response.s2c
        if news.type == _EVENT and news.event.eventType in _LOGIN_EVENTS:
            taken_over = news.event.eventType == KICKED_OUT
            what = (
                "this account was logged in elsewhere, which takes its quote rights over"
                if taken_over
                else "OpenD's login failed"
            )
            self.trouble = ": ".join(filter(None, [what, news.event.desc]))
        elif news.type == _CONNECTION:
            if news.connectStatus.qotLogined:
                self.trouble = None
                return True
            self.trouble = self.trouble or "OpenD has lost its login to the quote servers"
        elif news.type == _PROGRAM and news.programStatus.programStatus.type != _READY:
            logger.warning("OpenD: %s", _program_trouble(news.programStatus.programStatus))
        elif news.type == _RIGHT:
            self.rights.update(rights_of(news.qotRight))
            return True
        return news.type in {_QUOTA, _USED_QUOTA}

    def disconnected(self) -> None:
        """Nothing is known any more but the rights."""
        self.trouble = None
        self._logged_in = None
        self._states.clear()

    def market(self, symbol: Symbol) -> MarketState:
        """Tell what a symbol's market does now."""
        return self._states.get(symbol.partition(".")[0], _UNKNOWN)

    def session(self, symbol: Symbol) -> TradingSession | None:
        """Tell which session a symbol's market has now."""
        return self.market(symbol).session

    def missing_right(self, symbol: Symbol) -> str | None:
        """Say which right the account most likely lacks for a symbol."""
        return missing_right(symbol, self.rights)


def _program_trouble(status: Any) -> str:
    described = f": {status.strExtDesc}" if status.strExtDesc else ""
    return f"OpenD isn't logged in to the quote servers{described}"
