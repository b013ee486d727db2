"""What the nodes of this process want together; mostly there is a single one."""

from __future__ import annotations

from bookcast.cluster.demand.base import Demand, Listener
from bookcast.model.topics import Topic


class SharedDemand:
    """What each node wants, and who follows that."""

    def __init__(self) -> None:
        self._nodes: set[MemoryDemand] = set()

    def join(self, node: MemoryDemand) -> None:
        """Count a node's demand."""
        self._nodes.add(node)

    def leave(self, node: MemoryDemand) -> None:
        """Count what a node wants no more, as when it is dead."""
        if node in self._nodes:
            self._nodes.remove(node)
            for topic in node.mine:
                self.note_change(topic)

    def topics(self) -> set[Topic]:
        """Return all that is wanted."""
        return {topic for node in self._nodes for topic in node.mine}

    def is_read(self, topic: Topic) -> bool | None:
        """Return whether reads alone want a topic; None: nobody wants it."""
        found = [node.mine[topic] for node in self._nodes if topic in node.mine]
        return all(found) if found else None

    def note_change(self, topic: Topic) -> None:
        """Notify whoever follows that somebody wants a topic differently."""
        for node in tuple(self._nodes):
            node.hear(topic)


class MemoryDemand(Demand):
    """The demand of a node. ``shared``: with the others; None where there are none."""

    def __init__(self, shared: SharedDemand | None = None) -> None:
        self._shared = shared or SharedDemand()
        self._shared.join(self)
        self._listener: Listener | None = None
        # What the listener was told is wanted, and whether by reads alone.
        self._told: dict[Topic, bool] = {}
        self.mine: dict[Topic, bool] = {}
        """What this node wants, and whether reads alone do."""

    def want(self, topic: Topic) -> None:
        """Somebody on this node subscribes to a topic."""
        self._set(topic, is_read=False)

    def want_to_read(self, topic: Topic) -> None:
        """Reads alone want a topic on this node."""
        self._set(topic, is_read=True)

    def release(self, topic: Topic) -> None:
        """Nobody on this node wants a topic any more."""
        if self.mine.pop(topic, None) is not None:
            self._shared.note_change(topic)

    async def follow(self, listener: Listener) -> None:
        """Notify a listener of what all want, at once."""
        if self._listener is None:
            self._listener = listener
            for topic in self._shared.topics():
                self.hear(topic)

    async def unfollow(self) -> None:
        """Notify the listener no more."""
        listener, self._listener = self._listener, None
        told, self._told = self._told, {}
        if listener is not None:
            for topic in told:
                listener.release(topic)

    async def close(self) -> None:
        """Want nothing any more, and hear nothing."""
        self._listener = None
        self._told.clear()
        self._shared.leave(self)

    def hear(self, topic: Topic) -> None:
        """Notify the listener of a topic, where that is news."""
        if self._listener is None:
            return
        is_read = self._shared.is_read(topic)
        if is_read is None:
            if self._told.pop(topic, None) is not None:
                self._listener.release(topic)
        elif self._told.get(topic) is not is_read:
            self._told[topic] = is_read
            if is_read:
                self._listener.want_to_read(topic)
            else:
                self._listener.want(topic)

    def _set(self, topic: Topic, *, is_read: bool) -> None:
        self.mine[topic] = is_read
        self._shared.note_change(topic)
