"""A place in what a topic has shown: the one kind of place that clients and views have."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bookcast.model.updates import Position, Update


class Cursor(NamedTuple):
    """The place after the update at ``position``.

    ``base`` is that update, which a delta starts from. None where only the place is known: a client
    told it, or it was saved; then a book begins with a whole one.
    """

    position: Position
    base: Update | None = None

    @classmethod
    def at(cls, update: Update) -> Cursor:
        """Return the place after an update that was shown."""
        return cls(update.position, update)

    @classmethod
    def before(cls, update: Update) -> Cursor:
        """Return the place just before an update, from which it is shown first."""
        return cls(Position(update.position.epoch, update.position.seq - 1))


NOW: Final = "now"
START: Final = "start"

Since = Cursor | Literal["now", "start"]
"""Where a client goes on. NOW: where the others stand that see the topic alike. START: nobody knows
what the client has; where it is to see every update, that is before all that is kept."""
