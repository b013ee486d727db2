"""What all nodes want together: told by each, heard by the one that runs the feed."""

from __future__ import annotations

import logging
from typing import Final

from bookcast.background import Coalescer, Periodic
from bookcast.backplane.base import Backplane
from bookcast.backplane.names import name_of, topics_of
from bookcast.cluster.demand.base import Demand, Listener
from bookcast.cluster.members.base import Members
from bookcast.errors import EngineAwayError
from bookcast.model.topics import Topic
from bookcast.timing import Times, milliseconds

logger = logging.getLogger(__name__)

READ: Final = "read-"
"""Begins the names of topics that reads alone want. Releases that don't know it take what follows
for a channel of a later one, and pass it over."""


class DemandTimes(Times, frozen=True, kw_only=True):
    """Of what nodes want, in seconds.

    ``look``: how often it is looked whether what other nodes want has changed unsaid, as when one
    died.
    """

    look: float = 2.0


class RedisDemand(Demand):
    """Tells what this node wants, and follows what all want.

    Args:
        plane: the way to Redis.
        members: the nodes; what others want counts while they live.
        times: how often changes are looked for.
        living: seconds after which what this node wants is forgotten, unless its pulse goes on.
    """

    def __init__(
        self, plane: Backplane, members: Members, times: DemandTimes, *, living: float
    ) -> None:
        self._link = plane.link
        self._members = members
        self._node = members.id
        self._living_ms = milliseconds(living)
        # What this node wants, and whether reads alone do.
        self._mine: dict[Topic, bool] = {}
        # Names that are to be told, and whether they are wanted.
        self._changes: dict[str, bool] = {}
        self._anew = True
        self._telling = Coalescer(self._tell, "tells demand")
        self._following = Periodic(self._look, times.look, "demand")
        self._listener: Listener | None = None
        # Who has said something lately.
        self._heard: set[str] = set()
        self.all: set[Topic] = set()
        """What the listener was told is wanted."""
        self.read: set[Topic] = set()
        """What of it reads alone want."""
        plane.subscriber.listen(plane.link.keys.demand_channel, self._hear)

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
        """Write everything once more: Redis may have forgotten it."""
        self._anew = True
        self._telling.request()

    async def follow(self, listener: Listener) -> None:
        """Notify a listener of what all nodes want; returns when it has been told once."""
        if self._listener is None:
            self._listener = listener
            await self._look()
            self._following.start()

    async def unfollow(self) -> None:
        """Notify the listener no more; it begins anew with the next time."""
        listener, self._listener = self._listener, None
        await self._following.close()
        if listener is not None:
            for topic in self.all:
                listener.release(topic)
        self.all.clear()
        self.read.clear()

    async def close(self) -> None:
        """End. Redis forgets what this node wanted when it has said nothing for a while."""
        await self._following.close()
        await self._telling.close()

    def _hear(self, message: bytes) -> None:
        """Take note that a node wants something else than before; it may be a new one."""
        node = message.decode()
        self._heard.add(node)
        if self._listener is not None:
            self._following.trigger()
        if node not in self._members.living:
            # It may read less than the others do: what it is to read is written so at once.
            self._members.announce()

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
        if self._listener is not None:
            # The feed is here: it needn't hear of it by way of Redis.
            if reads is False or (reads and topic not in self.all):
                self._add(self._listener, topic, reads=reads)
            else:
                self._following.trigger()
        self._telling.request()

    async def _tell(self) -> None:
        anew, self._anew = self._anew, False
        changes, self._changes = self._changes, {}
        if anew:
            changes = {
                (READ if reads else "") + name_of(topic): True
                for topic, reads in self._mine.items()
            }
        elif not changes:
            return
        words = [f"{'+' if wanted else '-'}{name}" for name, wanted in changes.items()]
        try:
            await self._link.call(
                "want",
                [self._link.keys.demand(self._node)],
                [
                    self._node,
                    self._living_ms,
                    self._link.keys.demand_channel,
                    "=" if anew else "",
                    *words,
                ],
                vital=True,  # or nobody would tell it anew
            )
        except EngineAwayError:
            self._anew = True  # it is told anew when Redis is back

    # What all want

    async def _look(self) -> None:
        listener = self._listener
        if listener is None:
            return
        heard, self._heard = self._heard, set()
        nodes = {*self._members.living, *heard} - {self._node}
        others = [self._link.keys.demand(node) for node in nodes]
        try:
            names = await self._link.call("wanted", others) if others else []
        except EngineAwayError:
            # What others wanted last is as good a guess as any.
            for topic, reads in self._mine.items():
                if topic not in self.all or not reads:
                    self._add(listener, topic, reads=reads)
            return
        prefix = READ.encode()
        wanted = {*topics_of(one for one in names if not one.startswith(prefix))}
        wanted.update(topic for topic, reads in self._mine.items() if not reads)
        read = {*topics_of(one.removeprefix(prefix) for one in names if one.startswith(prefix))}
        read.update(topic for topic, reads in self._mine.items() if reads)
        read -= wanted
        for topic in wanted - (self.all - self.read):
            self._add(listener, topic, reads=False)
        for topic in read - self.read:
            self._add(listener, topic, reads=True)
        for topic in self.all - wanted - read:
            self.all.discard(topic)
            self.read.discard(topic)
            listener.release(topic)

    def _add(self, listener: Listener, topic: Topic, *, reads: bool) -> None:
        if topic in self.all and (topic in self.read) == reads:
            return
        self.all.add(topic)
        if reads:
            self.read.add(topic)
            listener.want_to_read(topic)
        else:
            self.read.discard(topic)
            listener.want(topic)
