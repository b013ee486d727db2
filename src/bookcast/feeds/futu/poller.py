"""Asks OpenD for snapshots of what it doesn't push, and of what is suspiciously quiet."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from bookcast.background import Periodic
from bookcast.feeds.futu import calls
from bookcast.feeds.futu.account import Account
from bookcast.feeds.futu.link import Link, Refused, Unanswered
from bookcast.feeds.futu.markets import symbol_of
from bookcast.feeds.futu.pushes import Pushes
from bookcast.feeds.futu.snapshots import SnapshotPlanner
from bookcast.feeds.futu.subscriptions import SubscriptionPlanner
from bookcast.model.topics import Symbol, Topic

logger = logging.getLogger(__name__)


class Poller:
    """Works for one connection after the other."""

    def __init__(self, planner: SubscriptionPlanner, pushes: Pushes, account: Account) -> None:
        self._planner = planner
        self._pushes = pushes
        self._account = account
        self._snapshots = SnapshotPlanner()

    def every_seconds(self, topic: Topic) -> float | None:
        """Return the seconds between snapshots of a topic, None if OpenD refuses these as well."""
        if _can_stand_in(topic) and self._snapshots.gives(topic.symbol):
            return self._snapshots.every_seconds
        return None

    @property
    def polled(self) -> Collection[Symbol]:
        """The symbols that OpenD gives snapshots of."""
        return self._snapshots.given

    def periodics(self, opened: Link) -> Iterator[Periodic]:
        """Make what asks again and again."""
        times = opened.times
        yield opened.periodic(self._poll, times.polls_seconds, "polling of snapshots")
        yield opened.periodic(self._look_at_quiet_symbols, times.halts_seconds, "look for halts")

    async def _poll(self, opened: Link) -> None:
        now = asyncio.get_running_loop().time
        refused = [topic for topic in self._planner.refusals if _can_stand_in(topic)]
        self._snapshots.want({topic.symbol: None for topic in refused}, now())
        symbols = self._snapshots.next_request(now())
        if not symbols:
            return
        try:
            given = await self._ask(opened, symbols)
        except Refused as refusal:
            if _is_about_frequency(refusal):
                self._snapshots.unanswered(symbols)
            else:
                self._snapshots.refused(symbols, now())
        except Unanswered:
            self._snapshots.unanswered(symbols)
        else:
            self._snapshots.done(symbols)
            self._publish(refused, given)

    def _publish(self, topics: Sequence[Topic], given: dict[Symbol, Any]) -> None:
        for topic in topics:
            if topic.symbol in given and self._planner.is_wanted(topic):
                self._pushes.publish_snapshot(topic, given[topic.symbol])

    async def _look_at_quiet_symbols(self, opened: Link) -> None:
        quiet_since = asyncio.get_running_loop().time() - opened.times.quiet_seconds
        quiet = {
            topic.symbol: None
            for topic in self._planner.held
            if (
                (self._pushes.rhythm.heard_at(topic) or 0.0) < quiet_since
                or self._pushes.halt(topic.symbol) is not None
            )
            and self._account.market(topic.symbol).closed is None
        }
        if quiet:
            with contextlib.suppress(Refused, Unanswered):
                given = await self._ask(opened, tuple(quiet)[: calls.MAX_SNAPSHOTS])
                for snapshot in given.values():
                    self._pushes.note_halt(snapshot.basic)

    async def _ask(self, opened: Link, symbols: Sequence[Symbol]) -> dict[Symbol, Any]:
        """Ask for snapshots.

        Raises:
            Refused: when OpenD gives none.
            Unanswered: when it doesn't answer in time.
        """
        try:
            call = calls.snapshots(symbols)
            answer = await opened.request(call, seconds=opened.times.optional_seconds)
        except (Refused, Unanswered) as error:
            logger.debug("no snapshot of %s: %s", ", ".join(symbols), error)
            raise
        given: dict[Symbol, Any] = {}
        for snapshot in answer.snapshotList:
            if (symbol := symbol_of(snapshot.basic.security)) is not None:
                given[symbol] = snapshot
        return given


def _is_about_frequency(refusal: Refused) -> bool:
    """Return whether OpenD was asked too often, perhaps by another program.

    It has no code for that, only words: in English or in Chinese.
    """
    words = str(refusal).lower()
    return "frequen" in words or "\u9891\u7387" in words or "\u983b\u7387" in words


def _can_stand_in(topic: Topic) -> bool:
    """Return whether a snapshot has what a topic needs: a quote, or a book's best level."""
    return topic.channel in {"quote", "orderbook"} and not topic.variant
