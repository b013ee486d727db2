"""What one client of bookcast.v1 may receive of one topic, message by message."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from tests.history.data import book_of
from tests.history.history import LOCAL
from tests.support import js

Place = tuple[str, int]
"""Epoch and seq."""

Report = Callable[[str, float, str], None]
"""Takes a violation: its kind, when, and what is wrong."""


class Fact(NamedTuple):
    """What a client received at a position: a trade's id, a book's number, or its digest."""

    at: float
    epoch: str
    seq: int
    content: str


class Stretch:
    """The updates that a client got of one epoch, after one seq, and those reported as lost."""

    def __init__(self, epoch: str, after: int, *, told: bool = False) -> None:
        self.epoch = epoch
        self.told = told
        """Whether a gap told that what was before is lost."""
        self.asked_at = 0.0
        """When a subscription was confirmed without a place: all of this must be newer."""
        self.after = after
        self.last = after
        self.ids: set[str] = set()
        self.gaps: list[tuple[int, int]] = []

    def has(self, id_: str, seq: int) -> bool:
        """Return whether a trade was received, at any place, or its seq was reported as lost."""
        return id_ in self.ids or any(first <= seq <= last for first, last in self.gaps)


def is_ours(topic: str) -> bool:
    """Return whether the publishers of the run, and not the feed, publish a topic."""
    return ".SIM" not in topic


class Follower:
    """Follows one topic of one client. It outlives connections, as the client's memory does.

    ``repeatable``: what may have been published twice, since nobody knew whether it was.
    """

    def __init__(
        self,
        topic: str,
        report: Report,
        *,
        depth: int | None = None,
        repeatable: frozenset[str] = frozenset(),
    ) -> None:
        self.channel, _, self.symbol = topic.partition(":")
        self.topic = topic
        self.place: Place | None = None
        self.stretches: list[Stretch] = []
        self.facts: list[Fact] = []
        self.gaps: list[tuple[float, str]] = []
        self._report = report
        self._depth = depth
        self._repeatable = repeatable
        self._expected_epoch = ""
        self._epochs: list[str] = []
        self._ids: set[str] = set()
        self._asked_at = 0.0
        self._sides: tuple[dict[float, float], dict[float, float]] | None = None
        self._is_fresh = True
        self._is_shown = False

    # What comes

    def begin(self) -> None:
        """Take note of a new connection: where the client was may be shown once more."""
        self._is_fresh = True
        self._is_shown = False

    def confirm(self, at: float, epoch: str | None, seq: int | None) -> None:
        """Begin anew, as a subscription does: no promise covers what came before."""
        self.place, self._expected_epoch, self._epochs = None, "", []
        self._ids, self._asked_at = set(), at
        self._sides = None
        self._is_fresh = True
        if self.channel == "trades" and epoch is not None and seq is not None:
            self._go_to(at, epoch, seq)

    def hear(self, at: float, message: Any) -> None:
        """Take a message about the topic."""
        self._take(at, message)
        self._is_shown = self._is_shown or "data" in message

    def _take(self, at: float, message: Any) -> None:
        match message["type"]:
            case "trade":
                self._hear_trades(at, message)
            case "gap":
                self._hear_gap(at, message)
            case "orderbook_update":
                self._hear_book(at, message)
            case "orderbook_delta":
                self._hear_delta(at, message)

    def _hear_trades(self, at: float, message: Any) -> None:
        epoch, seq, before = message["epoch"], message["seq"], message["prev_seq"]
        trades = message["data"]["trades"]
        if self.place is None:
            if self._expected_epoch and self._expected_epoch != epoch:
                self._report("hole", at, f"a gap told of {self._expected_epoch}, then came {epoch}")
            told = bool(self._expected_epoch)
            self._go_to(at, epoch, before, told=told)
            self.stretches[-1].asked_at = 0.0 if told else self._asked_at
        elif self.place[0] != epoch:
            self._report("hole", at, f"from {self.place} to {(epoch, seq)} without a gap")
            self._go_to(at, epoch, before)
        elif seq <= self.place[1]:
            ids = {str(trade.get("id")) for trade in trades}
            kind = "duplicate" if ids <= self._ids else "reordered"
            self._report(kind, at, f"{epoch} {before + 1}-{seq} after {self.place[1]}")
            self._ids |= ids
            return
        elif before != self.place[1]:
            kind = "duplicate" if before < self.place[1] else "hole"
            self._report(kind, at, f"{epoch} {before + 1}-{seq} after {self.place[1]}, no gap")
            self.stretches[-1].gaps.append((self.place[1] + 1, before))  # it is reported once
        self.place = epoch, seq
        stretch = self.stretches[-1]
        stretch.last = seq
        self._note_ids(at, stretch, [str(trade.get("id")) for trade in trades])
        if is_ours(self.topic) and len(trades) != seq - before:
            self._report("content", at, f"{epoch} {before + 1}-{seq} has {len(trades)} trades")
        elif len(trades) == seq - before:
            for number, trade in enumerate(trades, before + 1):
                self.facts.append(Fact(at, epoch, number, str(trade.get("id"))))
                if is_ours(self.topic) and trade["size"] != _number(trade.get("id")):
                    self._report("content", at, f"{epoch} {number} is {trade}")

    def _note_ids(self, at: float, stretch: Stretch, ids: list[str]) -> None:
        """Take note of what came, whatever its seq: each once."""
        stretch.ids.update(ids)
        if not is_ours(self.topic):
            return  # a feed's data have their own numbers
        again = [id_ for id_ in ids if id_ in self._ids - self._repeatable]
        if again:
            detail = f"{len(again)} once more, up to {stretch.epoch} {stretch.last}: {again[:3]}"
            self._report("duplicate", at, detail)
        self._ids.update(ids)

    def _hear_gap(self, at: float, message: Any) -> None:
        epoch, first, last = message["epoch"], message["from_seq"], message["to_seq"]
        self.gaps.append((at, message["reason"]))
        if self.channel == "orderbook":
            return
        was_local = self.place is not None and self.place[0].startswith(LOCAL)
        reason = message["reason"]
        if was_local and not self._is_shown:
            self._ids = set()  # another node doesn't know what was shown before the outage
        elif was_local and not epoch.startswith(LOCAL) and reason != "engine_restored":
            detail = f"from {self.place} to {epoch} by a gap whose reason is {reason}"
            self._report("end of an outage not told", at, detail)
        if first is None:
            if self.place is not None and self.place[0] == epoch:
                self._report("gap", at, f"a gap into {epoch}, where the client was already")
            self.place, self._expected_epoch = None, epoch
        elif self.place is not None and self.place != (epoch, first - 1):
            self._report("hole", at, f"a gap {epoch} {first}-{last} after {self.place}")
            self._go_to(at, epoch, last)
        else:
            if self.place is None:
                self._go_to(at, epoch, first - 1)
            self.stretches[-1].gaps.append((first, last))
            self.stretches[-1].last = last
            self.place = epoch, last

    def _hear_book(self, at: float, message: Any) -> None:
        epoch, seq, data = message["epoch"], message["seq"], message["data"]
        if self.place is not None and self.place[0] == epoch:
            if seq < self.place[1]:
                self._report("went back", at, f"from {self.place} to {seq}")
            elif seq == self.place[1] and not self._is_fresh:
                self._report("duplicate", at, f"the book of {self.place} once more")
        self._sides = (
            {level[0]: level[1] for level in data["bids"]},
            {level[0]: level[1] for level in data["asks"]},
        )
        self._show_book(at, epoch, seq)

    def _hear_delta(self, at: float, message: Any) -> None:
        epoch, seq, before = message["epoch"], message["seq"], message["prev_seq"]
        if self._sides is None or self.place != (epoch, before):
            self._report("hole", at, f"a delta {epoch} {before}-{seq} after {self.place}")
            return
        for side, levels in zip(self._sides, message["data"].values(), strict=True):
            for price, size, *_ in levels:
                if size:
                    side[price] = size
                elif side.pop(price, None) is None:
                    self._report("content", at, f"{epoch} {seq} takes out {price}, not there")
        if self._checksum() != message["checksum"]:
            self._report("checksum", at, f"the book of {epoch} {seq} doesn't add up")
        self._show_book(at, epoch, seq)

    # What follows from it

    def _show_book(self, at: float, epoch: str, seq: int) -> None:
        bids, asks = self._sorted()
        self._go_to(at, epoch, seq)
        self._is_fresh = False
        if not is_ours(self.topic):
            content = f"{self._depth} {zlib.crc32(repr((bids, asks)).encode())}"
            self.facts.append(Fact(at, epoch, seq, content))
            return
        number = int(bids[0][1]) if bids else 0
        expected = book_of(self.symbol, number)
        shown = [list(map(list, side)) for side in (bids, asks)]
        if shown != [expected["bids"][: self._depth], expected["asks"][: self._depth]]:
            self._report("content", at, f"{epoch} {seq} isn't the book {number} of {self.symbol}")
        self.facts.append(Fact(at, epoch, seq, str(number)))

    def _go_to(self, at: float, epoch: str, seq: int, *, told: bool = False) -> None:
        self.place, self._expected_epoch = (epoch, seq), ""
        if not self._epochs or self._epochs[-1] != epoch:
            left = self._epochs[-1] if self._epochs else ""
            if epoch in self._epochs and not left.startswith(LOCAL):
                self._report("epoch went back", at, f"from {left} to {epoch}")
            self._epochs.append(epoch)
        if self.channel != "orderbook":
            self.stretches.append(Stretch(epoch, seq, told=told))

    def _sorted(self) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        assert self._sides is not None
        bids, asks = self._sides
        return sorted(bids.items(), reverse=True), sorted(asks.items())

    def _checksum(self) -> int:
        best = (level for side in self._sorted() for level in side[:10])
        return zlib.crc32("".join(f"{_js(price)}:{_js(size)};" for price, size in best).encode())


@lru_cache(maxsize=65_536)
def _js(number: float) -> str:
    return js(number)


def _number(id_: object) -> int:
    tail = str(id_).rpartition("-")[2]
    return int(tail) if tail.isdigit() else -1
