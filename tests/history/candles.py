"""Which candles a client of bookcast.v1 may receive: each final one once, forming ones or not."""

from __future__ import annotations

from typing import Any

from tests.history.data import candle_of, is_final
from tests.history.follow import Fact, Follower, is_ours


class CandleFollower(Follower):
    """Follows the candles of one symbol.

    A newer one takes the place of one that is forming; every final one comes, or a gap names it.
    """

    def confirm(self, at: float, epoch: str | None, seq: int | None) -> None:
        """Begin anew, after the confirmed position."""
        super().confirm(at, epoch, seq)
        if epoch is not None and seq is not None:
            self._go_to(at, epoch, seq)

    def _take(self, at: float, message: Any) -> None:
        if message["type"] == "candle_update":
            self._hear_candle(at, message)
        else:
            super()._take(at, message)

    def _hear_candle(self, at: float, message: Any) -> None:
        epoch, seq, data = message["epoch"], message["seq"], message["data"]
        number = data["volume"]
        if self.place is None:
            if self._expected_epoch and self._expected_epoch != epoch:
                self._report("hole", at, f"a gap told of {self._expected_epoch}, then came {epoch}")
            self._go_to(at, epoch, seq - 1, told=bool(self._expected_epoch))
        elif self.place[0] != epoch:
            self._report("hole", at, f"from {self.place} to {(epoch, seq)} without a gap")
            self._go_to(at, epoch, seq - 1)
        elif seq <= self.place[1]:
            kind = "duplicate" if str(number) in self._ids else "reordered"
            self._report(kind, at, f"candle {number} {epoch} {seq} after {self.place[1]}")
            return
        self.place = epoch, seq
        stretch = self.stretches[-1]
        stretch.last = seq
        if not is_ours(self.topic):
            return
        if is_final(number):
            self._note_ids(at, stretch, [str(number)])
        self.facts.append(Fact(at, epoch, seq, str(number)))
        expected = candle_of(number)
        if {name: data.get(name) for name in expected} != expected:
            self._report("content", at, f"{epoch} {seq} isn't candle {number}: {data}")
