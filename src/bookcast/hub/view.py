"""One way of showing one topic: each step is encoded, framed and compressed once for all.

A step takes the clients of a view from what they were shown last to something newer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from bookcast.hub.status import Status
from bookcast.hub.subscription import Outbox, Subscription, Tally
from bookcast.model import Position, Symbol, Topic, Update
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap

MAX_CATCH_UPS: Final = 64
"""So many places that clients were left at share what brings them up to date."""


class ViewSpec(NamedTuple):
    """How a client wants a topic. Clients with equal specs share every frame.

    Attributes:
        flavour: the protocol spoken, ``base`` or ``v1``.
        spelling: the symbol as the client wrote it.
        depth: levels of a book on each side, None for all.
        delta: changes of a book, instead of whole ones.
        interval_ms: at most one message in so many milliseconds; 0 sends all.
        deflate: compressed, above a size.
        every: every update, within a bound, where others would get the newest.
        private: for one client alone; 0 shares it.
    """

    flavour: str
    spelling: str
    depth: int | None = None
    delta: bool = False
    interval_ms: int = 0
    deflate: bool = False
    every: bool = False
    private: int = 0


class Shown(NamedTuple):
    """Finished frames, the place they lead to, and how many updates they show or say are lost.

    ``gap``: what they say is lost.
    """

    frames: bytes
    cursor: Cursor | None
    updates: int
    gapped: int = 0
    gap: Gap | None = None


class Renderer(Protocol):
    """Makes finished frames. An empty one means that there is nothing to say in this view."""

    def updates(
        self,
        spec: ViewSpec,
        before: Cursor | None,
        updates: Sequence[Update],
        *,
        unchanged_too: bool = False,
    ) -> Shown:
        """Return the frames that show updates to clients who stand at ``before``.

        An update that changes nothing in the view is left out, unless ``unchanged_too``.
        """

    def gap(self, spec: ViewSpec, topic: Topic, gap: Gap) -> bytes:
        """Return the frame that announces lost updates."""

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        """Return the frame with the status of a topic."""

    def refusal(
        self, spec: ViewSpec, topic: Topic, reason: str, did_you_mean: Sequence[Symbol]
    ) -> bytes:
        """Return the frame that refuses a topic, with the reason that the feed was given."""


class View:
    """The subscribers of one spec, and where they stand (``cursor``): what they were shown last.

    ``ready`` holds those who can take data; ``held`` those who can't, with what they were shown
    last; ``ahead`` those of them who came back with more than is known here. ``shown_at`` is when
    it showed something last, ``due`` when a view with an interval may show something again,
    ``pending`` that it will. Times are the hub's seconds.
    """

    __slots__ = (
        "_appends",
        "_catch_ups",
        "_outboxes",
        "_tally",
        "_writes",
        "ahead",
        "cursor",
        "due",
        "gapped",
        "held",
        "newly_held",
        "pending",
        "ready",
        "received",
        "sent",
        "shown_at",
        "spec",
        "unchanged",
        "unreadable_until",
        "unshown",
    )

    def __init__(self, spec: ViewSpec, cursor: Cursor | None) -> None:
        self.spec = spec
        self.cursor = cursor
        self.ready: dict[Subscription, None] = {}
        self.held: dict[Subscription, Cursor | None] = {}
        self.ahead: set[Subscription] = set()
        self.newly_held = 0
        """Of them, those for whom nothing has come since."""
        self.due = self.shown_at = 0.0
        self.unreadable_until = 0.0
        """Until then its clients aren't told again that something can't be read."""
        self.pending = False
        self.unshown = 0
        """Updates that came since the view showed something, in a view with an interval."""
        self.received = 0
        self.sent = 0
        self.gapped = 0
        self.unchanged = 0
        self._tally = Tally()
        # Frames from a place that some client was left at to where the view stands.
        self._catch_ups: dict[Position | None, Shown] = {}
        self._writes: tuple[Callable[[bytes], None], ...] | None = None
        self._appends: tuple[Callable[[bytes], None], ...] | None = None
        self._outboxes: tuple[Outbox, ...] | None = None

    def advance(self, shown: Shown, now: float) -> None:
        """Take note that the ready clients are shown something newer."""
        if shown.frames:
            self.shown_at = now
        if shown.cursor is not self.cursor:
            self.cursor = shown.cursor
            self._catch_ups.clear()
        self.sent += shown.updates
        self.gapped += shown.gapped

    def forget(self) -> None:
        """Show everybody what comes next as if they had been shown nothing."""
        self.cursor = None
        self.pending = False
        self.unshown = 0
        self._catch_ups.clear()
        self.held = dict.fromkeys(self.held)

    def tally(self) -> Tally:
        """Return the counts of updates since the view began; the same object until one comes."""
        tally = Tally(self.received, self.sent, self.gapped, self.unchanged)
        if tally != self._tally:
            self._tally = tally
        return self._tally

    @property
    def newest(self) -> Update:
        """The update that its clients were shown last; something was."""
        assert self.cursor is not None
        assert self.cursor.base is not None  # a view stands only where it has shown something
        return self.cursor.base

    def catch_up_from(self, last: Cursor | None, render: Callable[[Update], Shown]) -> Shown:
        """Return what takes a client from ``last`` to where the view is, rendered once for all."""
        if self.cursor is None or self.cursor is last:
            return Shown(b"", self.cursor, 0)
        key = None if last is None else last.position
        shown = self._catch_ups.get(key)
        if shown is None:
            if len(self._catch_ups) >= MAX_CATCH_UPS:
                self._catch_ups.clear()
            shown = self._catch_ups[key] = render(self.newest)
        return shown

    def hold(self, subscription: Subscription, last: Cursor | None) -> None:
        """Show nothing more to a client, who was shown ``last``."""
        if self.ready.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.held[subscription] = last
        self.newly_held += 1

    def let_go(self, subscription: Subscription) -> Cursor | None:
        """Make a held client ready again. Return where it was held."""
        last = self.held.pop(subscription)
        self.ahead.discard(subscription)
        self.ready[subscription] = None
        self._forget_tuples()
        return last

    def leave(self, subscription: Subscription) -> None:
        """Forget a client."""
        if self.ready.pop(subscription, subscription) is None:
            self._forget_tuples()
        self.held.pop(subscription, None)
        self.ahead.discard(subscription)

    # The ready clients' outboxes, and bound methods of theirs: kept for as long as nobody comes or
    # goes, so that the flush runs through them without a line of bytecode in between.

    def outboxes(self) -> tuple[Outbox, ...]:
        """Return the outboxes of the clients that are ready."""
        if self._outboxes is None:
            self._outboxes = tuple(subscription.outbox for subscription in self.ready)
        return self._outboxes

    def writes(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the methods that write to them at once."""
        if self._writes is None:
            self._writes = tuple(outbox.write for outbox in self.outboxes())
        return self._writes

    def appends(self) -> tuple[Callable[[bytes], None], ...]:
        """Return the methods that append to what their next flush writes."""
        if self._appends is None:
            self._appends = tuple(outbox.append for outbox in self.outboxes())
        return self._appends

    def _forget_tuples(self) -> None:
        self._writes = self._appends = self._outboxes = None
