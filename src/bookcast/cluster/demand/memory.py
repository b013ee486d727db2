"""The demand of the nodes of one process. Usually that is one node."""

from __future__ import annotations

from bookcast.cluster.demand.base import Demand, Listener
from bookcast.model.topics import Topic


class SharedDemand:
    """The demand of each node of a process."""

    def __init__(self) -> None:
        self._nodes: set[MemoryDemand] = set()

    def join(self, node: MemoryDemand) -> None:
        """Include a node's demand."""
        self._nodes.add(node)

    def leave(self, node: MemoryDemand) -> None:
        """Exclude a node's demand, as if the node were dead."""
        if node in self._nodes:
            self._nodes.remove(node)
            for topic in node.mine:
                self.note_change(topic)

    def topics(self) -> set[Topic]:
        """Return all wanted topics."""
        return {topic for node in self._nodes for topic in node.mine}

    def is_read(self, topic: Topic) -> bool | None:
        """Return whether only reads want a topic; None: nothing wants it."""
        found = [node.mine[topic] for node in self._nodes if topic in node.mine]
        return all(found) if found else None

    def note_change(self, topic: Topic) -> None:
        """Make all nodes check a topic whose demand may have changed."""
        for node in tuple(self._nodes):
            node.hear(topic)


class MemoryDemand(Demand):
    """The demand of a node. ``shared``: the demand of all nodes; None for a single node."""

    def __init__(self, shared: SharedDemand | None = None) -> None:
        self._shared = shared or SharedDemand()
        self._shared.join(self)
        self._listener: Listener | None = None
        # The topics that the listener has as wanted, and whether by reads alone.
        self._notified: dict[Topic, bool] = {}
        self.mine: dict[Topic, bool] = {}
        """The topics that this node wants, and whether only reads want them."""

    def want(self, topic: Topic) -> None:
        """Note that subscribers of this node want a topic from now on."""
        self._set(topic, is_read=False)

    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want a topic on this node from now on."""
        self._set(topic, is_read=True)

    def release(self, topic: Topic) -> None:
        """Note that nothing on this node wants a topic any more."""
        if self.mine.pop(topic, None) is not None:
            self._shared.note_change(topic)

    async def follow(self, listener: Listener) -> None:
        """Notify a listener of the demand of all nodes, at once and from now on."""
        if self._listener is None:
            self._listener = listener
            for topic in self._shared.topics():
                self.hear(topic)

    async def unfollow(self) -> None:
        """Release all topics at the listener, and stop notifying it."""
        listener, self._listener = self._listener, None
        notified, self._notified = self._notified, {}
        if listener is not None:
            for topic in notified:
                listener.release(topic)

    async def close(self) -> None:
        """End this node's demand, and stop following that of others."""
        self._listener = None
        self._notified.clear()
        self._shared.leave(self)

    def hear(self, topic: Topic) -> None:
        """Notify the listener if a topic's demand has changed."""
        if self._listener is None:
            return
        is_read = self._shared.is_read(topic)
        if is_read is None:
            if self._notified.pop(topic, None) is not None:
                self._listener.release(topic)
        elif self._notified.get(topic) is not is_read:
            self._notified[topic] = is_read
            if is_read:
                self._listener.want_to_read(topic)
            else:
                self._listener.want(topic)

    def _set(self, topic: Topic, *, is_read: bool) -> None:
        self.mine[topic] = is_read
        self._shared.note_change(topic)
