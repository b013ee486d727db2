"""Places in what a topic has shown."""

from __future__ import annotations

from bookcast.model.cursor import Cursor
from bookcast.model.updates import Position
from tests.support import update


def test_a_place_where_an_update_was_shown_knows_it() -> None:
    """A delta may start from there."""
    shown = update(7)
    assert Cursor.at(shown) == (Position("e", 7), shown)


def test_before_an_update_is_a_place_from_which_it_is_shown_first() -> None:
    """Nobody knows what was there."""
    assert Cursor.before(update(7)) == (Position("e", 6), None)
