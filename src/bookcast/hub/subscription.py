"""One client's subscription to one topic: what it has been shown of it, in numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from operator import add, sub
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from bookcast.model import Position, Topic
from bookcast.model.cursor import Cursor

if TYPE_CHECKING:
    from bookcast.hub.view import View


class Outbox(Protocol):
    """What the hub needs of a connection's outgoing queue.

    ``append`` puts a frame into the queue for the next :meth:`flush`; ``write`` sends at once; both
    return None. While ``writable`` is False nothing is sent. ``shown`` is the hub's: what this
    client subscribed to. ``may_see`` returns whether it has the right to a topic.
    """

    writable: bool
    write: Callable[[bytes], None]
    append: Callable[[bytes], None]
    shown: dict[Topic, Subscription]
    may_see: Callable[[Topic], bool]

    def put(self, frame: bytes) -> None:
        """Append a frame; a queue that grows long is flushed at once."""

    def flush(self) -> None:
        """Write all frames in one go."""


class Tally(NamedTuple):
    """Updates of a topic: how many came, and what became of them.

    ``unchanged``: they changed nothing that a view shows. What is missing in the sum was conflated.
    """

    received: int = 0
    sent: int = 0
    gapped: int = 0
    unchanged: int = 0

    def __add__(self, other: Tally) -> Tally:  # type: ignore[override] # sums, not a longer tuple
        return Tally(*map(add, self, other))

    def __sub__(self, other: Tally) -> Tally:
        return Tally(*map(sub, self, other))


class Subscription:
    """Counts for one client what its view counts for all, leaving out the times it was held.

    Attributes:
        told: what the client heard last of how the topic stands; ``refused``: of why a feed can't
            get it.
        history: so many updates from before it began are still owed to it.
        left: how far it was when it came back, while less is known here of the topic, or nothing.
        waits_until: how long it waits for more then, in the hub's seconds.
        began: what it was shown first, where it is to be shown every update.
        whole: it begins with a whole state, even where it has the newest.
    """

    __slots__ = (
        "_begun",
        "_mark",
        "_total",
        "began",
        "history",
        "left",
        "outbox",
        "refused",
        "told",
        "topic",
        "view",
        "waits_until",
        "whole",
    )

    def __init__(self, outbox: Outbox, topic: Topic, view: View) -> None:
        self.outbox = outbox
        self.topic = topic
        self.view = view
        self.told: tuple[object, ...] | None = None
        self.refused: str | None = None
        self.history = 0
        self.left: Cursor | None = None
        self.waits_until = math.inf
        self.began: Cursor | None = None
        self.whole = False
        self._begun = False
        self._total = _NOTHING
        self._mark = view.tally()

    def tally(self, *, held: bool) -> Tally:
        """Return the counts so far. What comes while a client is held isn't counted as sent yet."""
        since = self.view.tally() - self._mark
        return self._total + (since._replace(sent=0, gapped=0, unchanged=0) if held else since)

    def hold(self) -> None:
        """Note that from now on the view's frames don't go to this client."""
        self._total = self.tally(held=False)
        self._mark = self.view.tally()

    def catch_up(self, *, sent: int, gapped: int) -> None:
        """Note what a client got that had been held; for a newcomer, that had come before."""
        if self._begun:
            self._total = self.tally(held=True) + Tally(sent=sent, gapped=gapped)
        else:
            self._total = _beginning(sent, gapped)
            self._begun = True
        self._mark = self.view.tally()

    def no_earlier(self, last: Cursor | None) -> Cursor | None:
        """Return the place that a client surely has, or the one before what it was shown first."""
        began = self.began
        if began is None:
            return last
        if last is not None and (
            last.position.epoch != began.position.epoch or last.position.seq >= began.position.seq
        ):
            return last
        return Cursor(Position(began.position.epoch, began.position.seq - 1))

    def note_past(self, count: int) -> None:
        """Note that it was shown what had been before it began."""
        self._total += Tally(received=count, sent=count)


_NOTHING: Final = Tally()


@lru_cache  # thousands of clients begin with the same
def _beginning(sent: int, gapped: int) -> Tally:
    return Tally(received=sent + gapped, sent=sent, gapped=gapped)
