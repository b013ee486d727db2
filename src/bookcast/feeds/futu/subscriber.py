"""Does at OpenD what the planner of subscriptions decides, and looks whether it holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Final

from bookcast.background import Periodic
from bookcast.feeds.futu import calls
from bookcast.feeds.futu.account import Account
from bookcast.feeds.futu.candles import KINDS
from bookcast.feeds.futu.link import Link, Lost, Refused, Unanswered
from bookcast.feeds.futu.pushes import Pushes
from bookcast.feeds.futu.quota import amounts_of
from bookcast.feeds.futu.subscriptions import Action, Subscribe, SubscriptionPlanner
from bookcast.feeds.futu.topics import asks_for_session, subtype, topics_of
from bookcast.model.topics import Topic

logger = logging.getLogger(__name__)

ESSENTIAL: Final = frozenset({"Qot_GetSubInfo"})
"""No OpenD ends a connection because of these."""

MAX_FAILURES: Final = 3
"""So often in a row may a kind of request go unanswered, or a connection end with it open; then
it is let alone for a while."""


class Subscriber:
    """Works for one connection after the other.

    Attributes:
        changed: set when demand has changed.
    """

    def __init__(
        self,
        planner: SubscriptionPlanner,
        pushes: Pushes,
        account: Account,
        *,
        session: int = 0,
        detailed: bool = False,
    ) -> None:
        self._planner = planner
        self._pushes = pushes
        self._account = account
        self._session = session
        self._detailed = detailed
        # Of each kind of request, and how long it may take: how often in a row it failed, and when
        # it may be made again.
        self._failures: dict[tuple[str, float], tuple[int, float]] = {}
        self._to_fill: list[Topic] = []
        self._learning_rights: asyncio.Task[None] | None = None
        self._checking: Periodic | None = None
        self.changed = asyncio.Event()

    def reason(self, topic: Topic) -> str:
        """Return why OpenD refuses a topic: its words, and the right that seems to be missing."""
        reason = self._planner.refusals[topic].reason
        right = self._account.missing_right(topic.symbol)
        return f"{reason} ({right})" if right is not None else reason

    async def begin(self, opened: Link) -> None:
        """Learn the account's rights and what is left of the quota, before anything is subscribed.

        A right decides what counts: with SF, books of Hong Kong have a quota of their own.
        """
        times = opened.times
        self._checking = opened.periodic(
            self._check, times.check_seconds, "check", first=times.first_check_seconds
        )
        self._to_fill.clear()
        self._learning_rights = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._learn_rights(opened, times.quick_seconds))
            tasks.create_task(self._learn(opened, times.quick_seconds))

    @property
    def is_learning_rights(self) -> bool:
        """Whether a refusal may still turn out to be about a missing right."""
        return self._learning_rights is not None and not self._learning_rights.done()

    def check(self) -> None:
        """OpenD gave reason to look at what is subscribed."""
        if self._checking is not None:
            self._checking.trigger()

    def interrupt(self) -> None:
        """OpenD has lost its login: trades and candles may be missed."""
        for topic in self._held_series():
            self._pushes.series(topic).interrupt()

    def refill(self) -> None:
        """OpenD is logged in again: get the trades and candles that were missed.

        What is pushed from now on waits for them.
        """
        self._to_fill = self._held_series()
        for topic in self._to_fill:
            self._pushes.series(topic).begin()
        self.changed.set()
        self.check()

    def _held_series(self) -> list[Topic]:
        return [topic for topic in self._planner.held if _is_series(topic)]

    async def run(self, opened: Link) -> None:
        """Do what the planner wants until the connection is lost."""
        loop, checking = asyncio.get_running_loop(), self._checking
        assert checking is not None
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            stack.push_async_callback(checking.close)
            while True:
                self.changed.clear()
                to_fill, self._to_fill = self._to_fill, []
                for topic in to_fill:
                    tasks.create_task(self._fill_from(opened, topic))
                if self._planner.is_outdated(loop.time()):
                    await self._learn(opened, opened.times.quick_seconds)
                    self._planner.note_outdated(loop.time())
                if action := self._planner.next_action(loop.time()):
                    await self._perform(action, opened, tasks)
                    continue
                if self._planner.held and not checking.is_running:
                    checking.start()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._planner.next_time(loop.time())):
                        await self.changed.wait()

    async def _check(self, opened: Link) -> None:
        """Compare what OpenD says is subscribed with what it had promised."""
        promised = frozenset(self._planner.held)
        actual = await self._learn(opened, opened.times.optional_seconds)
        if actual is None:
            return
        if lost := self._planner.confirm(actual, promised):
            logger.warning("OpenD has lost %s; subscribing again", _names(lost))
        self.changed.set()

    async def _perform(self, action: Action, opened: Link, tasks: asyncio.TaskGroup) -> None:
        """Ask OpenD for what the planner wants.

        Raises:
            Lost: when it gives no answer, since nobody knows then what it has done.
        """
        loop = asyncio.get_running_loop()
        first = action.topics[0]
        kind, symbols = subtype(first), [topic.symbol for topic in action.topics]
        subscribing = isinstance(action, Subscribe)
        if subscribing:
            call = calls.subscribe(
                symbols,
                kind,
                session=self._session if asks_for_session(first) else 0,
                detailed=self._detailed and first.channel == "orderbook",
            )
            self._expect(action.topics)
        else:
            call = calls.unsubscribe(symbols, kind)
        try:
            await opened.request(call)
        except Refused as refusal:
            for topic in action.topics if subscribing else ():
                self._pushes.forget(topic)
            await self._refused(action, str(refusal), opened, tasks)
            return
        except Unanswered:
            opened.fail("doesn't answer")
            raise Lost("doesn't answer") from None
        self._planner.done(action, loop.time())
        logger.info("%s %s", "subscribed" if subscribing else "released", _names(action.topics))
        if subscribing:
            for topic in action.topics:
                if _is_series(topic):
                    tasks.create_task(self._fill_from(opened, topic))
        else:
            await self._learn(opened, opened.times.quick_seconds)  # what that freed

    async def _refused(
        self, action: Action, reason: str, opened: Link, tasks: asyncio.TaskGroup
    ) -> None:
        planner, now = self._planner, asyncio.get_running_loop().time()
        if isinstance(action, Subscribe):
            if planner.knows_quota:
                await self._learn(opened, opened.times.quick_seconds)
            if not planner.has_room(action, now):
                logger.info("no quota for %s: %s", _names(action.topics), reason)
                planner.out_of_quota(action, now)
                return
            if self._learning_rights is None and not self._account.rights:
                learning = self._learn_rights(opened, opened.times.rights_seconds)
                self._learning_rights = tasks.create_task(learning)
        topic = planner.refused(action, reason, now)
        if topic is None:
            logger.debug("not done together: %s: %s", _names(action.topics), reason)
            return
        refusal = planner.refusals[topic]
        log = logger.warning if refusal.times == 1 else logger.debug
        wait = (refusal.retry_at or now) - now
        log("OpenD refuses %s: %s; retrying in %.0f s", topic, self.reason(topic), wait)

    async def _learn(self, opened: Link, seconds: float) -> set[Topic] | None:
        """Ask what is subscribed and left.

        Returns:
            What this connection has; None when OpenD doesn't say.
        """
        answer = await self._optional(opened, calls.subscriptions(), seconds)
        if answer is None:
            return None
        own: set[Topic] = set()
        others: set[Topic] = set()
        for connection in answer.connSubInfoList:
            (own if connection.isOwnConnData else others).update(topics_of(connection))
        if amounts := amounts_of(answer):
            now = asyncio.get_running_loop().time()
            self._planner.told(amounts, others, now)
        return own

    async def _learn_rights(self, opened: Link, seconds: float) -> None:
        """Ask what the account may see: what a refusal is about, and what counts."""
        answer = await self._optional(opened, calls.user_info(), seconds)
        if answer is not None:
            self._account.take_user_info(answer)

    def _expect(self, topics: tuple[Topic, ...]) -> None:
        for topic in topics:
            if _is_series(topic):
                self._pushes.series(topic).begin()

    async def _fill_from(self, opened: Link, topic: Topic) -> None:
        """Get the newest trades or candles, which a client may want and continuity needs.

        They may take their time, unless something was pushed meanwhile, which doesn't wait long.
        """
        if topic.channel == "trades":
            call = calls.trades(topic.symbol, calls.MAX_PAST)
        else:
            call = calls.candles(topic.symbol, KINDS[topic.variant], calls.MAX_PAST)
        series, past, times = self._pushes.series(topic), (), opened.times
        asked = asyncio.ensure_future(self._optional(opened, call, times.answer_seconds))
        try:
            waited = 0.0
            while not asked.done() and not (series.waits and waited >= times.fill_seconds):
                await asyncio.wait({asked}, timeout=times.fill_turn_seconds)
                waited += times.fill_turn_seconds
            if asked.done() and (answer := asked.result()) is not None:
                past = answer.tickerList if topic.channel == "trades" else answer.klList
        finally:
            asked.cancel()
            self._pushes.fill(topic, past)

    async def _optional(self, opened: Link, call: calls.Call, seconds: float) -> Any:
        """Ask for what can be done without; None when OpenD doesn't give it."""
        loop = asyncio.get_running_loop()
        kind, rest_seconds = (call.name, seconds), opened.times.rest_seconds
        failures, again_at = self._failures.get(kind, (0, 0.0))
        if loop.time() < again_at:
            return None
        try:
            answer = await opened.request(call, seconds=seconds)
        except Refused as refusal:
            logger.debug("OpenD refuses %s: %s", call.name, refusal)
            return None
        except Unanswered as error:
            self._note_failure(kind, failures + 1, rest_seconds)
            logger.debug("OpenD %s", error)
            return None
        except Lost:
            if call.name not in ESSENTIAL:
                self._note_failure(kind, failures + 1, rest_seconds)
            raise
        self._failures.pop(kind, None)
        return answer

    def _note_failure(self, kind: tuple[str, float], failures: int, rest_seconds: float) -> None:
        rest = rest_seconds if failures >= MAX_FAILURES else 0.0
        self._failures[kind] = failures, asyncio.get_running_loop().time() + rest


def _is_series(topic: Topic) -> bool:
    """Return whether every update of a topic must be published."""
    return topic.channel in {"trades", "candles"}


def _names(topics: tuple[Topic, ...] | list[Topic]) -> str:
    return ", ".join(str(topic) for topic in topics)
