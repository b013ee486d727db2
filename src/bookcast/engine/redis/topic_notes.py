"""Notes beside topics in Redis: that a topic's publisher is gone, or that it was removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from bookcast.backplane.keys import KEEP_SECONDS
from bookcast.backplane.link import Link
from bookcast.backplane.names import name_of, shard_of, topics_of
from bookcast.cluster.members.base import Members
from bookcast.engine.redis.heads import read_heads
from bookcast.engine.redis.log_sync import LogSync
from bookcast.errors import EngineAwayError
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, PublisherGone

logger = logging.getLogger(__name__)


TOGETHER: Final = 1000
"""So many topics are noted in one step. Live updates get a turn after each step."""


class TopicNotes:
    """Writes the notes, and asks all nodes to read them.

    A node that can't be asked sees a note in its next audit.
    """

    def __init__(self, link: Link, members: Members, log_sync: LogSync) -> None:
        self._link = link
        self._members = members
        self._log_sync = log_sync
        members.handlers["look"] = self._answer_look

    async def find_gone(self, topic: Topic) -> PublisherGone | None:
        """Return Redis's note that the publisher of the newest update is gone, or None."""
        try:
            head, note = (await read_heads(self._link, [topic]))[topic]
        except EngineAwayError:
            return None
        return PublisherGone(head, note) if head is not None and note else None

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note that the publisher of these positions is gone, where no update came after them."""
        topics = list(places)
        for at in range(0, len(topics), TOGETHER):
            some = topics[at : at + TOGETHER]
            if not await self._abandon(some, places, reason):
                return
            await self._ask_all_to_look(some)

    async def _abandon(
        self, topics: Sequence[Topic], places: Mapping[Topic, Position], reason: str
    ) -> bool:
        shards: dict[int, list[Topic]] = {}
        for topic in topics:
            shards.setdefault(shard_of(topic), []).append(topic)
        try:
            await asyncio.gather(
                *(self._note_gone(of_shard, places, reason) for of_shard in shards.values())
            )
        except EngineAwayError as error:
            logger.debug("can't note in Redis that a publisher is gone: %s", error)
            return False
        return True

    async def remove(self, topic: Topic) -> bool:
        """Remove a topic. Return False when there was none.

        Raises:
            EngineAwayError: when Redis is away.
        """
        state, history, _ = self._link.keys.topic(topic)
        known = await self._link.call(
            "remove",
            [state, history, self._link.keys.directory(shard_of(topic))],
            [name_of(topic), KEEP_SECONDS],
            again=True,
        )
        await self._ask_all_to_look([topic])
        return bool(known)

    async def _note_gone(
        self, topics: Sequence[Topic], places: Mapping[Topic, Position], reason: str
    ) -> None:
        places_of = [part for one in topics for part in (places[one].epoch, places[one].seq)]
        states = [self._link.keys.topic(topic).state for topic in topics]
        await self._link.call("abandon", states, [reason, *places_of])

    async def _ask_all_to_look(self, topics: Sequence[Topic]) -> None:
        names = "\n".join(map(name_of, topics)).encode()
        others = [node for node in self._members.living if node != self._members.id]
        await asyncio.gather(
            self._answer_look(names), *(self._members.tell(node, "look", names) for node in others)
        )

    async def _answer_look(self, names: bytes) -> bytes:
        try:
            await self._log_sync.look(topics_of(names.split(b"\n")))
        except EngineAwayError as error:
            logger.debug("notes of topics can't be read: %s", error)
        return b""
