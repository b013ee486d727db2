"""Keeps the states of markets and of securities up to date, as OpenD tells them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from typing import Final

from bookcast.background import Periodic
from bookcast.feeds.futu import calls
from bookcast.feeds.futu.account import Account
from bookcast.feeds.futu.link import Link, Refused, Unanswered
from bookcast.model.topics import Symbol

logger = logging.getLogger(__name__)

MAX_FAILURES: Final = 3
"""Not every OpenD knows the request: after so many without an answer it rests."""


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
        self._rests_until = 0.0

    def periodics(self, opened: Link) -> Iterator[Periodic]:
        """Make what asks again and again."""
        times, self._rests_until = opened.times, 0.0

        def next_in() -> float:
            return times.troubled_seconds if self._account.trouble else times.markets_seconds

        yield opened.periodic(self._ask_for_markets, next_in, "watch of markets", first=0)
        yield opened.periodic(self._ask_for_securities, times.securities_seconds, "watch of states")

    async def _ask_for_markets(self, opened: Link) -> None:
        call, seconds = calls.global_state(), opened.times.optional_seconds
        while True:
            notices = self._account.notices
            try:
                state = await opened.request(call, seconds=seconds)
            except (Refused, Unanswered) as error:
                logger.debug("OpenD doesn't tell the markets' states: %s", error)
                return
            if notices == self._account.notices:
                break  # else it may be from before the notice, or after: another answer tells
        with self._noting_trouble():
            self._account.take_global_state(state)

    async def _ask_for_securities(self, opened: Link) -> None:
        loop, states = asyncio.get_running_loop(), self._account.states
        rests = loop.time() < self._rests_until
        asked = () if rests else states.next_request(self._symbols(), loop.time())
        if not asked:
            return
        call, seconds = calls.market_states(asked), opened.times.optional_seconds
        try:
            answer = await opened.request(call, seconds=seconds)
        except Refused as refusal:
            logger.debug("OpenD doesn't tell the states of securities: %s", refusal)
            states.refused(asked, loop.time())
        except Unanswered as error:
            logger.debug("OpenD %s", error)
            self._failures += 1
            if self._failures >= MAX_FAILURES:
                self._rests_until = loop.time() + opened.times.rest_seconds
        else:
            self._failures = 0
            states.take(asked, answer, loop.time())
