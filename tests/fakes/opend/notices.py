"""What OpenD says of itself, to the connections that asked for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.fakes.opend.account import RIGHTS
from tests.fakes.opend.wire import NOTIFY, make_body

if TYPE_CHECKING:
    from tests.fakes.opend.server import OpenD

GATEWAY_EVENT, CONNECTION_STATUS, QUOTE_RIGHTS, QUOTAS = 1, 3, 4, 6
"""Notify.NotifyType."""
KICKED_OUT = 7
"""Notify.GtwEventType."""
HISTORY_QUOTA = 100


class Notices:
    """Writes Notify."""

    def __init__(self, opend: OpenD) -> None:
        self._opend = opend

    def login(self, *, logged_in: bool) -> None:
        """Notify clients whether OpenD is logged in to the quote server."""

        def fill(s2c: Any) -> None:
            s2c.type = CONNECTION_STATUS
            s2c.connectStatus.qotLogined = logged_in
            s2c.connectStatus.trdLogined = True

        self._notify(fill)

    def kicked_out(self, text: str) -> None:
        """Notify clients that the account logged in somewhere else."""

        def fill(s2c: Any) -> None:
            s2c.type = GATEWAY_EVENT
            s2c.event.eventType, s2c.event.desc = KICKED_OUT, text

        self._notify(fill)

    def rights(self) -> None:
        """Notify clients of the account's present quote rights."""

        def fill(s2c: Any) -> None:
            s2c.type = QUOTE_RIGHTS
            for market, right in self._opend.account.rights.items():
                setattr(s2c.qotRight, RIGHTS[market], right)

        self._notify(fill)

    def quota(self) -> None:
        """Notify clients of the account's present subscription quota."""

        def fill(s2c: Any) -> None:
            s2c.type = QUOTAS
            s2c.apiQuota.subQuota, s2c.apiQuota.historyKLQuota = (
                self._opend.account.quota,
                HISTORY_QUOTA,
            )

        self._notify(fill)

    def _notify(self, fill: Callable[[Any], None]) -> None:
        body = make_body(NOTIFY, fill)
        for connection in self._opend.connections if not self._opend.muted else ():
            if connection.notified:
                connection.push(NOTIFY, body)
