"""Builds histories by hand, to see what the checker makes of them."""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from tests.history.checker import Verdict, check
from tests.history.data import PERIOD, book_of, candle_of, trade_of
from tests.history.history import Attempt, Event, Fault, Happening, History, Outcome, Track
from tests.history.modes import Mode

TRADES = "trades:P0"
BOOKS = "orderbook:P0"
CANDLES = "candles:P0"


class Story:
    """A builder of histories in which everything works, unless a test adds a fault."""

    def __init__(self, *modes: Mode) -> None:
        self.history = History(1, modes=frozenset(modes))
        self.now = 0.0
        self._numbers = 0

    def published(
        self, topic: str, number: int, *, epoch: str = "e", outcome: Outcome = "ok", **more: Any
    ) -> Attempt:
        """Publish the trade or book of a number, by default at that seq."""
        self.now += more.pop("after", 0.1)
        seq = more.pop("seq", number)
        attempt = Attempt("p0", topic, self.now, self.now + 0.05, outcome)
        if topic.startswith("trades"):
            attempt.id = f"p0-{number}"
        else:
            attempt.number = number
        if outcome == "ok":
            attempt.epoch, attempt.seq = epoch, seq
        for name, value in more.items():
            setattr(attempt, name, value)
        self.history.attempts.append(attempt)
        self.now += 0.1
        return attempt

    def fault(self, what: str) -> None:
        """Break something for a moment."""
        self.history.faults.append(Fault(what, self.now, self.now + 1))
        self.now += 1

    def client(self, *topics: str, base: bool = False, depth: int | None = None) -> Listener:
        """Connect a client, and return its listener."""
        self._numbers += 1
        name = f"c{self._numbers}"
        track = Track(name, "base" if base else "v1", list(topics), [], depth)
        self.history.tracks.append(track)
        listener = Listener(self, track)
        listener.happens("opened")
        return listener

    def judged(self, *, converges: bool = False) -> Verdict:
        """Check it."""
        return check(self.history, converges=converges)

    def kinds(self, *, converges: bool = False) -> list[str]:
        """Check it, and name the kinds of what is wrong."""
        return [one.kind for one in self.judged(converges=converges).violations]


class Listener:
    """A recorder of what one client receives."""

    def __init__(self, story: Story, track: Track) -> None:
        self._story = story
        self._track = track
        self.node = "node1"

    def happens(self, what: Happening, **more: Any) -> None:
        """Note something that isn't a message."""
        self._story.now += 0.01
        self._track.events.append(Event(self._story.now, what, node=self.node, **more))

    def hears(self, type_: str, topic: str, **fields: Any) -> None:
        """Hear a message about a topic."""
        channel, _, symbol = topic.partition(":")
        message = {"type": type_, "channel": channel, "symbol": symbol, **fields}
        self.happens("heard", message=msgspec.Raw(msgspec.json.encode(message)))

    def confirmed(self, topic: str, seq: int | None = 0, epoch: str | None = "e") -> None:
        """Hear that a subscription begins after a seq."""
        self.hears("subscription_confirmed", topic, epoch=epoch, seq=seq)

    def trades(
        self, *numbers: int, epoch: str = "e", before: int | None = None, **more: Any
    ) -> None:
        """Hear trades at the seqs of their numbers."""
        data = {"trades": [trade_of(f"p0-{number}") for number in numbers]}
        before = numbers[0] - 1 if before is None else before
        message = {"epoch": epoch, "seq": before + len(numbers), "prev_seq": before, "data": data}
        self.hears("trade", TRADES, **{**message, **more})

    def gap(
        self,
        first: int | None,
        last: int | None,
        epoch: str = "e",
        *,
        topic: str = TRADES,
        reason: str = "epoch",
    ) -> None:
        """Hear that something won't come."""
        self.hears("gap", topic, epoch=epoch, from_seq=first, to_seq=last, reason=reason)

    def book(
        self, number: int, *, epoch: str = "e", seq: int = 0, depth: int | None = None
    ) -> None:
        """Hear a whole book."""
        book = book_of("P0", number)
        sides = {"bids": book["bids"][:depth], "asks": book["asks"][:depth]}
        self.hears("orderbook_update", BOOKS, epoch=epoch, seq=seq or number, data=sides)

    def delta(self, old: int, new: int, **more: Any) -> None:
        """Hear what changed from one book to another."""
        before, after = book_of("P0", old), book_of("P0", new)
        data: dict[str, list[list[float]]] = {}
        for side in ("bids", "asks"):
            was, is_ = dict(before[side]), dict(after[side])
            gone = [[price, 0] for price in was if price not in is_]
            data[side] = gone + [[p, size] for p, size in is_.items() if was.get(p) != size]
        text = "".join(f"{_js(p)}:{_js(s)};" for p, s in [*after["bids"], *after["asks"]])
        message = {
            "epoch": "e",
            "seq": new,
            "prev_seq": old,
            "checksum": zlib.crc32(text.encode()),
            "data": data,
        }
        self.hears("orderbook_delta", BOOKS, **{**message, **more})

    def base_book(self, number: int, **more: Any) -> None:
        """Hear a book as base clients do."""
        self.hears("orderbook_update", BOOKS, data={**book_of("P0", number), **more})

    def candle(self, number: int, *, epoch: str = "e", seq: int = 0, **more: Any) -> None:
        """Hear the state of a candle."""
        message = {"period": PERIOD, "epoch": epoch, "seq": seq or number}
        self.hears("candle_update", CANDLES, **message, data={**candle_of(number), **more})

    def returns(self) -> None:
        """Lose the connection, and have another."""
        self.happens("lost")
        self.happens("opened")


def _js(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)
