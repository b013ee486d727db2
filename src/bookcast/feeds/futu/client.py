"""The Futu feed: keeps a connection to OpenD, and gets from it what is wanted.

All of it runs on the event loop, where nothing blocks. Of several OpenDs one is connected; the next
one's turn comes when that is lost. (Whoever logs in last takes an account's quote rights over, so a
standby is left alone until it is needed.)
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, Final, Literal

from bookcast import backoff
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.futu import link
from bookcast.feeds.futu.account import NOTIFY, Account
from bookcast.feeds.futu.directory import Directory
from bookcast.feeds.futu.endpoints import Endpoint, resolve
from bookcast.feeds.futu.inbox import Inbox
from bookcast.feeds.futu.link import Link, Lost
from bookcast.feeds.futu.market_watch import MarketWatch
from bookcast.feeds.futu.poller import Poller
from bookcast.feeds.futu.pushes import Pushes
from bookcast.feeds.futu.quota import Pools, in_words, units_of
from bookcast.feeds.futu.subscriber import Subscriber
from bookcast.feeds.futu.subscriptions import SubscriptionPlanner
from bookcast.feeds.futu.symbol_hints import hints
from bookcast.feeds.futu.times import FutuTimes
from bookcast.feeds.futu.topics import SUBTYPES, not_asked_for, request_group
from bookcast.model.feed_state import FeedState, Security
from bookcast.model.market_data import Data
from bookcast.model.topics import Symbol, Topic

logger = logging.getLogger(__name__)

FIRST_DELAY: Final = 0.1
MAX_DELAY: Final = 1.0
"""Seconds between attempts to connect grow from the first to the last of these, with jitter: OpenD
usually runs next door, and its clients want to be served as soon as it is back."""

THROWN_OUT_DELAY: Final = 15.0
"""An OpenD that takes us in only to throw us out is knocked at ever less often, up to this."""

MAX_THROWS: Final = 10
"""So many times in a row is forgiven."""

ATTEMPTS: Final = 5
"""So often an OpenD that doesn't answer is tried beside."""

MAX_FOUND: Final = 50
"""So many securities a search gives at most."""


class FutuFeed(Feed):
    """Publishes what is wanted from the first of some OpenDs that serves us.

    Args:
        publish: takes publications.
        endpoints: the OpenDs, the primary first.
        key: OpenD's private RSA key, None without encryption.
        min_subscription_seconds: OpenD lets go of a subscription no sooner.
        linger_seconds: what nobody wants any more is kept for so long.
        pinned: topics to subscribe whoever wants them.
        session: which hours of US stocks count, as ``Common.Session``.
        detailed: ask for the single orders of a book.
        firm: the broker whose data are asked for, as in calls.FIRMS; 0 leaves that to OpenD.
        times: how often OpenD is asked for what, and how long it may take.
    """

    name = "futu"

    def __init__(
        self,
        publish: Publish,
        *,
        endpoints: Sequence[Endpoint],
        key: Any = None,
        min_subscription_seconds: float = 60.0,
        linger_seconds: float = 0.0,
        pinned: Sequence[Topic] = (),
        session: int = 0,
        detailed: bool = False,
        firm: int = 0,
        times: FutuTimes | None = None,
    ) -> None:
        super().__init__(publish)
        self._endpoints = tuple(endpoints)
        self._key = key
        self._account = Account()
        self._firm = firm
        self._times = times or FutuTimes()
        self._planner = SubscriptionPlanner(
            min_subscription_seconds,
            linger_seconds=linger_seconds,
            pinned=pinned,
            group=request_group,
            pools=Pools(lambda topic: units_of(topic, sf=self._account.has_sf)),
            random=random.random,
        )
        self._inbox = Inbox()
        self._pushes = Pushes(
            self._inbox, self._account.market, us_session=session, times=self._times
        )
        self._directory = Directory()
        self._subscriber = Subscriber(
            self._planner, self._pushes, self._account, session=session, detailed=detailed
        )
        self._poller = Poller(self._planner, self._pushes, self._account)
        self._market_watch = MarketWatch(self._account, self._watched, self._noting_trouble)
        self._link: Link | None = None
        self._state: Literal["starting", "connected", "disconnected", "stopped"] = "starting"
        self._detail: str | None = None

    # What others ask

    def status(self) -> FeedStatus:
        """Return whether OpenD serves us; ``symbols`` counts the subscriptions held there."""
        detail = self._detail or self._account.trouble
        if detail is None and self._planner.refusals:
            detail = "; ".join(
                f"OpenD refuses {topic}: {self._subscriber.reason(topic)}"
                for topic in tuple(self._planner.refusals)[:10]
            )
        state = self._state
        if state == "connected" and self._account.trouble is not None:
            state = "disconnected"
        return FeedStatus(self.name, state, len(self._planner.held), detail)

    def serves(self, topic: Topic) -> bool:
        """Everything that OpenD has comes from here."""
        return (topic.channel, topic.variant) in SUBTYPES

    def _asks_for(self, topic: Topic) -> bool:
        return self.serves(topic) and not_asked_for(topic) is None

    def supply(self, topic: Topic) -> FeedState:
        """Return how OpenD supplies a topic, or why it doesn't."""
        if (why := not_asked_for(topic)) is not None:
            return FeedState(self.name, "pending", why, refusal=why, only_published=True)
        return self._cut_off() or self._without(topic) or self._with(topic)

    def _cut_off(self) -> FeedState | None:
        """Return why OpenD supplies nothing at all, None if it does."""
        match self._state:
            case "connected" if self._account.trouble is None:
                return None
            case "connected":
                return FeedState(self.name, "feed_down", self._account.trouble)
            case "starting":
                return FeedState(self.name, "pending", "connecting to OpenD")
            case _:
                return FeedState(self.name, "feed_down", self._detail or "the feed has stopped")

    def _without(self, topic: Topic) -> FeedState | None:
        """Return what a topic waits for, None if it is subscribed."""
        if topic in self._planner.refusals and not self._subscriber.is_learning_rights:
            reason = self._subscriber.reason(topic)
            if (every_seconds := self._poller.every_seconds(topic)) is not None:
                state, why = self._trading(topic) or ("live", f"OpenD doesn't push it: {reason}")
                return FeedState("snapshot", state, why, every_seconds * 1000, refusal=reason)
            lacks_right = self._account.missing_right(topic.symbol) is not None
            meant = hints(topic.symbol, may_exist=lacks_right)
            refused = FeedState(self.name, "pending", f"OpenD refuses it: {reason}", refusal=reason)
            return refused._replace(did_you_mean=meant)
        now = asyncio.get_running_loop().time()
        quota = self._planner.quota(topic, now)
        if quota is not None:
            return FeedState(self.name, "pending", in_words(quota), quota=quota)
        if (waits := self._planner.waits_to_be_read(topic, now)) is not None:
            return FeedState(self.name, "pending", waits[1], quota=waits[0])
        if topic not in self._planner.held:
            asked = self._planner.is_wanted(topic)
            why = (
                "being subscribed at OpenD"
                if asked
                else "OpenD isn't asked for it: nobody wants it"
            )
            return FeedState(self.name, "pending", why)
        return None

    def _with(self, topic: Topic) -> FeedState:
        """Return how a subscribed topic is traded."""
        heard_at = self._pushes.rhythm.heard_at(topic) or 0.0
        if (right := self._account.lost_right(topic.symbol, heard_at)) is not None:
            return FeedState(self.name, "feed_down", f"OpenD can't push it any more: {right}")
        if (trading := self._trading(topic)) is not None:
            return FeedState(self.name, *trading)
        fewer = self._account.fewer_levels(topic.symbol) if topic.channel == "orderbook" else None
        return FeedState(self.name, reason=fewer)

    def _trading(self, topic: Topic) -> tuple[Literal["halted", "closed"], str] | None:
        """Return why a topic isn't traded now; None when it may be.

        A closed market alone says little: what comes all the same is traded. So a topic is closed
        only when it is quiet as well, and not before its first data had time to come.
        """
        if (halt := self._pushes.halt(topic.symbol)) is not None:
            return "halted", halt
        closed = self._account.market(topic.symbol).closed
        if closed is None or not self._pushes.rhythm.is_quiet(topic):
            return None
        since = self._planner.held_since(topic)
        now = asyncio.get_running_loop().time()
        if since is not None and now < since + self._times.first_push_seconds:
            return None
        return "closed", closed

    def _watched(self) -> Collection[Symbol]:
        """Return the symbols whose market's state counts."""
        return dict.fromkeys(
            [*(topic.symbol for topic in self._planner.held), *self._poller.polled]
        )

    def want(self, topic: Topic) -> None:
        """Subscribe a topic as soon as possible."""
        if self._asks_for(topic):
            self._planner.want(topic)
            self._subscriber.changed.set()

    def want_to_read(self, topic: Topic) -> None:
        """Subscribe a topic if reads may have it."""
        if self._asks_for(topic):
            self._planner.want_to_read(topic, asyncio.get_running_loop().time())
            self._subscriber.changed.set()

    def go_on_after(self, topic: Topic, past: Sequence[Data]) -> None:
        """Go on with trades and candles where the feed of another node ended."""
        if self._asks_for(topic):
            self._pushes.series(topic).go_on_after(past)

    def release(self, topic: Topic) -> None:
        """Unsubscribe from a topic as soon as OpenD allows it."""
        if self._asks_for(topic):
            self._planner.release(topic, asyncio.get_running_loop().time())
            self._subscriber.changed.set()

    def symbols(self) -> Sequence[Symbol]:
        """What is wanted now: OpenD has far more."""
        return tuple(dict.fromkeys(topic.symbol for topic in self._planner.wanted))

    async def search(self, text: str) -> Sequence[Security]:
        """Find securities in OpenD's lists, which are asked for when they are needed first."""
        if self._link is None or not text:
            return await super().search(text)
        found = await self._directory.search(self._link, text, MAX_FOUND, self._account.session)
        return found or await super().search(text)

    # Its life

    async def run(self) -> None:
        """Stay connected until cancelled."""
        self._state = "starting"
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._publish())
                tasks.create_task(self._stay_connected())
        finally:
            self._state, self._detail = "stopped", None

    async def _publish(self) -> None:
        while True:
            await self.publish(await self._inbox.take())

    async def _stay_connected(self) -> None:
        loop = asyncio.get_running_loop()
        turn = failures = thrown_out = 0
        while True:
            endpoint = self._endpoints[turn % len(self._endpoints)]
            begun, served = loop.time(), False
            try:
                opened = await self._connect(endpoint)
                served = True
                await self._serve(opened, endpoint)
            except Lost as lost:
                trouble = f"OpenD at {endpoint} {lost}"
            except OSError as error:
                trouble = (
                    f"{endpoint.setting} is {endpoint.host!r}, which can't be resolved: "
                    f"{error.strerror or error}"
                )
            detail = f"{trouble}; retrying"
            if detail != self._detail:  # said once, not at every attempt
                logger.warning("%s", detail)
            self._state, self._detail = "disconnected", detail
            if served:
                # Perhaps only the connection was cut: this one is tried again before the next.
                failures = 0
                thrown_out = 0 if loop.time() - begun > THROWN_OUT_DELAY else thrown_out + 1
            else:
                failures += 1
                turn += 1
            rounds, others_left = divmod(failures, len(self._endpoints))
            if not others_left:
                await asyncio.sleep(_delay(rounds, thrown_out))

    async def _connect(self, endpoint: Endpoint) -> Link:
        """Connect to one of the host's addresses.

        Raises:
            OSError: when the host's name can't be resolved.
            Lost: when OpenD doesn't take us in.
        """
        fault = Lost("is not reachable")
        for address in await resolve(endpoint.host):
            try:
                return await self._open(address, endpoint.port)
            except Lost as lost:
                fault = lost
        raise fault

    async def _open(self, address: str, port: int) -> Link:
        """Connect to an address. An OpenD that doesn't answer is tried once more every second.

        One that has been silent won't answer what it was asked then, but may be back.
        """
        attempts: set[asyncio.Task[Link]] = set()
        try:
            for _ in range(ATTEMPTS):
                connecting = link.connect(
                    address, port, self._take, self._key, firm=self._firm, times=self._times
                )
                attempts.add(asyncio.create_task(connecting))
                done, attempts = await asyncio.wait(
                    attempts,
                    timeout=self._times.attempt_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if done:
                    first, *others = done
                    attempts.update(others)
                    return first.result()
        finally:
            for attempt in attempts:
                attempt.add_done_callback(_leave)
                attempt.cancel()
        raise Lost("doesn't answer")

    async def _serve(self, opened: Link, endpoint: Endpoint) -> None:
        """Serve one connection to its end, which is told by raising Lost."""
        self._link = opened
        try:
            await self._subscriber.begin(opened)
            self._state, self._detail = "connected", None
            logger.info("connected to OpenD at %s", endpoint)
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                for periodic in (
                    *self._market_watch.periodics(opened),
                    *self._poller.periodics(opened),
                    opened.periodic(self._end_sessions, self._times.endings_seconds, "endings"),
                ):
                    periodic.start()
                    stack.push_async_callback(periodic.close)
                tasks.create_task(self._subscriber.run(opened))
                tasks.create_task(self._wait_for_the_end(opened))
        except* Lost as group:
            raise _first(group) from None
        finally:
            self._link = None
            opened.fail("was left")
            self._planner.disconnected(asyncio.get_running_loop().time())
            self._account.disconnected()

    async def _wait_for_the_end(self, opened: Link) -> None:
        raise Lost(await asyncio.shield(opened.lost))

    async def _end_sessions(self, _opened: Link) -> None:
        self._pushes.end_sessions(self._planner.held)

    def _take(self, protocol: int, body: bytes) -> None:
        if protocol == NOTIFY:
            rights = dict(self._account.rights)
            with self._noting_trouble():
                if self._account.take_notification(body):
                    self._subscriber.check()
            if self._account.rights != rights:
                self._planner.retry_refused(asyncio.get_running_loop().time())
        else:
            self._pushes.take(protocol, body)

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        """See to what was missed when OpenD's login is lost, and had again."""
        before = self._account.trouble
        yield
        if before is None and self._account.trouble is not None:
            self._subscriber.interrupt()
        elif before is not None and self._account.trouble is None:
            self._subscriber.refill()


def _leave(attempt: asyncio.Task[Link]) -> None:
    """Close a connection that came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().fail("was left")


def _delay(rounds: int, thrown_out: int) -> float:
    """Return the delay in seconds after failed rounds, or after OpenD has thrown us out."""
    if thrown_out > MAX_THROWS:
        first, most, failures = MAX_DELAY, THROWN_OUT_DELAY, thrown_out - MAX_THROWS
    else:
        first, most, failures = FIRST_DELAY, MAX_DELAY, max(1, rounds)
    return backoff.delay(failures, random.random(), first=first, most=most)


def _first(group: BaseExceptionGroup[Lost]) -> Lost:
    first = group.exceptions[0]
    return first if isinstance(first, Lost) else _first(first)
