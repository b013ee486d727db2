"""Follows topics in Redis: keeps their logs in step with it, and repairs what pub/sub lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final

from bookcast.background import BackgroundTasks
from bookcast.backplane.link import Link
from bookcast.backplane.names import topics_of
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.engine.redis import records
from bookcast.engine.redis.gap_detector import GapDetector, KnownTopic, is_news
from bookcast.engine.redis.heads import read_heads
from bookcast.engine.redis.records import Unreadable
from bookcast.engine.redis.times import EngineTimes
from bookcast.errors import EngineAwayError
from bookcast.model.market_data import LOSSLESS, is_lossless
from bookcast.model.topic_log import TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, PublisherGone, Update
from bookcast.observability.counter import counter

logger = logging.getLogger(__name__)

REMOVED: Final = "removed"
"""Redis's note beside a removed topic."""

TOGETHER: Final = 200
"""So many states are published again in one step. Live updates get a turn after each step."""

_Places = Mapping[Topic, Position | None]


class LogSync:
    """Follows topics by pub/sub, and finds what it lost by comparing positions with Redis.

    Args:
        link: calls scripts in Redis.
        subscriber: receives the messages of channels.
        history_size: so many updates of a history are read.
        log_of: returns or makes the log of a topic.
        patience: seconds that a caller waits for a topic to be read.
        show: called with new updates, oldest first, and whether they are the topic's first here.
        restore: publishes states again that Redis has lost.
        is_wanted: returns whether a topic is wanted now.
        unreadable: counts what other nodes wrote and this one can't read.
        removed: called when a topic was removed.
        is_diverged: returns whether a topic's log has this node's own updates now, instead of
            Redis's.
        forgotten: called when a topic isn't followed any more.
        times: the intervals.
    """

    repaired = counter(
        "bookcast_engine_repaired",
        "How often something that Redis told was missing, and read again",
    )
    given_back = counter(
        "bookcast_engine_given_back", "States that Redis had lost, and was told again"
    )

    def __init__(
        self,
        link: Link,
        subscriber: Subscriber,
        *,
        history_size: int,
        log_of: Callable[[Topic], TopicLog],
        patience: float,
        show: Callable[[Sequence[Update | Unreadable], bool], None],
        restore: Callable[[Sequence[Update]], Awaitable[None]],
        is_wanted: Callable[[Topic], bool],
        unreadable: UnreadableLog,
        removed: Callable[[Topic], None] = lambda _topic: None,
        is_diverged: Callable[[Topic], bool] = lambda _topic: False,
        forgotten: Callable[[Topic], None] = lambda _topic: None,
        times: EngineTimes | None = None,
    ) -> None:
        self._times = times or EngineTimes()
        self._link = link
        self._subscriber = subscriber
        self._history_size = history_size
        self._patience = patience
        self._show = show
        self._restore = restore
        self._is_wanted = is_wanted
        self._unreadable = unreadable
        self._removed = removed
        self._is_diverged = is_diverged
        self._forgotten = forgotten
        self._work = BackgroundTasks()
        self._is_restoring = False
        # Topics that are followed though nothing wants them, and since when.
        self._idle: dict[Topic, float] = {}
        self._preparing: dict[Topic, asyncio.Future[None]] = {}
        self.gone: dict[Topic, PublisherGone] = {}
        """Topics whose publisher is gone, as far as this node knows."""
        self.gap_detector = GapDetector(history_size, log_of)
        """Tracks which updates this node has."""

    async def close(self) -> None:
        """Cancel reads that are under way."""
        await self._work.end()

    def has(self, topics: Iterable[Topic]) -> bool:
        """Return whether all topics are followed, and none of them is still being read first."""
        return all(
            self.gap_detector.follows(topic) and topic not in self._preparing for topic in topics
        )

    async def prepare(self, topics: Sequence[Topic]) -> None:
        """Follow topics, and wait until they are read, for ``patience`` at most."""
        now = time.monotonic()
        for topic in self._idle.keys() & set(topics):
            self._idle[topic] = now
        self._follow_new(topics)
        waited = [self._preparing[topic] for topic in topics if topic in self._preparing]
        if waited and not self._link.is_away:
            await asyncio.wait(waited, timeout=self._patience)

    def want(self, topic: Topic) -> None:
        """Follow a topic that is wanted from now on."""
        self._follow_new([topic])
        self._idle.pop(topic, None)

    def _follow_new(self, topics: Iterable[Topic]) -> None:
        """Begin to follow those topics that aren't followed yet."""
        new = [topic for topic in topics if self.gap_detector.follow(topic)]
        now, loop = time.monotonic(), asyncio.get_running_loop()
        for topic in new:
            self._preparing[topic] = loop.create_future()
            self._idle[topic] = now
        if new:
            self._work.begin(self._follow(new), "follow")

    def release(self, topic: Topic) -> None:
        """Note that a topic isn't wanted any more: it is followed for ``linger`` from now on."""
        self._idle[topic] = time.monotonic()

    async def ask(self, topic: Topic, after: Position | None = None) -> KnownTopic:
        """Return a topic's newest update in Redis, and its history after a position.

        Raises:
            EngineAwayError: when Redis can't be asked.
        """
        state, history, _ = self._link.keys.topic(topic)
        found = await self._link.call(
            "read",
            [state, history],
            [after.epoch if after else "", after.seq if after else 0, self._history_size],
        )
        if not found:
            return KnownTopic(None)
        epoch = found[0].decode()
        newest = records.read(topic, Position(epoch, int(found[1])), found[2])
        past = [
            records.read(topic, Position(epoch, int(seq)), text)
            for seq, text in zip(found[3::2], found[4::2], strict=True)
        ]
        return KnownTopic(newest, past)

    def hear(self, channel: str, message: bytes) -> None:
        """Process a message of a topic's channel. If it can't be decoded, the topic is read."""
        try:
            run = records.read_run(message)
        except ValueError as error:
            self._hear_unreadable(channel, error)
            return
        if self._is_diverged(run.topic):
            return  # it will be read from its last position when Redis is back
        news, missing = self.gap_detector.hear(run.topic, run.updates())
        self._show(news, False)  # noqa: FBT003 - not the first
        if missing:
            self._repair([run.topic], "a message is missing, can't be read, or begins an epoch")

    def _hear_unreadable(self, channel: str, error: ValueError) -> None:
        name = self._link.keys.topic_of(channel)
        self._unreadable.note(f"a message of {name or channel}", error)
        topics = topics_of([name.encode()])
        self._repair(
            [one for one in topics if self.gap_detector.must_read(one)], "a message is no run"
        )

    def read_again(self) -> None:
        """Read all topics in the background: messages may have been lost."""
        self._work.begin(self.read_all(), "read")

    async def read_all(self) -> None:
        """Read all topics except those that are being read already."""
        await self._read(
            [one for one in self.gap_detector.topics() if self.gap_detector.must_read(one)]
        )

    async def audit(self) -> None:
        """Compare positions with Redis, repair gaps, and drop topics that nothing wants.

        Raises:
            EngineAwayError: when Redis can't be asked.
        """
        await self._drop_unwanted()
        places = {topic: self.gap_detector.position(topic) for topic in self.gap_detector.topics()}
        heads = await self.look(places)
        self._restore_lost_later(heads, places)
        behind = [
            topic
            for topic, head in heads.items()
            if head is not None and is_news(head, self.gap_detector.position(topic))
        ]
        if not behind:
            return
        # Most of the missing updates are still on their way.
        await asyncio.sleep(self._times.arrival)
        missing = [
            topic
            for topic in behind
            if (head := heads[topic]) is not None
            and is_news(head, self.gap_detector.position(topic))
            and self.gap_detector.must_read(topic)
        ]
        self._repair(missing, "Redis has updates that this node never received")

    # States that Redis has lost

    def _restore_lost_later(self, heads: _Places, places: _Places) -> None:
        lost = self._lost(heads, places)
        if lost and not self._is_restoring:
            logger.warning(
                "Redis has lost the states of %d topics: they are published again", len(lost)
            )
            self._is_restoring = True
            self._work.begin(self._restore_lost(lost), "restoring lost states")

    def _lost(self, heads: _Places, places: _Places) -> list[Topic]:
        """Return the topics whose state Redis has lost: its position is before this node's.

        Events aren't published again; their next publication begins a new epoch. Nor is a forming
        candle, where Redis has an older position of it: it would replace the candles before it.
        """
        return [
            topic
            for topic, head in heads.items()
            if (place := places[topic]) is not None
            and (head is None or (place.is_past(head) and topic.channel not in LOSSLESS))
            and topic in self.gap_detector
            and (newest := self.gap_detector.newest(topic)) is not None
            and not is_lossless(newest.data)
        ]

    async def _restore_lost(self, topics: list[Topic]) -> None:
        """Publish lost states again, in random order, since other nodes do the same."""
        random.shuffle(topics)
        try:
            for at in range(0, len(topics), TOGETHER):
                some = topics[at : at + TOGETHER]
                places = {topic: self.gap_detector.position(topic) for topic in some}
                lost = self._lost(await self.look(some), places)
                states = [
                    one for topic in lost if (one := self.gap_detector.newest(topic)) is not None
                ]
                self.given_back += len(states)
                await self._restore(states)
        except EngineAwayError as error:
            logger.debug("lost states can't be published again now: %s", error)
        finally:
            self._is_restoring = False

    # Reading

    async def _follow(self, topics: list[Topic]) -> None:
        try:
            channels = [self._link.keys.topic(topic).channel for topic in topics]
            if not self._link.is_away:
                await self._subscriber.subscribe(channels, self._patience)
                await self._read(topics)
            else:
                await self._subscriber.subscribe(channels, 0)
                for topic in topics:
                    self.gap_detector.give_up(topic)  # until Redis is back
        finally:
            for topic in topics:
                prepared = self._preparing.pop(topic, None)
                if prepared is not None and not prepared.done():
                    prepared.set_result(None)

    def _repair(self, topics: list[Topic], why: str) -> None:
        if topics:
            self.repaired += len(topics)
            logger.debug("%s: %d topics are read again", why, len(topics))
            self._work.begin(self._read(topics), "repair")

    async def _read(self, topics: Sequence[Topic]) -> None:
        """Read topics that the gap detector waits for, until they have no gap."""
        await asyncio.gather(*(self._read_one(topic) for topic in topics))

    async def _read_one(self, topic: Topic) -> None:
        missing = True
        while missing:
            place = self.gap_detector.position(topic)
            try:
                found = await self.ask(topic, place)
            except EngineAwayError as error:
                logger.debug("%s can't be read: %s", topic, error)
                self.gap_detector.give_up(topic)  # until Redis is back
                return
            except Exception:
                self.gap_detector.give_up(topic)  # the next update may be readable
                raise
            news, missing = self.gap_detector.read(topic, found)
            for one in news:
                if isinstance(one, Unreadable):
                    self._unreadable.note(f"{topic}, seq {one.position.seq}", one.why)
            self._show(news, place is None)

    async def look(self, topics: Iterable[Topic]) -> _Places:
        """Read the positions of topics and act on Redis's notes beside them.

        Returns:
            The position of each topic; None where Redis has none.

        Raises:
            EngineAwayError: when Redis can't be asked.
        """
        heads = await read_heads(self._link, topics)
        for topic, (head, note) in heads.items():
            if head is None and note == REMOVED:
                self.gone.pop(topic, None)
                self.gap_detector.remove(topic)
                self._removed(topic)
            elif head is not None and note and self.gap_detector.follows(topic):
                self.gone[topic] = PublisherGone(head, note)
            else:
                self.gone.pop(topic, None)
        return {topic: head for topic, (head, _) in heads.items()}

    async def _drop_unwanted(self) -> None:
        now = time.monotonic()
        idle = [
            topic
            for topic, since in self._idle.items()
            if now - since > self._times.linger and not self._is_wanted(topic)
        ]
        for topic in idle:
            del self._idle[topic]
            self.gone.pop(topic, None)
            self.gap_detector.forget(topic)
            self._forgotten(topic)
        if idle:
            await self._subscriber.unsubscribe(
                [self._link.keys.topic(topic).channel for topic in idle]
            )
