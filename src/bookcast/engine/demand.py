"""What all nodes want together: told by each, heard by the one that runs the feed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from bookcast.backplane.link import Link
from bookcast.backplane.names import name_of, topics_of
from bookcast.engine.peers import LIVING_MS
from bookcast.errors import EngineAwayError
from bookcast.model import Topic

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How often it is looked whether what other nodes want has changed unsaid, as when one died."""

READ: Final = "read-"
"""Begins the names of topics that reads alone want. Releases that don't know it take what follows
for a channel of a later one, and pass it over."""


class Demand:
    """Tells what this node wants, and follows what all want.

    Args:
        link: the way to Redis.
        node: this process.
        living: names the nodes that live.
        wanted: called when some node begins to want a topic that none wanted before, unless reads
            alone did.
        wanted_to_read: called when reads alone want a topic from now on.
        unwanted: called when none does any more.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        living: Callable[[], Iterable[str]],
        wanted: Callable[[Topic], None],
        wanted_to_read: Callable[[Topic], None],
        unwanted: Callable[[Topic], None],
    ) -> None:
        self._link = link
        self._node = node
        self._living = living
        self._wanted = wanted
        self._wanted_to_read = wanted_to_read
        self._unwanted = unwanted
        # What this node wants, and whether reads alone do.
        self._mine: dict[Topic, bool] = {}
        # Names that are to be told, and whether they are wanted.
        self._changes: dict[str, bool] = {}
        self._anew = True
        self._telling: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        # Who has said something lately.
        self._heard: set[str] = set()
        self.all: set[Topic] = set()
        """What the feed was told is wanted."""
        self.read: set[Topic] = set()
        """What of it reads alone want."""

    def want(self, topic: Topic) -> None:
        """Somebody on this node wants a topic."""
        self._set(topic, reads=False)

    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want a topic on this node."""
        self._set(topic, reads=True)

    def release(self, topic: Topic) -> None:
        """Nobody on this node wants it any more."""
        self._set(topic, reads=None)

    def tell_anew(self) -> None:
        """Tell everything once more: Redis may have forgotten it."""
        self._anew = True
        self._tell_soon()

    def note_change(self, node: str) -> None:
        """Take note that a node wants something else than before; it may be a new one."""
        self._heard.add(node)
        self._changed.set()

    async def follow(self) -> None:
        """From now on tell the feed what all nodes want; returns when it has been told once."""
        if self._following is None:
            await self._look()
            self._following = asyncio.create_task(self._follow(), name="demand")

    async def unfollow(self) -> None:
        """Tell the feed no more; it begins anew with the next time."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
        for topic in self.all:
            self._unwanted(topic)
        self.all.clear()
        self.read.clear()

    async def close(self) -> None:
        """End."""
        for task in (self._following, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    # What this node wants

    def _set(self, topic: Topic, *, reads: bool | None) -> None:
        """Take note of who wants a topic: somebody, ``reads`` alone, or nobody (None)."""
        before = self._mine.pop(topic, None)
        if reads is not None:
            self._mine[topic] = reads
        name = name_of(topic)
        if before is not True or reads is False:
            self._changes[name] = reads is False
        if before is True or reads is True:
            self._changes[READ + name] = reads is True
        if self._following is not None:
            # The feed is here: it needn't hear of it by way of Redis.
            if reads is False or (reads and topic not in self.all):
                self._add(topic, reads=reads)
            else:
                self._changed.set()
        self._tell_soon()

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell(), name="tells demand")

    async def _tell(self) -> None:
        try:
            while self._anew or self._changes:
                anew, self._anew = self._anew, False
                changes, self._changes = self._changes, {}
                if anew:
                    changes = {
                        (READ if reads else "") + name_of(topic): True
                        for topic, reads in self._mine.items()
                    }
                words = [f"{'+' if wanted else '-'}{name}" for name, wanted in changes.items()]
                try:
                    await self._link.call(
                        "want",
                        [self._link.keys.demand(self._node)],
                        [
                            self._node,
                            LIVING_MS,
                            self._link.keys.demand_channel,
                            "=" if anew else "",
                            *words,
                        ],
                        vital=True,  # or nobody would tell it anew
                    )
                except EngineAwayError:
                    self._anew = True
                    return  # it is told anew when Redis is back
        finally:
            self._telling = None

    # What all want

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._look()
            except Exception:
                logger.exception("demand met a fault of ours")
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _look(self) -> None:
        heard, self._heard = self._heard, set()
        nodes = {*self._living(), *heard} - {self._node}
        others = [self._link.keys.demand(node) for node in nodes]
        try:
            names = await self._link.call("wanted", others) if others else []
        except EngineAwayError:
            # What others wanted last is as good a guess as any.
            for topic, reads in self._mine.items():
                if topic not in self.all or not reads:
                    self._add(topic, reads=reads)
            return
        prefix = READ.encode()
        wanted = {*topics_of(one for one in names if not one.startswith(prefix))}
        wanted.update(topic for topic, reads in self._mine.items() if not reads)
        read = {*topics_of(one.removeprefix(prefix) for one in names if one.startswith(prefix))}
        read.update(topic for topic, reads in self._mine.items() if reads)
        read -= wanted
        for topic in wanted - (self.all - self.read):
            self._add(topic, reads=False)
        for topic in read - self.read:
            self._add(topic, reads=True)
        for topic in self.all - wanted - read:
            self.all.discard(topic)
            self.read.discard(topic)
            self._unwanted(topic)

    def _add(self, topic: Topic, *, reads: bool) -> None:
        if topic in self.all and (topic in self.read) == reads:
            return
        self.all.add(topic)
        if reads:
            self.read.add(topic)
            self._wanted_to_read(topic)
        else:
            self.read.discard(topic)
            self._wanted(topic)
