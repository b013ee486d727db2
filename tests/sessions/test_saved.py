"""How sessions are written where other nodes find them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Symbol, Topic, Update
from bookcast.model.cursor import Cursor
from bookcast.sessions import saved
from tests.support import AAPL, trades

TOPICS = st.builds(
    Topic, st.sampled_from(["orderbook", "trades"]), st.text(max_size=9).map(Symbol), st.just("")
)
SPECS = st.builds(
    ViewSpec,
    flavour=st.just(""),
    spelling=st.text(max_size=9),
    depth=st.none() | st.integers(1, 50),
    delta=st.booleans(),
    interval_ms=st.integers(0, 60_000),
    every=st.booleans(),
    deflate=st.just(False),  # the new connection says whether that one is
    private=st.just(0),
)
CURSORS = st.builds(
    Cursor, st.builds(Position, st.text(max_size=20), st.integers(0, 2**53)), base=st.none()
)


@given(st.dictionaries(TOPICS, st.tuples(SPECS, st.none() | CURSORS), max_size=5))
def test_what_a_client_saw_survives(
    seen: dict[Topic, tuple[ViewSpec, Cursor | None]],
) -> None:
    """Each topic, how it is shown, and how far the client has it."""
    assert saved.read(saved.parked(seen)) == seen


def test_of_an_update_its_place_is_kept() -> None:
    """The rest is known elsewhere."""
    place = Position("e", 7)
    spec = ViewSpec("", "AAPL")
    written = saved.parked({AAPL: (spec, Cursor.at(Update(AAPL, place, trades(1), 0.0)))})
    assert saved.read(written) == {AAPL: (spec, Cursor(place))}


@given(st.text(min_size=1, max_size=50))
def test_a_session_that_has_moved_tells_where(token: str) -> None:
    """By the token that it is found by now."""
    assert saved.read(saved.elsewhere(token)) == token
