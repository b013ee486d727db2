"""The engine of many nodes: positions, snapshots, histories and demand in Redis.

What this node wants it mirrors, so that subscribers never wait for Redis. While Redis is away, the
node goes on for its own clients under an epoch of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from bookcast.engine import keys, records
from bookcast.engine.base import Engine, EngineAwayError, EngineStatus, FencedError, Head, Shared
from bookcast.engine.board import Board
from bookcast.engine.breaker import Breaker
from bookcast.engine.committer import Committer
from bookcast.engine.demand import Demand
from bookcast.engine.leadership import Leadership
from bookcast.engine.link import Link, LinkSettings
from bookcast.engine.memory import MemoryEngine
from bookcast.engine.mirror import Known, Mirror
from bookcast.engine.peers import Node, Peers
from bookcast.engine.shelf import Shelf
from bookcast.engine.subscriber import Subscriber
from bookcast.engine.work import Work
from bookcast.errors import InvalidInput
from bookcast.model import Position, Publication, Topic, Update, is_lossless

logger = logging.getLogger(__name__)

PULSE_SECONDS: Final = 1.0
"""How often a node says that it lives, and by that learns whether Redis does."""

DEAF_SECONDS: Final = 3.0
"""A node that hasn't heard its own pulse for so long has lost its subscription."""

AUDIT_SECONDS: Final = 2.0
"""How often what Redis has is compared with what this node knows."""

ARRIVAL_SECONDS: Final = 0.25
"""What Redis has and this node hasn't may be on its way for so long."""

LINGER_SECONDS: Final = 10.0
"""What nobody wants any more is followed for so long."""

RETRY_SECONDS: Final = 1.0
"""After so long a publisher that was refused may try again."""


class RedisRules(msgspec.Struct, frozen=True):
    """What holds for a node. ``local``: what is published while Redis is away goes to its clients.

    ``session_ttl``: seconds that a session waits for its client. ``keeps_books``: books have a
    history too.
    """

    history_size: int = 1000
    keeps_books: bool = False
    local: bool = False
    session_ttl: float = 60.0


class RedisEngine(Engine):
    """Keeps everything in Redis. ``clock`` gives seconds since 1970, ``myself`` what the node is.

    It is made of parts with a duty each: ``committer`` publishes, ``subscriber`` hears, ``mirror``
    knows whether anything is missing, ``breaker`` whether Redis is there.
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
        self._timeout = link_settings.timeout
        self._breaker = Breaker(time.monotonic, random.random, self._go_on_alone)
        self._link = Link(link_settings, self._breaker)
        peers = Peers(self._link, myself)
        self._peers = peers
        self._board = Board(self._link)
        self.shared = Shared(peers, self._board, Shelf(self._link, peers.id, rules.session_ttl))
        self._mirror = Mirror(rules.history_size, keeps_books=rules.keeps_books)
        self._committer = Committer(
            self._link,
            node=peers.id,
            history_size=rules.history_size,
            keeps_books=rules.keeps_books,
            clock=clock,
        )
        self._subscriber = Subscriber(
            self._link,
            always=(
                peers.channel,
                keys.DEMAND_CHANNEL,
                keys.BOARD_CHANNEL,
                keys.LEADER_CHANNEL,
            ),
            hear=self._hear,
            connected=self._on_connected,
        )
        self._demand = Demand(
            self._link,
            peers.id,
            living=lambda: peers.living,
            wanted=lambda topic: self._wanted(topic),  # noqa: PLW0108 - it is attached later
            unwanted=lambda topic: self._unwanted(topic),  # noqa: PLW0108 - the same
        )
        self._leadership = Leadership(
            self._link, peers.id, gained=self._on_gained, lost=self._on_lost, clock=time.monotonic
        )
        # What the hub wants, and since when.
        self._delivering: dict[Topic, float] = {}
        # Followed, though nobody wants them now: since when.
        self._idle: dict[Topic, float] = {}
        self._preparing: dict[Topic, asyncio.Future[None]] = {}
        self._work = Work()
        self._heard_at = time.monotonic()
        # While Redis is away: what is published here, and which topics' clients were shown that.
        self._local: MemoryEngine | None = None
        self._from_feed: set[Topic] = set()
        self._astray: set[Topic] = set()
        # What was published here meanwhile never came to Redis, so the next of it begins anew.
        self._broken: set[Topic] = set()
        self._spoken: set[Topic] = set()
        """Topics that were published since Redis was away last."""
        self._known_topics = 0
        self._on_return: list[Callable[[], None]] = []
        self.repaired = 0
        """How often something was missing, and read again."""

    # Coming and going

    async def start(self) -> None:
        """Begin; when Redis can't be reached, without it."""
        self._heard_at = time.monotonic()
        await self._pulse()
        self._subscriber.start()
        self._work.begin(self._pulses(), "pulse")
        self._work.begin(self._audits(), "audit")
        if self._gained is not None:  # there is a feed to run
            self._leadership.start()

    async def resign(self) -> None:
        """Run the feed no more, so that another node can."""
        await self._leadership.close()

    async def stop(self) -> None:
        """End: what this node wanted counts no more."""
        await self._leadership.close()
        await self._subscriber.close()  # what is heard begins work
        await self._work.end()
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
        """
        if self._local is None:
            try:
                return await self._commit(publications, fence)
            except EngineAwayError as error:
                logger.debug("%d updates are not published in Redis: %s", len(publications), error)
            except FencedError:
                if fence is not None:
                    self._work.begin(self._leadership.fenced(fence), "fenced")
                raise
        return await self._publish_here(publications, fence)

    def _commit(
        self, publications: Sequence[Publication], fence: int | None
    ) -> asyncio.Future[list[Position]]:
        if self._broken:
            publications = [self._begin_anew(one) for one in publications]
        outcome = self._committer.publish(publications, fence, restored=self._is_restored)
        if self._breaker.opened:
            self._spoken.update(one.topic for one in publications)
        return outcome

    def _is_restored(self, topic: Topic) -> bool:
        return bool(self._breaker.opened) and topic not in self._spoken

    def _begin_anew(self, publication: Publication) -> Publication:
        if publication.topic not in self._broken:
            return publication
        self._broken.discard(publication.topic)
        return publication._replace(resumes=True)

    async def _publish_here(
        self, publications: Sequence[Publication], fence: int | None
    ) -> list[Position]:
        if fence is None and not self._rules.local:
            raise InvalidInput(
                "engine_unavailable",
                f"{self._breaker.reason or 'Redis is away'}; nothing was published, as far as is "
                "known",
                retry_after=RETRY_SECONDS,
            )
        local = self._local
        if local is None:  # it is back already
            return await self._commit(publications, fence)
        if fence is not None:
            self._from_feed.update(one.topic for one in publications)
        return await local.publish(publications)

    # Subscribing

    async def prepare(self, topics: Sequence[Topic]) -> None:
        """Follow topics, and read what Redis knows of them."""
        new = [topic for topic in topics if self._mirror.follow(topic)]
        for topic in self._idle.keys() & set(topics):
            self._idle[topic] = time.monotonic()
        loop = asyncio.get_running_loop()
        for topic in new:
            self._preparing[topic] = loop.create_future()
            self._idle[topic] = time.monotonic()
        if new:
            self._work.begin(self._follow(new), "follow")
        waited = [self._preparing[topic] for topic in topics if topic in self._preparing]
        if waited and not self._breaker.is_open:
            await asyncio.wait(waited, timeout=self._timeout)

    async def _follow(self, topics: list[Topic]) -> None:
        try:
            channels = [keys.topic_keys(topic)[2] for topic in topics]
            if not self._breaker.is_open:
                await self._subscriber.subscribe(channels, self._timeout)
                await self._read(topics)
            else:
                await self._subscriber.subscribe(channels, 0)
                for topic in topics:
                    self._mirror.give_up(topic)  # until Redis is back
        finally:
            for topic in topics:
                prepared = self._preparing.pop(topic, None)
                if prepared is not None and not prepared.done():
                    prepared.set_result(None)

    async def snapshot(self, topic: Topic) -> Update | None:
        """Give the newest update of a topic, None when there was none."""
        if self._local is not None:
            here = await self._local.snapshot(topic)
            return here if here is not None else self._mirror.newest(topic)
        if topic in self._mirror:
            return self._mirror.newest(topic)
        try:
            return (await self._ask(topic, None)).newest
        except EngineAwayError as error:
            logger.debug("%s can't be read: %s", topic, error)
            return None

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Give what is known of a topic, oldest first."""
        if self._local is not None and topic in self._local:
            return await self._local.past(topic)
        await self.prepare([topic])
        return self._mirror.past(topic)

    def want(self, topic: Topic) -> None:
        """Deliver what is known at once, and each update from now on."""
        self._delivering[topic] = self._clock() * 1000
        self._idle.pop(topic, None)
        if topic not in self._mirror:
            self._work.begin(self.prepare([topic]), "prepare")
        if self._local is not None:
            self._local.want(topic)
        if self._local is None or topic not in self._local:
            for update in self._mirror.past(topic):
                self._deliver(update)
        self._demand.want(topic)

    def release(self, topic: Topic) -> None:
        """Deliver this topic no more."""
        self._delivering.pop(topic, None)
        self._astray.discard(topic)
        self._idle[topic] = time.monotonic()
        if self._local is not None:
            self._local.release(topic)
        self._demand.release(topic)

    async def heads(self) -> Sequence[Head]:
        """Tell where every topic stands that has an update; while Redis is away, those wanted."""
        if self._local is None:
            try:
                found = await self._directory()
            except EngineAwayError as error:
                logger.debug("topics can't be listed: %s", error)
            else:
                self._known_topics = len(found)
                return found
        known = {
            update.topic: Head(update.topic, update.position, update.server_ms)
            for topic in self._mirror.topics()
            if (update := self._mirror.newest(topic)) is not None
        }
        if self._local is not None:
            known |= {head.topic: head for head in await self._local.heads()}
        return list(known.values())

    async def _directory(self) -> list[Head]:
        answers = await asyncio.gather(
            *(
                self._link.call(
                    "directory", [keys.directory_key(shard)], [keys.topic_prefix(shard)]
                )
                for shard in range(records.SHARDS)
            )
        )
        heads = []
        for answer in answers:
            for at in range(0, len(answer), 4):
                name, epoch, seq, server_ms = (one.decode() for one in answer[at : at + 4])
                position = Position(epoch, int(seq))
                heads.append(Head(records.topic_of(name), position, float(server_ms)))
        return heads

    def status(self) -> EngineStatus:
        """Tell whether Redis is there, and hears this node."""
        detail = self._breaker.reason or None
        if detail is None and self._subscriber.trouble is not None:
            detail = f"Redis tells this node nothing: {self._subscriber.trouble}"
        return EngineStatus(
            kind="redis",
            state="away" if self._breaker.is_open else "connected" if detail is None else "deaf",
            topics=max(len(self._mirror), self._known_topics),
            detail=detail,
        )

    def on_return(self, function: Callable[[], None]) -> None:
        """Call a function when Redis is back: it may have forgotten all."""
        self._on_return.append(function)

    def numbers(self) -> dict[str, float]:
        """Give what there is to count, by name."""
        return {
            "calls": self._link.calls,
            "failures": self._link.failures,
            "connections": self._link.connections,
            "away": float(self._breaker.is_open),
            "outages": self._breaker.opened,
            "subscriptions_lost": self._subscriber.lost,
            "repaired": self.repaired,
            "topics_followed": len(self._mirror),
        }

    # What Redis tells

    def _hear(self, channel: str, message: bytes) -> None:
        if channel == self._peers.channel:
            self._heard_at = time.monotonic()
            if message != b"pulse":
                self._peers.hear(message)
        elif channel == keys.DEMAND_CHANNEL:
            self._demand.note_change(message.decode())
        elif channel == keys.BOARD_CHANNEL:
            if self._board.hear(message):
                self._work.begin(self._board.read(), "board")
        elif channel == keys.LEADER_CHANNEL:
            self._leadership.note_free()
        else:
            run = records.read_run(message)
            news, missing = self._mirror.hear(run.topic, run.updates())
            self._deliver_all(news)
            if missing:
                self._repair([run.topic], "a message is missing")

    def _on_connected(self) -> None:
        self._heard_at = time.monotonic()
        self._work.begin(self._board.read(), "board")
        self._demand.tell_anew()
        # What was said before is lost.
        self._repair(
            [topic for topic in self._mirror.topics() if self._mirror.must_read(topic)], None
        )

    def _repair(self, topics: list[Topic], why: str | None) -> None:
        if not topics:
            return
        if why is not None:
            self.repaired += len(topics)
            logger.info("%s: %d topics are read again", why, len(topics))
        self._work.begin(self._read(topics), "repair")

    async def _read(self, topics: Sequence[Topic]) -> None:
        """Read topics that the mirror waits for, until nothing is missing."""
        await asyncio.gather(*(self._read_one(topic) for topic in topics))

    async def _read_one(self, topic: Topic) -> None:
        missing = True
        while missing:
            place = self._mirror.position(topic)
            try:
                found = await self._ask(topic, place)
            except EngineAwayError as error:
                logger.debug("%s can't be read: %s", topic, error)
                self._mirror.give_up(topic)  # until Redis is back
                return
            except Exception:
                self._mirror.give_up(topic)  # what comes next may be readable
                raise
            news, missing = self._mirror.read(topic, found)
            if place is None and topic in self._delivering:
                news = [self._as_past(update) for update in news]
            self._deliver_all(news)

    def _as_past(self, update: Update) -> Update:
        """Mark what was before anybody here asked, where it couldn't be read before they did."""
        before = update.server_ms < self._delivering[update.topic]
        if not before or not is_lossless(update.data):
            return update
        return msgspec.structs.replace(update, past=True)

    async def _ask(self, topic: Topic, after: Position | None) -> Known:
        state, history, _ = keys.topic_keys(topic)
        found = await self._link.call(
            "read",
            [state, history],
            [after.epoch if after else "", after.seq if after else 0, self._rules.history_size],
        )
        if not found:
            return Known(None)
        epoch = found[0].decode()
        newest = records.decode(topic, Position(epoch, int(found[1])), found[2])
        past = [
            records.decode(topic, Position(epoch, int(seq)), text)
            for seq, text in zip(found[3::2], found[4::2], strict=True)
        ]
        return Known(newest, past)

    def _deliver_all(self, updates: Sequence[Update]) -> None:
        for update in updates:
            topic = update.topic
            if topic not in self._delivering:
                continue
            if topic in self._astray:
                if self._local is not None:
                    continue  # its clients are shown what this node says
                self._astray.discard(topic)
                update = msgspec.structs.replace(update, restored=True)  # noqa: PLW2901
            self._deliver(update)

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
                logger.warning("Redis has forgotten this node")
                self._tell_anew()

    async def _audits(self) -> None:
        """Compare what Redis has with what this node knows, and let go of what nobody wants."""
        while True:
            await asyncio.sleep(AUDIT_SECONDS)
            try:
                await self._let_go()
                await self._audit()
            except EngineAwayError as error:
                logger.debug("no audit: %s", error)
            except Exception:
                logger.exception("an audit met a fault of ours")

    async def _audit(self) -> None:
        if self._breaker.is_open:
            return
        behind = await self._behind(self._mirror.topics())
        if not behind:
            return
        # Most of it is on its way.
        await asyncio.sleep(ARRIVAL_SECONDS)
        missing = [
            topic
            for topic, head in behind.items()
            if _is_past(head, self._mirror.position(topic)) and self._mirror.must_read(topic)
        ]
        self._repair(missing, "Redis has what this node was never told")

    async def _behind(self, topics: Iterable[Topic]) -> dict[Topic, Position]:
        """Give the topics of which Redis has more than this node knows, and where they stand."""
        shards: dict[int, list[Topic]] = {}
        for topic in topics:
            shards.setdefault(records.shard_of(topic), []).append(topic)
        answers = await asyncio.gather(
            *(
                self._link.call("heads", [keys.topic_keys(topic)[0] for topic in of_shard])
                for of_shard in shards.values()
            )
        )
        behind = {}
        for of_shard, answer in zip(shards.values(), answers, strict=True):
            for topic, epoch, seq in zip(of_shard, answer[::2], answer[1::2], strict=True):
                if not epoch:
                    continue
                head = Position(epoch.decode(), int(seq))
                if _is_past(head, self._mirror.position(topic)):
                    behind[topic] = head
        return behind

    async def _let_go(self) -> None:
        now = time.monotonic()
        idle = [
            topic
            for topic, since in self._idle.items()
            if now - since > LINGER_SECONDS and topic not in self._delivering
        ]
        for topic in idle:
            del self._idle[topic]
            self._mirror.forget(topic)
        if idle:
            await self._subscriber.unsubscribe([keys.topic_keys(topic)[2] for topic in idle])

    # Redis away, and back

    def _go_on_alone(self, reason: str) -> None:
        """Go on without Redis."""
        logger.warning("%s: this node goes on by itself", reason)
        name = f"local-{self._peers.id}-{self._breaker.opened}"
        self._spoken.clear()
        local = self._local = MemoryEngine(
            epoch=name, clock=self._clock, history_size=self._rules.history_size
        )
        local.attach(
            deliver=self._deliver_here, wanted=lambda _topic: None, unwanted=lambda _topic: None
        )
        for topic in self._delivering:
            local.want(topic)

    def _deliver_here(self, update: Update) -> None:
        self._astray.add(update.topic)
        self._deliver(update)

    def _return(self) -> None:
        """Go on with Redis: what is newest here becomes the newest there."""
        local, self._local = self._local, None
        self._breaker.succeed()
        logger.warning("Redis is back")
        handed_in = self._hand_in(local) if local is not None else []
        self._tell_anew()
        self._work.begin(self._catch_up(handed_in), "return")

    async def _catch_up(self, handed_in: Sequence[asyncio.Future[list[Position]]]) -> None:
        """Show what Redis has instead of what this node said."""
        if handed_in:
            await asyncio.wait(handed_in)
        # The subscription may have outlived that, or not: what is missing is read in any case.
        await self._read([one for one in self._mirror.topics() if self._mirror.must_read(one)])
        for topic in tuple(self._astray):
            # Redis has nothing newer, but what this node said wasn't taken.
            newest = self._mirror.newest(topic)
            if newest is not None and not is_lossless(newest.data):
                self._deliver_all([newest])

    def _tell_anew(self) -> None:
        """Tell everything once more that Redis may have forgotten."""
        self._demand.tell_anew()
        self._board.begin()
        for function in self._on_return:
            function()

    def _hand_in(self, local: MemoryEngine) -> list[asyncio.Future[list[Position]]]:
        """Publish the newest states of this node, before anything newer is."""
        from_feed, self._from_feed = self._from_feed, set()
        states: dict[bool, list[Publication]] = {True: [], False: []}
        for update in local.newest():
            topic, data = update.topic, update.data
            if is_lossless(data):
                self._broken.add(topic)  # these are not told twice
                continue
            state = Publication(topic, data, update.exchange_ms, update.feed_ms, resumes=True)
            states[topic in from_feed].append(state)
        if self._leadership.fence is None:
            del states[True]  # somebody else runs the feed by now
        outcomes = []
        for fed, chosen in states.items():
            if chosen:
                outcomes.append(self._commit(chosen, self._leadership.fence if fed else None))
                outcomes[-1].add_done_callback(_note_handed_in)
        return outcomes

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


def _note_handed_in(outcome: asyncio.Future[list[Position]]) -> None:
    if not outcome.cancelled() and (error := outcome.exception()) is not None:
        logger.warning("what was published on this node alone stays there: %s", error)


def _is_past(head: Position, place: Position | None) -> bool:
    return place is None or head.epoch != place.epoch or head.seq > place.seq
