"""The engine of a cluster: positions, snapshots, histories and demand are in Redis.

A node keeps a copy of each topic that it wants, so that subscribers never wait for Redis. While
Redis is away, the node publishes for its own clients under an epoch of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from bookcast.background import BackgroundTasks, Periodic
from bookcast.backplane.base import Backplane
from bookcast.cluster.members.base import Members
from bookcast.engine.base import Engine, EngineStatus, Head, KeyConflictError
from bookcast.engine.interests import Interest, Interests, Want
from bookcast.engine.redis.batch_publisher import BatchPublisher
from bookcast.engine.redis.log_sync import LogSync
from bookcast.engine.redis.outage import OutageMode
from bookcast.engine.redis.published_states import PublishedStates
from bookcast.engine.redis.records import Unreadable
from bookcast.engine.redis.times import EngineTimes
from bookcast.engine.redis.topic_directory import Directory
from bookcast.engine.redis.topic_notes import TopicNotes
from bookcast.errors import EngineAwayError, InvalidInput
from bookcast.model.market_data import LOSSLESS, is_lossless
from bookcast.model.topic_log import LogRules, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, PublisherGone, Update

logger = logging.getLogger(__name__)

CLOCKS_MS: Final = 5000.0
"""The clocks of nodes may differ by so many milliseconds."""

RETRY_SECONDS: Final = 1.0
"""A refused publisher may retry after so many seconds."""


class RedisRules(msgspec.Struct, frozen=True):
    """The rules of a node.

    Attributes:
        history_size: so many trades or final candles Redis keeps per topic.
        logs: the bounds of this node's logs.
        local: while Redis is away, publications from outside go to this node's clients instead of
            being refused.
    """

    history_size: int = 1000
    logs: LogRules = LogRules()
    local: bool = False


class RedisEngine(Engine):
    """Stores everything in Redis, for the nodes of a cluster.

    Each part has one duty: ``batch_publisher`` publishes, ``log_sync`` follows topics, and
    ``outage`` takes over while Redis is away. The backend calls :meth:`begin_outage` and
    :meth:`end_outage`.

    Args:
        plane: the connection to Redis.
        members: the nodes of the cluster.
        rules: the rules of this node.
        times: how often the engine compares itself with Redis.
        patience: seconds that a caller waits for a topic to be read.
        clock: seconds since 1970.
    """

    lag_seconds = 5.0

    def __init__(
        self,
        plane: Backplane,
        members: Members,
        *,
        rules: RedisRules,
        times: EngineTimes,
        patience: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._rules = rules
        self._clock = clock
        self._members = members
        self._breaker = plane.breaker
        self._link = plane.link
        self._subscriber = plane.subscriber
        self._unreadable = plane.unreadable
        self._directory = Directory(self._link)
        self._batch_publisher = BatchPublisher(
            self._link,
            node=members.id,
            history_size=rules.history_size,
            keeps_books=rules.logs.keeps_books,
            form=lambda: members.form,
            published=lambda *state: self._published.note(*state),  # noqa: PLW0108 - made later
            clock=clock,
        )
        self._log_sync = LogSync(
            self._link,
            self._subscriber,
            history_size=rules.history_size,
            log_of=lambda topic: self._outage_mode.log(topic) or rules.logs.log_of(topic),
            patience=patience,
            show=self._show,
            restore=self._restore,
            is_wanted=lambda topic: topic in self._interests,
            unreadable=plane.unreadable,
            removed=self._on_removed,
            is_diverged=lambda topic: topic in self._outage_mode,
            forgotten=lambda topic: self._outage_mode.forget(topic),  # noqa: PLW0108 - made later
            times=times,
        )
        self._interests = Interests(self._follow, self._on_change)
        self._published = PublishedStates(self._log_sync, self._restore, times.grace)
        self._notes = TopicNotes(self._link, members, self._log_sync)
        self._outage_mode = OutageMode(
            members.id,
            clock=clock,
            log_of=lambda topic: self._log_sync.gap_detector.log(topic) or rules.logs.log_of(topic),
            interests=self._interests,
            notice=lambda log: self._notice(log),  # noqa: PLW0108 - attached later
        )
        # The topics wanted on this node, and since when, in milliseconds since 1970.
        self._wanted_since: dict[Topic, float] = {}
        self._work = BackgroundTasks()
        self._auditing = Periodic(self.audit, times.audit, "audit")
        plane.subscriber.listen_to_others(self._log_sync.hear)

    # Start and stop

    async def start(self) -> None:
        """Start. It doesn't fail when Redis can't be reached."""
        await self.count_topics()
        self._auditing.start()

    async def stop(self) -> None:
        """Stop. Topics are followed no more, and waiting publications are cancelled."""
        await self._auditing.close()
        await self._work.end()
        await self._log_sync.close()
        await self._batch_publisher.close()

    @property
    def is_away(self) -> bool:
        """Whether Redis is away."""
        return self._breaker.is_open

    # Publishing

    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Publish in Redis; while it is away, to this node's clients alone, or not at all.

        Raises:
            InvalidInput: when Redis is away, unless these come from the feed (``fence`` is set) or
                ``rules.local`` is set.
            FencedError: when another node runs the feed by now.
            KeyConflictError: when a key was used before for other content; the rest is published.
        """
        reason, unsure = self._breaker.reason, False
        if not self._outage_mode.is_active:
            try:
                return await self._commit(publications, fence)
            except EngineAwayError as error:
                logger.debug("%d updates are not published in Redis: %s", len(publications), error)
                reason, unsure = str(error), error.unsure
        if fence is None and not self._rules.local:
            raise _unavailable(reason, unsure=unsure)
        if not self._outage_mode.is_active:  # Redis is back already
            return await self._commit(publications, fence)
        return await self._outage_mode.publish(publications, from_feed=fence is not None)

    def _commit(
        self, publications: Sequence[Publication], fence: int | None
    ) -> asyncio.Future[list[Position]]:
        publications = self._outage_mode.mended(publications)
        outcome = self._batch_publisher.publish(
            publications, fence, restored=self._outage_mode.is_first
        )
        self._outage_mode.note_published(publications)

        def note(outcome: asyncio.Future[list[Position]]) -> None:
            failed = outcome.cancelled() or outcome.exception()
            if isinstance(failed, KeyConflictError):
                self._directory.note(failed.positions)
            elif failed:
                self._outage_mode.note_failed(publications)
            else:
                self._directory.note(outcome.result())

        outcome.add_done_callback(note)
        return outcome

    # Subscribing

    async def prepare(self, topics: Sequence[Topic]) -> None:
        """Follow topics, and load their updates from Redis."""
        await self._log_sync.prepare(topics)

    def open(
        self, topics: Sequence[Topic]
    ) -> Sequence[Interest] | asyncio.Future[Sequence[Interest]]:
        """Open interests. Topics that aren't followed are read first, unless Redis is away."""
        if self._log_sync.has(topics) or self._link.is_away:
            return [self._interests.open(topic) for topic in topics]
        return asyncio.create_task(self._read_and_open(topics), name="open")

    async def _read_and_open(self, topics: Sequence[Topic]) -> Sequence[Interest]:
        await self._log_sync.prepare(topics)
        return [self._interests.open(topic) for topic in topics]

    def open_now(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Open an interest at once; the topic's updates in Redis may arrive later."""
        return self._interests.open(topic, reads=reads)

    def want(self, topic: Topic) -> Want | None:
        """Return what on this node wants a topic, or None."""
        return self._interests.want(topic)

    def _follow(self, topic: Topic) -> TopicLog:
        self._log_sync.want(topic)
        log = self._log_sync.gap_detector.log(topic)
        assert log is not None  # the line above follows it
        return log

    def _on_change(self, topic: Topic, want: Want | None) -> None:
        if want is None:
            del self._wanted_since[topic]
            self._log_sync.release(topic)
            self._unwanted(topic)
            return
        self._wanted_since.setdefault(topic, self._clock() * 1000)
        if want == "read":
            self._wanted_to_read(topic)
        else:
            self._wanted(topic)

    async def snapshot(self, topic: Topic) -> Update | None:
        """Return the newest update of a topic, None if there was none."""
        gap_detector = self._log_sync.gap_detector
        if topic in self._outage_mode:
            return self._outage_mode.newest(topic)
        newest: Update | Unreadable | None = gap_detector.newest(topic)
        known = newest is not None or gap_detector.position(topic) is None
        if not known or not (topic in gap_detector or self._outage_mode.is_active):
            try:
                newest = (await self._log_sync.ask(topic)).newest
            except EngineAwayError as error:
                logger.debug("%s can't be read: %s", topic, error)
                return None
        if isinstance(newest, Unreadable):
            self._unreadable.note(f"{topic}, seq {newest.position.seq}", newest.why)
            raise InvalidInput(
                "engine_unavailable",
                f"The newest update of {topic} was written by another release, and this node can't "
                "read it; ask again after the next one",
                retry_after=RETRY_SECONDS,
            )
        return newest

    def gone(self, topic: Topic) -> PublisherGone | None:
        """Return whether the publisher of the newest update is gone, as this node knows it."""
        return (
            self._outage_mode.gone(topic)
            if topic in self._outage_mode
            else self._log_sync.gone.get(topic)
        )

    async def find_gone(self, topic: Topic) -> PublisherGone | None:
        """Return the same, also for a topic that this node doesn't follow."""
        if topic in self._log_sync.gap_detector or self._outage_mode.is_active:
            return self.gone(topic)
        return await self._notes.find_gone(topic)

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note in Redis that the publisher of these positions is gone, and notify all nodes."""
        if self._outage_mode.is_active:
            await self._outage_mode.abandon(places, reason)
        else:
            await self._notes.abandon(places, reason)

    async def remove(self, topic: Topic) -> bool:
        """Remove a topic from Redis and from all nodes.

        Raises:
            InvalidInput: when Redis is away.
        """
        try:
            return await self._notes.remove(topic)
        except EngineAwayError as error:
            raise InvalidInput(
                "engine_unavailable",
                f"{error}; the topic isn't removed",
                retry_after=RETRY_SECONDS,
            ) from None

    def _on_removed(self, topic: Topic) -> None:
        self._published.forget(topic)
        if topic in self._interests:
            self._removed(topic)

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Return the known updates of a topic, oldest first."""
        if topic in self._outage_mode:
            return await self._outage_mode.past(topic)
        if topic in self._outage_mode.diverged:  # the log has this node's own updates
            return await self._past_in_redis(topic)
        await self._log_sync.prepare([topic])
        log = self._log_sync.gap_detector.log(topic)
        return log.past() if log is not None else []

    def fed_elsewhere(self, topic: Topic) -> Sequence[Update] | Awaitable[Sequence[Update]]:
        """Return the known updates of an event channel; nothing for a state."""
        return self.past(topic) if topic.channel in LOSSLESS else ()

    async def _refill(self, topic: Topic) -> None:
        """Put Redis's history back into a log in which this node's own updates had replaced it."""
        past, log = await self._past_in_redis(topic), self._log_sync.gap_detector.log(topic)
        if log is not None:
            log.refill(past)

    async def _past_in_redis(self, topic: Topic) -> Sequence[Update]:
        try:
            found = await self._log_sync.ask(topic)
        except EngineAwayError as error:
            logger.debug("the history of %s can't be read: %s", topic, error)
            return []
        past = [one for one in found.history if isinstance(one, Update)]
        if isinstance(found.newest, Update) and found.newest.position not in {
            one.position for one in past[-1:]
        }:
            past.append(found.newest)
        return past

    async def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Return the position of every topic; while Redis is away, only of topics known here."""
        listed = False
        if not self._outage_mode.is_active:
            try:
                async for page in self._directory.pages():
                    listed = True
                    yield page
            except EngineAwayError as error:
                logger.debug("topics can't be listed: %s", error)
        if listed:
            return  # a topic is never listed twice, even where the other pages can't be read
        gap_detector = self._log_sync.gap_detector
        known = {
            update.topic: Head(update.topic, update.position, update.server_ms)
            for topic in gap_detector.topics()
            if (update := gap_detector.newest(topic)) is not None
        }
        known |= {head.topic: head for head in await self._outage_mode.heads()}
        yield list(known.values())

    async def count_topics(self) -> int:
        """Return the number of topics in Redis; while it is away, of those published here since."""
        if self._outage_mode.is_active:
            return len(await self._outage_mode.heads())
        try:
            return await self._directory.count()
        except EngineAwayError as error:
            logger.debug("topics can't be counted: %s", error)
            return self._directory.known

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return those of the given topics that were never published.

        While Redis is away, it returns those not published on this node since. If Redis can't be
        asked, it returns none.
        """
        if self._outage_mode.is_active:
            return {topic for topic in topics if topic not in self._outage_mode}
        try:
            return await self._directory.unknown(topics)
        except EngineAwayError as error:
            logger.debug("topics can't be looked up: %s", error)
            return set()

    def status(self) -> EngineStatus:
        """Return whether Redis answers, and whether this node receives its messages."""
        state, detail = "connected", self._unreadable.trouble
        if self._breaker.is_open:
            state, detail = "away", self._breaker.reason
        elif self._subscriber.trouble is not None:
            state = "deaf"
            detail = f"Redis tells this node nothing: {self._subscriber.trouble}"
        return EngineStatus(
            kind="redis",
            state=state,
            topics=max(len(self._log_sync.gap_detector), self._directory.known),
            detail=detail,
        )

    @property
    def counting(self) -> Sequence[object]:
        """The parts that have counters."""
        return (
            self._link,
            self._breaker,
            self._subscriber,
            self._log_sync,
            self._log_sync.gap_detector,
            self._unreadable,
            self._members,
        )

    # Updates from Redis

    def read_again(self) -> None:
        """Read all topics again in the background: messages may have been lost."""
        self._log_sync.read_again()

    def _show(
        self,
        updates: Sequence[Update | Unreadable],
        first: bool,  # noqa: FBT001 - a callback
    ) -> None:
        """Append new updates to the logs. ``first``: the topic had no position here before."""
        for update in updates:
            log = self._log_sync.gap_detector.log(update.topic)
            if log is None:
                continue
            wanted_since = self._wanted_since.get(update.topic)
            if isinstance(update, Unreadable):
                log.skip(update.position)
                # An unreadable update from before the topic was wanted matters only if it is the
                # newest.
                if wanted_since is not None and (not first or update is updates[-1]):
                    self._note_unreadable(update.topic, update.position)
                continue
            shown = self._outage_mode.returning(update)
            if shown is None:
                continue
            if shown is not update and update.topic.channel in LOSSLESS:
                self._work.begin(self._refill(update.topic), "refill")
            if wanted_since is None:
                log.append(shown)
                log.flush_unread()
                continue
            if first and shown.server_ms < wanted_since - CLOCKS_MS and is_lossless(shown.data):
                # It was published before the topic was wanted, but could only be read now.
                shown = msgspec.structs.replace(shown, backfill=True)
            log.append(shown)
            self._notice(log)

    async def audit(self) -> None:
        """Compare Redis with this node, and repair differences."""
        try:
            self._unreadable.check()
            await self._log_sync.audit()
            await self._published.audit()
            await self._directory.count()
        except EngineAwayError as error:
            logger.debug("the audit failed: %s", error)
        except Exception:
            logger.exception("an audit met a fault of ours")

    # Outages

    def begin_outage(self) -> None:
        """Begin an outage: publish without Redis, under an epoch of this node's own."""
        self._outage_mode.begin()

    def end_outage(self) -> Sequence[tuple[Update, bool]]:
        """End the outage: Redis may be called from now on.

        Returns:
            The newest states that this node published in the outage, each with whether it came from
            the feed. Pass them to :meth:`republish`.
        """
        return self._outage_mode.end(self._log_sync.gap_detector.follows)

    def republish(
        self, left: Sequence[tuple[Update, bool]], fence: int | None
    ) -> list[asyncio.Future[list[Position]]]:
        """Publish in Redis the states that only this node has.

        ``fence``: the fencing token of this node's feed. None: another node runs the feed by now,
        so states of this node's feed are left out.
        """
        return [
            self._republish_state(update, fence if fed else None)
            for update, fed in left
            if fence is not None or not fed
        ]

    def _republish_state(self, update: Update, fence: int | None) -> asyncio.Future[list[Position]]:
        """Publish a state of this node, unless Redis has a newer one by now."""
        state = Publication(
            update.topic, update.data, update.exchange_ms, update.feed_ms, breaks=True
        )
        outcome = self._batch_publisher.publish(
            [state], fence, restored=self._outage_mode.is_first, late=update
        )
        self._outage_mode.note_published([state])

        def note(outcome: asyncio.Future[list[Position]]) -> None:
            if outcome.cancelled() or isinstance(outcome.exception(), EngineAwayError):
                self._outage_mode.keep(update, from_feed=fence is not None)

        outcome.add_done_callback(note)
        return outcome

    async def _restore(self, states: Sequence[Update]) -> None:
        """Publish lost states again. They need no fence: Redis accepted them before."""
        await _await_outcomes([self._republish_state(update, None) for update in states])

    async def catch_up(self, handed_in: Sequence[asyncio.Future[list[Position]]] = ()) -> None:
        """Wait until this node's states are published, then read all topics again and audit.

        From then on, clients see the state in Redis instead of this node's own.
        """
        await _await_outcomes(handed_in)
        # Whether or not the subscription survived the outage, all topics are read.
        await self._log_sync.read_all()
        self._outage_mode.note_caught_up()
        for topic in tuple(self._outage_mode.diverged):
            # Redis has nothing newer, but didn't accept this node's state: show Redis's again.
            newest = self._log_sync.gap_detector.newest(topic)
            if newest is not None and not is_lossless(newest.data):
                self._show([newest], False)  # noqa: FBT003 - the callback's
        await self.audit()  # Redis may also have lost older updates
        try:
            await self._published.audit_all()
        except EngineAwayError as error:
            logger.debug("lost states can't be published again now: %s", error)


def _unavailable(reason: str, *, unsure: bool) -> InvalidInput:
    """Return the refusal of a publication. ``unsure``: it may have been published all the same."""
    what = (
        "nobody knows whether this was published: with an idempotency key it can be sent again"
        if unsure
        else "nothing was published"
    )
    return InvalidInput(
        "engine_unavailable",
        f"{reason}; {what}",
        retry_after=RETRY_SECONDS,
        published="unknown" if unsure else "nothing",
    )


async def _await_outcomes(handed_in: Sequence[asyncio.Future[list[Position]]]) -> None:
    """Wait until all publications have an outcome, and log those that failed."""
    if not handed_in:
        return
    done, _ = await asyncio.wait(handed_in)
    errors = [one.exception() for one in done if not one.cancelled()]
    failed = [error for error in errors if error is not None]
    if failed:
        logger.warning(
            "%d states of this node can't be published in Redis: %s", len(failed), failed[0]
        )
