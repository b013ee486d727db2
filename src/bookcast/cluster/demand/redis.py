"""The demand of all nodes in Redis. Each node writes its own; the leader reads that of all."""

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
"""Prefix of the names of topics that only reads want. Older releases take such a name for one of
an unknown channel, and ignore it."""


class DemandTimes(Times, frozen=True, kw_only=True):
    """The intervals of demand, in seconds.

    ``look``: how often the leader reads the demand of all nodes. A node that dies doesn't announce
    that its demand has ended.
    """

    look: float = 2.0


class RedisDemand(Demand):
    """Writes this node's demand, and follows that of all nodes.

    Args:
        plane: the node's parts of the backplane.
        members: the nodes; the demand of a node counts while it lives.
        times: the intervals.
        living: this node's demand expires after so many seconds without a pulse.
    """

    def __init__(
        self, plane: Backplane, members: Members, times: DemandTimes, *, living: float
    ) -> None:
        self._link = plane.link
        self._members = members
        self._node = members.id
        self._living_ms = milliseconds(living)
        # The topics that this node wants, and whether only reads want them.
        self._mine: dict[Topic, bool] = {}
        # Names of topics to write to Redis, and whether they are wanted.
        self._changes: dict[str, bool] = {}
        self._replaces_all = True
        self._telling = Coalescer(self._write_demand, "writing demand")
        self._following = Periodic(self._look, times.look, "demand")
        self._listener: Listener | None = None
        # Nodes that have announced changes lately.
        self._heard: set[str] = set()
        self.all: set[Topic] = set()
        """The topics that the listener has as wanted."""
        self.read: set[Topic] = set()
        """Those of them that only reads want."""
        plane.subscriber.listen(plane.link.keys.demand_channel, self._hear)

    def want(self, topic: Topic) -> None:
        """Note that subscribers of this node want a topic from now on."""
        self._set(topic, reads=False)

    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want a topic on this node from now on."""
        self._set(topic, reads=True)

    def release(self, topic: Topic) -> None:
        """Note that nothing on this node wants a topic any more."""
        self._set(topic, reads=None)

    def tell_anew(self) -> None:
        """Write this node's whole demand again: Redis may have lost it."""
        self._replaces_all = True
        self._telling.request()

    async def follow(self, listener: Listener) -> None:
        """Notify a listener of the demand of all nodes.

        When this returns, the listener has the present demand.
        """
        if self._listener is None:
            self._listener = listener
            await self._look()
            self._following.start()

    async def unfollow(self) -> None:
        """Release all topics at the listener, and stop notifying it."""
        listener, self._listener = self._listener, None
        await self._following.close()
        if listener is not None:
            for topic in self.all:
                listener.release(topic)
        self.all.clear()
        self.read.clear()

    async def close(self) -> None:
        """Stop. This node's demand expires in Redis when its pulse has ended."""
        await self._following.close()
        await self._telling.close()

    def _hear(self, message: bytes) -> None:
        """Note that a node's demand has changed. The node may be new."""
        node = message.decode()
        self._heard.add(node)
        if self._listener is not None:
            self._following.trigger()
        if node not in self._members.living:
            # A new node may be of an older release. A pulse now finds the format that it reads.
            self._members.announce()

    # This node's demand

    def _set(self, topic: Topic, *, reads: bool | None) -> None:
        """Store what wants a topic: subscribers (False), only ``reads`` (True), nothing (None)."""
        before = self._mine.pop(topic, None)
        if reads is not None:
            self._mine[topic] = reads
        name = name_of(topic)
        if before is not True or reads is False:
            self._changes[name] = reads is False
        if before is True or reads is True:
            self._changes[READ + name] = reads is True
        if self._listener is not None:
            # The feed runs on this node: it needn't wait for Redis.
            if reads is False or (reads and topic not in self.all):
                self._add(self._listener, topic, reads=reads)
            else:
                self._following.trigger()
        self._telling.request()

    async def _write_demand(self) -> None:
        anew, self._replaces_all = self._replaces_all, False
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
                vital=True,  # a failure opens the breaker; when Redis is back, all is written again
            )
        except EngineAwayError:
            self._replaces_all = True  # all is written again when Redis is back

    # The demand of all nodes

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
            # Redis is away: keep the last known demand of other nodes.
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
