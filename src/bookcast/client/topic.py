"""One topic: what is known of it, how the server says that it stands, and who wants it."""

from __future__ import annotations

import asyncio
from functools import reduce
from typing import Any, Final, Literal, NamedTuple, Protocol

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError
from bookcast.client.gaps import Gap
from bookcast.client.newest import Newest
from bookcast.client.tape import Batch, Tape
from bookcast.client.view import View, is_same, levels, union
from bookcast.model.topics import Channel, Period
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

SubscriptionState = Literal[
    "connecting",
    "pending",
    "syncing",
    "live",
    "stale",
    "halted",
    "closed",
    "feed_down",
    "refused",
]
"""``connecting``: the line is down; ``syncing``: the newest isn't proven; ``refused``: nothing
comes. The rest is the server's word."""


class Name(NamedTuple):
    """What names a topic, in every message about it."""

    channel: Channel
    symbol: str
    period: Period | None = None
    variant: str | None = None

    @classmethod
    def of(cls, message: Any) -> Name:
        """Return the topic that a message is about."""
        period, variant = getattr(message, "period", None), getattr(message, "variant", None)
        return cls(message.channel, message.symbol, period or None, variant or None)


class Watcher(Protocol):
    """What a topic needs of a subscription."""

    view: View
    position: Position | None
    waits_for_history: bool
    value: Any

    def show(self, value: Any, position: Position) -> None:
        """Show a newer state."""

    def take(self, batch: Batch) -> None:
        """Take trades or a candle."""

    def miss(self, gap: Gap) -> None:
        """Note that something won't come."""

    def refuse(self, error: BookcastClientError) -> None:
        """Note that it is refused."""

    def accept(self, history: int) -> None:
        """Note that it is accepted, with so much history."""

    def state_may_have_changed(self) -> None:
        """Notify listeners if the state has changed."""


class Asker(Protocol):
    """What a topic needs of the wire."""

    clock: Clock

    @property
    def clock_offset(self) -> float:
        """How much later the server's clock is than this side's."""

    def line_state(self) -> tuple[SubscriptionState, str | None] | None:
        """Return how all subscriptions stand while the session isn't up."""

    def wanted_differs(self, topic: Topic) -> None:
        """Send soon how a topic is wanted."""

    def ask_again(self, topic: Topic) -> None:
        """Ask for the whole state, or for what came after a position."""

    def note(self, text: str, name: Name) -> None:
        """Log what was decided."""


FIRST_PAUSE: Final = 2_000.0
LONGEST_PAUSE: Final = 60_000.0
"""The pause before a state is asked for again doubles, from the first to the longest."""


class Topic:
    """What a client has of a topic, on behalf of all its subscriptions.

    Attributes:
        asked: what the server was asked for last, as far as that holds on this connection.
        is_up: the server has answered on this connection: what comes belongs to what was asked.
        turn: the number of the question that was answered last.
        not_before: the server is left alone until then.
        history: the most history that the server has sent.
        refusal: why the server refuses it.
        updated_at: when its newest update came, in milliseconds since 1970 of this side's clock.
        narrowing: the timer after which its view narrows.
    """

    def __init__(self, name: Name, wire: Asker) -> None:
        self.name = name
        self.wire = wire
        self.data: Newest | Tape = (
            Tape(are_trades=name.channel == "trades")
            if name.channel in ("trades", "candles")
            else Newest()
        )
        self.subscriptions: list[Watcher] = []
        self.asked: View | None = None
        self.is_up = False
        self.turn = 0
        self.not_before = 0.0
        self.history = 0
        self.refusal: BookcastClientError | None = None
        self.updated_at: float | None = None
        self.narrowing: asyncio.TimerHandle | None = None
        self._clock = wire.clock
        self._is_broken = False
        # The server knows something of it.
        self._is_known = False
        self._status: v1.StatusMessage | None = None
        # The view that the server confirmed last, and the one that the state was sent whole in.
        self._confirmed: View | None = None
        self._shown_in: View | None = None
        self._pause = FIRST_PAUSE
        self._next_ask_at = 0.0
        self._asking: asyncio.TimerHandle | None = None

    @property
    def wanted(self) -> View | None:
        """What all its subscriptions want together; None when there are none."""
        views = [subscription.view for subscription in self.subscriptions]
        return reduce(union, views) if views else None

    @property
    def position(self) -> Position | None:
        """The position to go on from; None where what is known isn't proven."""
        is_proven = isinstance(self.data, Tape) or (
            not self._is_broken and self._is_shown_as_confirmed()
        )
        return self.data.position if is_proven else None

    def position_in(self, view: View) -> Position | None:
        """Return the position to go on from in a view.

        A book's stands for the view that it was seen in.
        """
        if isinstance(self.data, Tape):
            # Subscribed when nothing was known: all that is kept is news, and no epoch has this
            # name.
            return self.position or (Position("", 0) if self._confirmed is not None else None)
        is_book = self.name.channel == "orderbook"
        return self.position if not is_book or is_same(view, self._confirmed) else None

    def is_as_slow_as(self, interval_ms: int) -> bool:
        """Return whether it comes over the wire as slowly as a subscription wants it."""
        return (self.asked.interval_ms if self.asked is not None else 0) >= interval_ms

    def join(self, subscription: Watcher) -> None:
        """Show it to one more subscription, beginning with what is known."""
        self.subscriptions.append(subscription)
        data, history = self.data, subscription.view.history
        if isinstance(data, Tape):
            data.keep = max(data.keep, history)
            subscription.waits_for_history = history > self.history and self.asked is not None
            past = data.past(history)
            if not subscription.waits_for_history:
                subscription.position = (
                    Position(past[0].epoch, past[0].prev) if past else data.position
                )
            for batch in past:
                subscription.take(batch)
        else:
            self._show_to(subscription)
        if self.refusal is not None:
            subscription.refuse(self.refusal)
        self.wire.wanted_differs(self)

    def leave(self, subscription: Watcher) -> None:
        """Show it to one subscription less."""
        self.subscriptions.remove(subscription)
        self.wire.wanted_differs(self)

    def state_of(self, subscription: Watcher) -> tuple[SubscriptionState, str | None]:
        """Return how it stands for a subscription, and why."""
        if self.refusal is not None:
            return "refused", self.refusal.message
        line = self.wire.line_state()
        if line is not None:
            return line
        if not self.is_up:
            return "connecting", "not confirmed yet"
        is_state = isinstance(self.data, Newest)
        if self._is_broken or (is_state and self._is_known and subscription.value is None):
            return "syncing", "waiting for the newest"
        if self._status is None:
            return ("live" if self._is_known else "pending"), None
        return self._status.state, self._status.reason or None

    def receive(self, update: Any) -> None:
        """Take a data message."""
        if not self.is_up:
            return  # it belongs to a subscription from before
        data = self.data
        verdict = data.receive(update)
        if verdict == "broken":
            self.breaks(type(update).__name__)
        if verdict != "new":
            return
        self._mend()
        self._is_known = True
        self.refusal = None
        self.updated_at = update.ts[2] - self.wire.clock_offset
        if self._status is not None and self._status.state in ("pending", "stale"):
            self._status = None
        if isinstance(data, Tape):
            self._miss(data.take_owed())
            assert data.newest is not None  # it was just accepted
            for subscription in list(self.subscriptions):
                subscription.take(data.newest)
        else:
            if type(update) is not v1.OrderbookDelta:
                self._shown_in = self._view_of(data.value)
            for subscription in self.subscriptions:
                self._show_to(subscription)
        self.state_may_have_changed()

    def gap(self, told: v1.GapMessage) -> None:
        """Take the server's word that something won't come."""
        if not self.is_up or not isinstance(self.data, Tape):
            return
        gap = self.data.gap(told)
        if gap == "broken":
            self.breaks("a gap")
        elif isinstance(gap, Gap):
            self._miss(gap)

    def status(self, status: v1.StatusMessage) -> None:
        """Take the server's word how it stands."""
        if not self.is_up:
            return
        self._status = status
        if status.state == "live":
            self.refusal = None
        if status.age_ms is not None and self.updated_at is None:
            self.updated_at = self._clock.now() - status.age_ms
        self.state_may_have_changed()

    def confirm(
        self, begins: Position | None, *, recovered: bool | None, view: View | None = None
    ) -> None:
        """Take the server's confirmation, or that it goes on with it in a session.

        Args:
            begins: the position where it begins.
            recovered: whether everything after the position follows that it was told; None where
                it was told none.
            view: what was asked for; what a session brings back is seen as before.
        """
        data, was_up, held = self.data, self.is_up, self.position
        view = view or self._confirmed
        history = view.history if recovered is None and view is not None else 0
        self._confirmed = view
        self.history = max(self.history, history)
        self.is_up = True
        self._is_known = begins is not None
        self.refusal = None
        for subscription in self.subscriptions:
            subscription.accept(self.history)
        if isinstance(data, Tape):
            self._mend()
            if data.place(begins, recovered=recovered, goes_back=history > 0) == "broken":
                self.breaks("the confirmation")
        else:
            if begins is None:
                # Where nothing is known there, something may have come before this confirmation.
                data.expected = data.value is not None and not self._is_shown_as_confirmed()
            else:
                data.expected = recovered is not True or held != begins
            if not was_up:
                self._is_broken = data.expected and data.value is not None
            if data.expected:
                self._ask_in(FIRST_PAUSE)
            else:
                self._mend()
        self.state_may_have_changed()

    def breaks(self, what: str) -> None:
        """Ask the server: what is known isn't proven any more.

        Args:
            what: doesn't follow it.
        """
        self.wire.note(f"{what} doesn't follow {self.data.position}", self.name)
        self._is_broken = True
        if isinstance(self.data, Newest):
            self.data.expected = True
        if self._clock.now() >= self._next_ask_at:
            self._ask()
        else:
            self._ask_in(0)
        self.state_may_have_changed()

    def refuse(self, error: BookcastClientError) -> None:
        """Notify all subscriptions that the topic is refused."""
        self.refusal = error
        for subscription in self.subscriptions:
            subscription.refuse(error)

    def lost(self) -> None:
        """Note that the connection is gone."""
        self.is_up = False
        self._status = None
        self._stop_asking()
        self.stop_narrowing()

    def stop_narrowing(self) -> None:
        """Keep the view as it is."""
        if self.narrowing is not None:
            self.narrowing.cancel()
            self.narrowing = None

    def state_may_have_changed(self) -> None:
        """Make each subscription check its state."""
        for subscription in self.subscriptions:
            subscription.state_may_have_changed()

    def _is_shown_as_confirmed(self) -> bool:
        """Return whether what is known was sent in the view that the server confirmed last."""
        return self._shown_in is not None and is_same(self._shown_in, self._confirmed)

    def _view_of(self, value: Any) -> View | None:
        """Return the view that a whole state was sent in.

        A book that is deeper than the one confirmed tells.
        """
        if self.name.channel != "orderbook":
            return self._confirmed
        count = max(len(value.bids), len(value.asks))
        return self.asked if count > levels(self._confirmed) else self._confirmed

    def _show_to(self, subscription: Watcher) -> None:
        position = self.data.position
        assert isinstance(self.data, Newest)
        # A book of too few levels isn't what it asked for.
        if position is not None and levels(subscription.view) <= levels(self._shown_in):
            subscription.show(self.data.value, position)

    def _miss(self, gap: Gap | None) -> None:
        if gap is not None:
            for subscription in self.subscriptions:
                subscription.miss(gap)

    def _ask(self) -> None:
        self._next_ask_at = self._clock.now() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self.wire.ask_again(self)
        self._ask_in(0)

    def _ask_in(self, patience: float) -> None:
        """Ask if nothing comes until then: a question or its answer may have been lost."""
        self._stop_asking()
        delay = max(self._next_ask_at - self._clock.now(), patience)
        self._asking = self._clock.after(delay, self._ask_after_all)

    def _ask_after_all(self) -> None:
        self._is_broken = True
        self._ask()
        self.state_may_have_changed()

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _mend(self) -> None:
        self._is_broken = False
        self._stop_asking()
        # What was proven for a while is over.
        if self._pause > FIRST_PAUSE and self._clock.now() > self._next_ask_at + LONGEST_PAUSE:
            self._pause = FIRST_PAUSE
