"""What is known of a topic that is a state: a book, a quote, brokers, the newest minute."""

from __future__ import annotations

from typing import Any, Literal

from bookcast.client.book import EMPTY, Book, LevelTexts, change_book
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

Verdict = Literal["new", "old", "broken"]
"""``old``: nothing new. ``broken``: it doesn't follow what is known: the server must be asked."""

StateUpdate = (
    v1.OrderbookUpdate | v1.OrderbookDelta | v1.QuoteUpdate | v1.BrokersUpdate | v1.TimeframeUpdate
)


class Newest:
    """The newest state, and where it stands.

    ``expected``: the whole state is on its way, so it may begin anywhere.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self.position: Position | None = None
        self.expected = True
        self._epochs: set[str] = set()
        # The number before the newest, where a delta led from there: no update lies between.
        self._before: int | None = None
        self._texts = LevelTexts()

    def receive(self, update: StateUpdate) -> Verdict:
        """Take an update, if it follows what is known and is proven."""
        if type(update) is v1.OrderbookDelta:
            return self._change(update)
        return self._replace(update)

    def _change(self, update: v1.OrderbookDelta) -> Verdict:
        held = self.position
        if self.expected:
            return "old"  # the whole book that comes has it
        if held is None or held.epoch != update.epoch:
            return "broken"
        if self._before is not None and self._before < update.seq < held.seq:
            # The number that is held isn't the server's: all that comes would pass for old.
            self.position = self._before = None
            return "broken"
        if update.seq <= held.seq:
            return "old"
        book = change_book(self.value, update.data) if update.prev_seq == held.seq else None
        # After one that isn't proven only a whole book is taken, which begins them anew.
        self._texts.change(update.data)
        if book is None or self._texts.checksum(book) != update.checksum:
            return "broken"
        self.value = book
        self._before = held.seq
        self.position = Position(update.epoch, update.seq)
        return "new"

    def _replace(self, update: Any) -> Verdict:
        epoch, seq, value = update.epoch, update.seq, update.data
        is_book = type(update) is v1.OrderbookUpdate
        if is_book:
            value = change_book(EMPTY, value)
            if value is None:
                return "broken"
        held = self.position
        if held is not None and held.epoch == epoch:
            # A whole book of the same number may be a deeper one, whose confirmation was lost.
            is_deeper = is_book and _level_count(value) > _level_count(self.value)
            if seq < held.seq or (seq == held.seq and not self.expected and not is_deeper):
                return "old"
        elif held is not None and not self.expected and epoch in self._epochs:
            # An epoch from before may be back, or a message was late: only the server knows.
            return "broken"
        if is_book:
            self._texts = LevelTexts()
            self._texts.change(value)
        self.value = value
        self._before = None
        self.position = Position(epoch, seq)
        self.expected = False
        self._epochs.add(epoch)
        return "new"


def _level_count(book: Book) -> int:
    return len(book.bids) + len(book.asks)
