"""The engine of many nodes: positions, snapshots, histories and demand in Redis.

What this node wants it mirrors, so that subscribers never wait for Redis. While Redis is away, the
node goes on for its own clients under an epoch of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from bookcast.background import Work
from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable import UnreadableLog
from bookcast.engine.alone import Alone
from bookcast.engine.base import Engine, EngineStatus, Head, KeyConflictError, Shared
from bookcast.engine.board import Board
from bookcast.engine.committer import Committer
from bookcast.engine.demand import Demand
from bookcast.engine.directory import Directory
from bookcast.engine.follower import Follower
from bookcast.engine.interests import Interest, Interests, Want
from bookcast.engine.leadership import Leadership
from bookcast.engine.notes import TopicNotes
from bookcast.engine.peers import Node, Peers
from bookcast.engine.published import PublishedStates
from bookcast.engine.records import Unreadable
from bookcast.engine.shelf import Shelf
from bookcast.errors import EngineAwayError, FencedError, InvalidInput
from bookcast.model import LOSSLESS, Gone, Position, Publication, Topic, Update, is_lossless
from bookcast.model.log import LogRules, TopicLog

logger = logging.getLogger(__name__)

PULSE_SECONDS: Final = 1.0
"""How often a node says that it lives, and by that learns whether Redis does."""

DEAF_SECONDS: Final = 3.0
"""A node that hasn't heard its own pulse for so long has lost its subscription."""

AUDIT_SECONDS: Final = 2.0
"""How often what Redis has is compared with what this node knows."""

CLOCKS_MS: Final = 5000.0
"""Clocks of nodes may differ by so much."""

RETRY_SECONDS: Final = 1.0
"""After so long a publisher that was refused may try again."""


class RedisRules(msgspec.Struct, frozen=True):
    """What holds for a node. ``local``: what is published while Redis is away goes to its clients.

    ``history_size``: so many updates Redis keeps where every one counts. ``logs``: the bounds of
    what this node keeps. ``session_ttl``: seconds that a session waits for its client.
    """

    history_size: int = 1000
    logs: LogRules = LogRules()
    local: bool = False
    session_ttl: float = 60.0


class RedisEngine(Engine):
    """Keeps everything in Redis. ``clock`` gives seconds since 1970, ``myself`` what the node is.

    It is made of parts with a duty each: ``committer`` publishes, ``follower`` knows what is
    published, ``breaker`` whether Redis is there, and ``alone`` what to do when it isn't.
    """

    def __init__(
        self,
        link_settings: LinkSettings,
        *,
        myself: Callable[[], Node],
        rules: RedisRules,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._rules = rules
        self._clock = clock
        self._breaker = Breaker(time.monotonic, random.random, self._go_on_alone)
        self._link = Link(link_settings, self._breaker)
        unreadable = self._unreadable = UnreadableLog()
        peers = Peers(self._link, myself, unreadable)
        self._peers = peers
        self._board = Board(self._link, unreadable)
        shelf = Shelf(self._link, peers.id, rules.session_ttl)
        self.shared = Shared(peers, self._board, shelf, unreadable)
        self._directory = Directory(self._link)
        self._committer = Committer(
            self._link,
            node=peers.id,
            history_size=rules.history_size,
            keeps_books=rules.logs.keeps_books,
            form=lambda: peers.form,
            published=lambda *state: self._published.note(*state),  # noqa: PLW0108 - made later
            clock=clock,
        )
        self._subscriber = Subscriber(
            self._link,
            always=(
                peers.channel,
                self._link.keys.demand_channel,
                self._link.keys.board_channel,
                self._link.keys.leader_channel,
            ),
            hear=self._hear,
            connected=self._on_connected,
        )
        self._demand = Demand(
            self._link,
            peers.id,
            living=lambda: peers.living,
            wanted=lambda topic: self._wanted(topic),  # noqa: PLW0108 - it is attached later
            wanted_to_read=lambda topic: self._wanted_to_read(topic),  # noqa: PLW0108 - the same
            unwanted=lambda topic: self._unwanted(topic),  # noqa: PLW0108 - the same
        )
        self._leadership = Leadership(
            self._link, peers.id, gained=self._on_gained, lost=self._on_lost, clock=time.monotonic
        )
        self._follower = Follower(
            self._link,
            self._subscriber,
            history_size=rules.history_size,
            log_of=lambda topic: self._alone.log(topic) or rules.logs.log_of(topic),
            patience=link_settings.timeout,
            show=self._show,
            restore=self._restore,
            is_wanted=lambda topic: topic in self._interests,
            unreadable=unreadable,
            removed=self._on_removed,
            is_diverged=lambda topic: topic in self._alone,
            forgotten=lambda topic: self._alone.forget(topic),  # noqa: PLW0108 - made later
        )
        self._interests = Interests(self._follow, self._on_change)
        self._published = PublishedStates(self._follower, self._restore)
        self._notes = TopicNotes(self._link, peers, self._follower)
        self._alone = Alone(
            peers.id,
            clock=clock,
            log_of=lambda topic: self._follower.mirror.log(topic) or rules.logs.log_of(topic),
            interests=self._interests,
            notice=lambda log: self._notice(log),  # noqa: PLW0108 - attached later
        )
        # What is wanted here, and since when, in milliseconds since 1970.
        self._wanted_since: dict[Topic, float] = {}
        self._work = Work()
        self._heard_at = time.monotonic()
        self._on_return: list[Callable[[], None]] = []
        self._on_outage: Callable[[], None] = lambda: None

    # Coming and going

    async def start(self) -> None:
        """Begin; when Redis can't be reached, without it."""
        self._heard_at = time.monotonic()
        await self._pulse()
        await self.count_topics()
        self._subscriber.start()
        self._work.begin(self._pulses(), "pulse")
        self._work.begin(self._audits(), "audit")
        if self._gained is not None:  # there is a feed to run
            self._leadership.start()

    async def renew(self, url: str) -> None:
        """Log in at Redis with what another address says, from the next connection on.

        Raises:
            SettingError: when Redis refuses it; then nothing has changed.
        """
        await self._link.renew(url)

    async def resign(self) -> None:
        """Run the feed no more, so that another node can."""
        await self._leadership.close()

    async def stop(self) -> None:
        """End: what this node wanted counts no more."""
        await self._leadership.close()
        await self._subscriber.close()  # what is heard begins work
        await self._work.end()
        await self._follower.close()
        await self._demand.close()
        await self._committer.close()
        await self._peers.close()
        if not self._breaker.is_open:
            try:
                await self._peers.leave()
            except EngineAwayError as error:
                logger.debug("Redis can't be told that this node ends: %s", error)
        await self._link.close()

    @property
    def is_away(self) -> bool:
        """Whether Redis is away."""
        return self._breaker.is_open

    @property
    def reached(self) -> bool:
        """Whether Redis has answered a pulse of this node."""
        return bool(self._link.redis)

    @property
    def fence(self) -> int | None:
        """Under which this node runs the feed; None: it doesn't."""
        return self._leadership.fence

    # Publishing

    async def publish(
        self, publications: Sequence[Publication], *, fence: int | None = None
    ) -> list[Position]:
        """Give positions in Redis; while it is away, those of this node alone, or none.

        Raises:
            InvalidInput: when Redis is away, unless this comes from the feed or the rules say so.
            FencedError: when another node runs the feed by now.
            KeyConflictError: when a key was used before for something else; the rest is published.
        """
        reason, unsure = self._breaker.reason, False
        if not self._alone.is_alone:
            try:
                return await self._commit(publications, fence)
            except EngineAwayError as error:
                logger.debug("%d updates are not published in Redis: %s", len(publications), error)
                reason, unsure = str(error), error.unsure
            except FencedError:
                if fence is not None:
                    self._work.begin(self._leadership.fenced(fence), "fenced")
                raise
        if fence is None and not self._rules.local:
            raise _unavailable(reason, unsure=unsure)
        if not self._alone.is_alone:  # it is back already
            return await self._commit(publications, fence)
        return await self._alone.publish(publications, from_feed=fence is not None)

    def _commit(
        self, publications: Sequence[Publication], fence: int | None
    ) -> asyncio.Future[list[Position]]:
        publications = self._alone.mended(publications)
        outcome = self._committer.publish(publications, fence, restored=self._alone.is_first)
        self._alone.note_published(publications)

        def note(outcome: asyncio.Future[list[Position]]) -> None:
            failed = outcome.cancelled() or outcome.exception()
            if isinstance(failed, KeyConflictError):
                self._directory.note(failed.positions)
            elif failed:
                self._alone.note_failed(publications)
            else:
                self._directory.note(outcome.result())

        outcome.add_done_callback(note)
        return outcome

    # Subscribing

    async def prepare(self, topics: Sequence[Topic]) -> None:
        """Follow topics, and read what Redis knows of them."""
        await self._follower.prepare(topics)

    def open(
        self, topics: Sequence[Topic]
    ) -> Sequence[Interest] | asyncio.Future[Sequence[Interest]]:
        """Want topics; those that aren't followed are read first, while Redis is there."""
        if self._follower.has(topics) or self._link.is_away:
            return [self._interests.open(topic) for topic in topics]
        return asyncio.create_task(self._read_and_open(topics), name="open")

    async def _read_and_open(self, topics: Sequence[Topic]) -> Sequence[Interest]:
        await self._follower.prepare(topics)
        return [self._interests.open(topic) for topic in topics]

    def open_now(self, topic: Topic, *, reads: bool = False) -> Interest:
        """Want a topic; what Redis knows of it may come later."""
        return self._interests.open(topic, reads=reads)

    def want(self, topic: Topic) -> Want | None:
        """Return by whom on this node a topic is wanted, None when by nobody."""
        return self._interests.want(topic)

    def _follow(self, topic: Topic) -> TopicLog:
        self._follower.want(topic)
        log = self._follower.mirror.log(topic)
        assert log is not None  # it is followed now
        return log

    def _on_change(self, topic: Topic, want: Want | None) -> None:
        if want is None:
            del self._wanted_since[topic]
            self._follower.release(topic)
            self._demand.release(topic)
            return
        self._wanted_since.setdefault(topic, self._clock() * 1000)
        if want == "read":
            self._demand.want_to_read(topic)
        else:
            self._demand.want(topic)

    async def snapshot(self, topic: Topic) -> Update | None:
        """Give the newest update of a topic, None when there was none."""
        mirror = self._follower.mirror
        if topic in self._alone:
            return self._alone.newest(topic)
        newest: Update | Unreadable | None = mirror.newest(topic)
        known = newest is not None or mirror.position(topic) is None
        if not known or not (topic in mirror or self._alone.is_alone):
            try:
                newest = (await self._follower.ask(topic)).newest
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

    def gone(self, topic: Topic) -> Gone | None:
        """Return, as far as is known here, whether the publisher of what is newest is gone."""
        return self._alone.gone(topic) if topic in self._alone else self._follower.gone.get(topic)

    async def find_gone(self, topic: Topic) -> Gone | None:
        """Return the same also of a topic that isn't followed here."""
        if topic in self._follower.mirror or self._alone.is_alone:
            return self.gone(topic)
        return await self._notes.find_gone(topic)

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note in Redis whose publisher is gone, and tell the other nodes."""
        if self._alone.is_alone:
            await self._alone.abandon(places, reason)
        else:
            await self._notes.abandon(places, reason)

    async def remove(self, topic: Topic) -> bool:
        """Forget a topic in Redis and at all nodes.

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
        """Return what is known of a topic, oldest first."""
        if topic in self._alone:
            return await self._alone.past(topic)
        if topic in self._alone.astray:  # its log has what was published here alone
            return await self._past_in_redis(topic)
        await self._follower.prepare([topic])
        log = self._follower.mirror.log(topic)
        return log.past() if log is not None else []

    async def _refill(self, topic: Topic) -> None:
        """Let the log of a topic have again what Redis kept while this node went on alone."""
        past, log = await self._past_in_redis(topic), self._follower.mirror.log(topic)
        if log is not None:
            log.refill(past)

    async def _past_in_redis(self, topic: Topic) -> Sequence[Update]:
        try:
            found = await self._follower.ask(topic)
        except EngineAwayError as error:
            logger.debug("what was before of %s can't be read: %s", topic, error)
            return []
        past = [one for one in found.history if isinstance(one, Update)]
        if isinstance(found.newest, Update) and found.newest.position not in {
            one.position for one in past[-1:]
        }:
            past.append(found.newest)
        return past

    async def pages(self) -> AsyncIterator[Sequence[Head]]:
        """Tell where every topic stands that has an update; while Redis is away, those wanted."""
        listed = False
        if not self._alone.is_alone:
            try:
                async for page in self._directory.pages():
                    listed = True
                    yield page
            except EngineAwayError as error:
                logger.debug("topics can't be listed: %s", error)
        if listed:
            return  # nothing twice, even where the rest can't be read
        mirror = self._follower.mirror
        known = {
            update.topic: Head(update.topic, update.position, update.server_ms)
            for topic in mirror.topics()
            if (update := mirror.newest(topic)) is not None
        }
        known |= {head.topic: head for head in await self._alone.heads()}
        yield list(known.values())

    async def count_topics(self) -> int:
        """Count the topics in Redis; while it is away, those that were published here meanwhile."""
        if self._alone.is_alone:
            return len(await self._alone.heads())
        try:
            return await self._directory.count()
        except EngineAwayError as error:
            logger.debug("topics can't be counted: %s", error)
            return self._directory.known

    async def unknown(self, topics: Collection[Topic]) -> set[Topic]:
        """Return the topics of which nothing was ever published.

        While Redis is away, those of which nothing was published here meanwhile; when nobody can
        tell, none.
        """
        if self._alone.is_alone:
            return {topic for topic in topics if topic not in self._alone}
        try:
            return await self._directory.unknown(topics)
        except EngineAwayError as error:
            logger.debug("topics can't be looked for: %s", error)
            return set()

    def status(self) -> EngineStatus:
        """Tell whether Redis is there, and hears this node."""
        state, detail = "connected", self._unreadable.trouble
        if self._breaker.is_open:
            state, detail = "away", self._breaker.reason
        elif self._subscriber.trouble is not None:
            state = "deaf"
            detail = f"Redis tells this node nothing: {self._subscriber.trouble}"
        return EngineStatus(
            kind="redis",
            state=state,
            topics=max(len(self._follower.mirror), self._directory.known),
            detail=detail,
        )

    def on_return(self, function: Callable[[], None]) -> None:
        """Call a function when Redis is back: it may have forgotten all."""
        self._on_return.append(function)

    def on_outage(self, function: Callable[[], None]) -> None:
        """Call a function when Redis is found to be away."""
        self._on_outage = function

    @property
    def counting(self) -> Sequence[object]:
        """The parts that count something."""
        return (
            self._link,
            self._breaker,
            self._subscriber,
            self._follower,
            self._follower.mirror,
            self._unreadable,
            self._peers,
        )

    # What Redis tells

    def _hear(self, channel: str, message: bytes) -> None:
        if channel == self._peers.channel:
            self._heard_at = time.monotonic()
            if message != b"pulse":
                self._peers.hear(message)
        elif channel == self._link.keys.demand_channel:
            node = message.decode()
            self._demand.note_change(node)
            if node not in self._peers.living and not self._breaker.is_open:
                # It may read less than the others do: what it is to read is written so at once.
                self._work.begin(self._pulse(), "pulse")
        elif channel == self._link.keys.board_channel:
            if self._board.hear(message):
                self._work.begin(self._board.read(), "board")
        elif channel == self._link.keys.leader_channel:
            self._leadership.note_free()
        else:
            self._follower.hear(channel, message)

    def _on_connected(self) -> None:
        self._heard_at = time.monotonic()
        self._work.begin(self._board.read(), "board")
        self._demand.tell_anew()
        self._follower.read_again()

    def _show(
        self,
        updates: Sequence[Update | Unreadable],
        first: bool,  # noqa: FBT001 - a callback
    ) -> None:
        """Append what is new to the logs; ``first``: nothing was known of the topic before."""
        for update in updates:
            log = self._follower.mirror.log(update.topic)
            if log is None:
                continue
            wanted_since = self._wanted_since.get(update.topic)
            if isinstance(update, Unreadable):
                log.skip(update.position)
                # What couldn't be read before somebody asked matters only while it is the newest.
                if wanted_since is not None and (not first or update is updates[-1]):
                    self._note_unreadable(update.topic, update.position)
                continue
            shown = self._alone.returning(update)
            if shown is None:
                continue
            if shown is not update and update.topic.channel in LOSSLESS:
                self._work.begin(self._refill(update.topic), "refill")
            if wanted_since is None:
                log.append(shown)
                log.settle()
                continue
            if first and shown.server_ms < wanted_since - CLOCKS_MS and is_lossless(shown.data):
                # It couldn't be read before somebody asked, and was before they did.
                shown = msgspec.structs.replace(shown, past=True)
            log.append(shown)
            self._notice(log)

    # Again and again

    async def _pulses(self) -> None:
        while True:
            away = self._breaker.is_open
            await asyncio.sleep(self._breaker.wait() if away else PULSE_SECONDS)
            await self._pulse()
            if time.monotonic() - self._heard_at > DEAF_SECONDS and not self._breaker.is_open:
                self._heard_at = time.monotonic()
                self._subscriber.reconnect("its connection is dead: this node's pulse isn't heard")

    async def _pulse(self) -> None:
        try:
            known = await self._peers.pulse()
        except EngineAwayError as error:
            logger.debug("no pulse: %s", error)
        except Exception:
            logger.exception("a pulse met a fault of ours")
        else:
            if self._breaker.is_open:
                self._return()
            elif not known:
                logger.warning("Redis has forgotten this node, or is another one")
                self._tell_anew()
                self._work.begin(self._catch_up(), "catches up")

    async def _audits(self) -> None:
        while True:
            await asyncio.sleep(AUDIT_SECONDS)
            await self._audit()

    async def _audit(self) -> None:
        try:
            self._unreadable.check()
            await self._follower.audit()
            await self._published.audit()
            await self._directory.count()
        except EngineAwayError as error:
            logger.debug("no audit: %s", error)
        except Exception:
            logger.exception("an audit met a fault of ours")

    # Redis away, and back

    def _go_on_alone(self, reason: str) -> None:
        """Go on without Redis."""
        logger.warning("%s: this node goes on by itself", reason)
        self._alone.begin()
        asyncio.get_running_loop().call_soon(self._on_outage)

    def _return(self) -> None:
        """Go on with Redis: what is newest here becomes the newest there."""
        left = self._alone.end(self._follower.mirror.follows)
        self._leadership.note_away()  # also where it was away for less than a look at the lock
        self._breaker.succeed()
        logger.warning("Redis is back")
        fence = self._leadership.fence
        handed_in = [
            self._hand_in(update, fence if fed else None)
            for update, fed in left
            if fence is not None or not fed  # else somebody else runs the feed by now
        ]
        self._tell_anew()
        self._work.begin(self._catch_up(handed_in), "return")

    def _hand_in(self, update: Update, fence: int | None) -> asyncio.Future[list[Position]]:
        """Publish a state of this node, unless somebody has published a newer one meanwhile."""
        state = Publication(
            update.topic, update.data, update.exchange_ms, update.feed_ms, resumes=True
        )
        outcome = self._committer.publish(
            [state], fence, restored=self._alone.is_first, late=update
        )
        self._alone.note_published([state])

        def note(outcome: asyncio.Future[list[Position]]) -> None:
            if outcome.cancelled() or isinstance(outcome.exception(), EngineAwayError):
                self._alone.keep(update, from_feed=fence is not None)

        outcome.add_done_callback(note)
        return outcome

    async def _restore(self, states: Sequence[Update]) -> None:
        """Publish again what Redis has lost. It was taken once, whoever runs the feed by now."""
        await _settled([self._hand_in(update, None) for update in states])

    async def _catch_up(self, handed_in: Sequence[asyncio.Future[list[Position]]] = ()) -> None:
        """Show what Redis has instead of what this node said."""
        await _settled(handed_in)
        # The subscription may have outlived that, or not: what is missing is read in any case.
        await self._follower.read_all()
        for topic in tuple(self._alone.astray):
            # Redis has nothing newer, but what this node said wasn't taken.
            newest = self._follower.mirror.newest(topic)
            if newest is not None and not is_lossless(newest.data):
                self._show([newest], False)  # noqa: FBT003 - the callback's
        await self._audit()  # it may have lost what it had said before, too
        try:
            await self._published.audit_all()
        except EngineAwayError as error:
            logger.debug("what Redis has lost can't be told now: %s", error)

    def _tell_anew(self) -> None:
        """Tell everything once more that Redis may have forgotten."""
        self._demand.tell_anew()
        self._board.begin()
        for function in self._on_return:
            function()

    # The feed

    async def _on_gained(self, fence: int) -> None:
        self._board.begin()
        await self._demand.follow()
        if self._gained is not None:
            await self._gained(fence)
        self._work.begin(self._pulse(), "pulse")  # others are told at once

    async def _on_lost(self) -> None:
        if self._lost is not None:
            await self._lost()
        await self._demand.unfollow()


def _unavailable(reason: str, *, unsure: bool) -> InvalidInput:
    """Return, in words, why something can't be published, and whether that is sure."""
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


async def _settled(handed_in: Sequence[asyncio.Future[list[Position]]]) -> None:
    """Wait until states were handed in, as far as they can be."""
    if not handed_in:
        return
    done, _ = await asyncio.wait(handed_in)
    errors = [one.exception() for one in done if not one.cancelled()]
    failed = [error for error in errors if error is not None]
    if failed:
        logger.warning("%d states of this node can't be handed in: %s", len(failed), failed[0])
