"""What a node does while Redis is away: it goes on for its own clients, and hands in states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from bookcast.engine.base import Deliver, Head
from bookcast.engine.memory import MemoryEngine
from bookcast.model import Gone, Position, Publication, Topic, Update, is_lossless


class Alone:
    """Publishes for this node's clients, under an epoch of its own for each outage.

    It knows as well what that means afterwards: which topics' clients were shown what nobody else
    was, and whose next publication doesn't continue what Redis has.

    Args:
        node: this process.
        history_size: so many updates are kept where every one counts.
        clock: seconds since 1970.
        deliver: takes updates for this node's clients.
    """

    def __init__(
        self, node: str, *, history_size: int, clock: Callable[[], float], deliver: Deliver
    ) -> None:
        self._node = node
        self._history_size = history_size
        self._clock = clock
        self._deliver = deliver
        self._engine: MemoryEngine | None = None
        self._from_feed: set[Topic] = set()
        # Topics whose clients were shown what this node said.
        self._astray: set[Topic] = set()
        # What was published here never came to Redis: the next of it begins anew there.
        self._broken: set[Topic] = set()
        # Topics that were published in Redis since the last outage.
        self._spoken: set[Topic] = set()
        # What couldn't be handed in: it has its turn after the next outage.
        self._kept: dict[Topic, tuple[Update, bool]] = {}
        self._outages = 0

    @property
    def is_alone(self) -> bool:
        """Whether Redis is away."""
        return self._engine is not None

    @property
    def astray(self) -> set[Topic]:
        """The topics whose clients were shown what this node said, and nothing newer since."""
        return self._astray

    def __contains__(self, topic: Topic) -> bool:
        """Tell whether something was published here in this outage."""
        return self._engine is not None and topic in self._engine

    def begin(self, wanted: Iterable[Topic]) -> None:
        """Redis is away from now on."""
        self._outages += 1
        self._spoken.clear()
        engine = self._engine = MemoryEngine(
            epoch=f"local-{self._node}-{self._outages}",
            clock=self._clock,
            history_size=self._history_size,
        )
        engine.attach(
            deliver=self._deliver_here, wanted=lambda _topic: None, unwanted=lambda _topic: None
        )
        for topic in wanted:
            engine.want(topic)

    def end(self) -> list[tuple[Update, bool]]:
        """Redis is back: give the newest states, which are to be published there before others.

        Each with whether it came from the feed.
        """
        engine, self._engine = self._engine, None
        from_feed, self._from_feed = self._from_feed, set()
        left, self._kept = self._kept, {}
        for update in engine.newest() if engine is not None else ():
            if is_lossless(update.data):
                self._broken.add(update.topic)  # these are not told twice
            else:
                left[update.topic] = update, update.topic in from_feed
        return list(left.values())

    def keep(self, update: Update, *, from_feed: bool) -> None:
        """Take back a state that couldn't be handed in, for the end of the next outage."""
        self._kept.setdefault(update.topic, (update, from_feed))

    # Meanwhile

    async def publish(
        self, publications: Sequence[Publication], *, from_feed: bool
    ) -> list[Position]:
        """Publish for this node's clients."""
        assert self._engine is not None
        if from_feed:
            self._from_feed.update(one.topic for one in publications)
        return await self._engine.publish(publications)

    def want(self, topic: Topic) -> None:
        """Deliver a topic, beginning with what was published here."""
        if self._engine is not None:
            self._engine.want(topic)

    def release(self, topic: Topic) -> None:
        """Deliver it no more."""
        self._astray.discard(topic)
        if self._engine is not None:
            self._engine.release(topic)

    async def past(self, topic: Topic) -> Sequence[Update]:
        """Give what was published here of a topic, oldest first."""
        return await self._engine.past(topic) if self._engine is not None else ()

    def gone(self, topic: Topic) -> Gone | None:
        """Return whether the publisher of what is newest here is gone."""
        return self._engine.gone(topic) if self._engine is not None else None

    async def abandon(self, places: Mapping[Topic, Position], reason: str) -> None:
        """Note whose publisher is gone."""
        if self._engine is not None:
            await self._engine.abandon(places, reason)

    async def heads(self) -> Sequence[Head]:
        """Tell where topics stand of which something was published here."""
        return await self._engine.heads() if self._engine is not None else ()

    # Afterwards

    def returning(self, update: Update) -> Update | None:
        """Give an update of Redis as clients here may be shown it; None: they may not be now."""
        if update.topic not in self._astray:
            return update
        if self._engine is not None:
            return None  # they are shown what this node says
        self._astray.discard(update.topic)
        return msgspec.structs.replace(update, restored=True)

    def mended(self, publications: Sequence[Publication]) -> Sequence[Publication]:
        """Mark where a topic begins anew in Redis."""
        if not self._broken:
            return publications
        return [self._begin_anew(one) for one in publications]

    def is_first(self, topic: Topic) -> bool:
        """Tell whether a topic wasn't published in Redis since the last outage."""
        return bool(self._outages) and topic not in self._spoken

    def note_published(self, publications: Sequence[Publication]) -> None:
        """Note what was published in Redis."""
        for one in publications if self._kept else ():
            self._kept.pop(one.topic, None)
        if self._outages:
            self._spoken.update(one.topic for one in publications)

    def note_failed(self, publications: Sequence[Publication]) -> None:
        """Note what couldn't be published in Redis: what was to begin anew has still to."""
        self._broken.update(one.topic for one in publications if one.resumes)

    def _begin_anew(self, publication: Publication) -> Publication:
        if publication.topic not in self._broken:
            return publication
        self._broken.discard(publication.topic)
        return publication._replace(resumes=True)

    def _deliver_here(self, update: Update) -> None:
        self._astray.add(update.topic)
        self._deliver(update)
