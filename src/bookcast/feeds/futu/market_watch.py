"""Keeps the states of markets and of securities up to date, as OpenD tells them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Final

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.account import Account
from bookcast.feeds.futu.link import Link, Refused, Unanswered
from bookcast.model.topics import Symbol

logger = logging.getLogger(__name__)

STATE_SECONDS: Final = 10.0
"""How often OpenD is asked for the markets' states."""

TROUBLED_SECONDS: Final = 2.0
"""The same while OpenD isn't logged in."""

TURN_SECONDS: Final = 0.25
"""How often it is looked whether a security's state is to be asked for."""

ANSWER_SECONDS: Final = 2.0

MAX_FAILURES: Final = 3
REST_SECONDS: Final = 120.0
"""Not every OpenD knows the request: after so many without an answer it rests for so long."""


class MarketWatch:
    """Works for one connection after the other.

    Args:
        account: takes what OpenD says.
        symbols: the securities whose state counts: those subscribed or polled.
        noting_trouble: surrounds whatever may change whether OpenD is logged in.
    """

    def __init__(
        self,
        account: Account,
        symbols: Callable[[], Collection[Symbol]],
        noting_trouble: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._account = account
        self._symbols = symbols
        self._noting_trouble = noting_trouble
        self._failures = 0

    async def run(self, opened: Link) -> None:
        """Ask until the connection is lost."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch_markets(opened))
            tasks.create_task(self._watch_securities(opened))

    async def _watch_markets(self, opened: Link) -> None:
        while True:
            notices = self._account.notices
            try:
                state = await opened.request(calls.global_state(), seconds=ANSWER_SECONDS)
            except (Refused, Unanswered) as error:
                logger.debug("OpenD doesn't tell the markets' states: %s", error)
            else:
                if notices != self._account.notices:
                    continue  # from before the notice, or after? Another answer tells
                with self._noting_trouble():
                    self._account.take_global_state(state)
            await asyncio.sleep(TROUBLED_SECONDS if self._account.trouble else STATE_SECONDS)

    async def _watch_securities(self, opened: Link) -> None:
        loop, states = asyncio.get_running_loop(), self._account.states
        while True:
            if asked := states.next_request(self._symbols(), loop.time()):
                try:
                    answer = await opened.request(
                        calls.market_states(asked), seconds=ANSWER_SECONDS
                    )
                except Refused as refusal:
                    logger.debug("OpenD doesn't tell the states of securities: %s", refusal)
                    states.refused(asked, loop.time())
                except Unanswered as error:
                    logger.debug("OpenD %s", error)
                    self._failures += 1
                    if self._failures >= MAX_FAILURES:
                        await asyncio.sleep(REST_SECONDS)
                else:
                    self._failures = 0
                    states.take(asked, answer, loop.time())
            await asyncio.sleep(TURN_SECONDS)
