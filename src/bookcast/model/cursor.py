"""Cursors: where a client or a view stands in a topic's log."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bookcast.model.updates import Position, Update


class Cursor(NamedTuple):
    """The place after the update at ``position``.

    ``base`` is that update, from which a delta can start. None where only the position is known: a
    client sent it, or it comes from a saved session. Then a whole book is sent first.
    """

    position: Position
    base: Update | None = None

    @classmethod
    def at(cls, update: Update) -> Cursor:
        """Return the place after an update that was shown."""
        return cls(update.position, update)

    @classmethod
    def before(cls, update: Update) -> Cursor:
        """Return the place just before an update, so that this update comes next."""
        return cls(Position(update.position.epoch, update.position.seq - 1))


NOW: Final = "now"
START: Final = "start"

Since = Cursor | Literal["now", "start"]
"""Where a subscription begins. NOW: where the view's live clients stand. START: the client's place
is unknown; a lossless subscription begins before all kept updates."""
