"""What an earlier format can't hold is left out, and what a later one adds is ignored."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bookcast.backplane.formats import (
    NEWEST,
    OLDEST,
    common,
    data_for,
    read_supply,
    securities_for,
    write_supply,
)
from bookcast.model.feed_state import FeedState, Quota, Security
from bookcast.model.market_data import Quote
from bookcast.model.topics import Symbol
from tests.support import trades

decode = msgspec.msgpack.decode
encode = msgspec.msgpack.encode


@pytest.mark.parametrize(
    ("announced", "form"),
    [([], OLDEST), ([2], 2), ([1, 2], 1), ([3, 2, 4], 2), ([0, 2], OLDEST), ([5], 5)],
)
def test_all_nodes_read_the_lowest_format_that_any_announces(
    announced: list[int], form: int
) -> None:
    """Where none has announced anything yet, that is the oldest."""
    assert common(announced) == form


@pytest.mark.parametrize("session", ["night", "auction", "closing_auction", "break"])
def test_sessions_that_the_first_format_has_no_word_for_are_left_out(session: Any) -> None:
    """Of quotes and of securities; whoever reads a later one gets them."""
    quote = Quote(last=1, session=session)
    assert data_for(quote, OLDEST) == Quote(last=1)
    assert data_for(quote, NEWEST) is quote
    security = Security(Symbol("US.X"), lot_size=1, session=session)
    assert securities_for([security], OLDEST) == [Security(Symbol("US.X"), lot_size=1)]
    assert securities_for([security], NEWEST) == [security]


@pytest.mark.parametrize("session", ["pre", "regular", "after", "overnight", None])
def test_what_the_first_format_holds_stays_as_it_is(session: Any) -> None:
    """Also other kinds of data."""
    quote = Quote(last=1, session=session)
    assert data_for(quote, OLDEST) is quote
    security = Security(Symbol("US.X"), session=session)
    assert securities_for([security], OLDEST) == [security]
    some = trades(1)
    assert data_for(some, OLDEST) is some


@pytest.mark.parametrize("form", [OLDEST, NEWEST])
@pytest.mark.parametrize("quota", [None, Quota(1, 2), Quota(1, 2, 3.5)])
def test_what_a_feed_says_survives(form: int, quota: Quota | None) -> None:
    """In every format."""
    supply = FeedState("futu", "pending", "no room", 5000.0, quota, "no right")
    assert read_supply(write_supply(supply, form)) == supply


def test_the_first_format_of_what_a_feed_says_has_no_more_parts_than_its_readers_take() -> None:
    """They refuse a list that is longer."""
    parts = decode(write_supply(FeedState("futu", quota=Quota(1, 2)), OLDEST))
    assert len(parts) == 6
    assert len(parts[4]) == 3


def test_parts_that_only_a_later_release_knows_are_ignored() -> None:
    """At the end of what a feed says, and of its quota."""
    written: list[Any] = [*FeedState("futu", "pending"), *["new"] * 5]
    written[4] = [*Quota(1, 2, 3.0), *["newer"] * 5]
    assert read_supply(encode(written)) == FeedState("futu", "pending", quota=Quota(1, 2, 3.0))


@pytest.mark.parametrize("nonsense", [b"", b"x", encode({"a": 1}), encode(["futu", "melting"])])
def test_what_no_feed_says_is_refused(nonsense: bytes) -> None:
    """Nobody guesses what it means."""
    with pytest.raises(msgspec.MsgspecError):
        read_supply(nonsense)
