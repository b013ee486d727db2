"""What all nodes want together: told by each, heard by the one that runs the feed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from bookcast.engine.base import EngineAwayError
from bookcast.engine.link import Link
from bookcast.engine.peers import LIVING_MS
from bookcast.engine.records import name_of, topics_of
from bookcast.model import Topic

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""How often it is looked whether what other nodes want has changed unsaid, as when one died."""


class Demand:
    """Tells what this node wants, and follows what all want.

    Args:
        link: the way to Redis.
        node: this process.
        living: names the nodes that live.
        wanted: called when some node begins to want a topic that none wanted before.
        unwanted: called when none does any more.
    """

    def __init__(
        self,
        link: Link,
        node: str,
        *,
        living: Callable[[], Iterable[str]],
        wanted: Callable[[Topic], None],
        unwanted: Callable[[Topic], None],
    ) -> None:
        self._link = link
        self._node = node
        self._living = living
        self._wanted = wanted
        self._unwanted = unwanted
        self._mine: dict[Topic, None] = {}
        self._changes: dict[Topic, bool] = {}
        self._anew = True
        self._telling: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        # Who has said something lately.
        self._heard: set[str] = set()
        self.all: set[Topic] = set()
        """What the feed was told is wanted."""

    def want(self, topic: Topic) -> None:
        """Somebody on this node wants a topic."""
        self._mine[topic] = None
        self._note(topic, wanted=True)

    def release(self, topic: Topic) -> None:
        """Nobody on this node wants it any more."""
        self._mine.pop(topic, None)
        self._note(topic, wanted=False)

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

    async def close(self) -> None:
        """End."""
        for task in (self._following, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    # What this node wants

    def _note(self, topic: Topic, *, wanted: bool) -> None:
        self._changes[topic] = wanted
        if self._following is not None:
            # The feed is here: it needn't hear of it by way of Redis.
            if wanted:
                self._add(topic)
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
                    changes = dict.fromkeys(self._mine, True)
                words = [f"{'+' if one else '-'}{name_of(topic)}" for topic, one in changes.items()]
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
            for topic in self._mine:
                self._add(topic)
            return
        wanted = {*topics_of(names), *self._mine}
        for topic in wanted - self.all:
            self._add(topic)
        for topic in self.all - wanted:
            self.all.discard(topic)
            self._unwanted(topic)

    def _add(self, topic: Topic) -> None:
        if topic not in self.all:
            self.all.add(topic)
            self._wanted(topic)
