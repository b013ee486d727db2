from typing import Any

from bookcast.client.book import Book
from bookcast.client.newest import Newest
from bookcast.model.market_data import Quote
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

TS = (None, None, 0.0)


def whole(seq: int, *bids: tuple[float, float], epoch: str = "e") -> v1.OrderbookUpdate:
    """Make a whole book."""
    sides = v1.Sides([v1.BookLevel(*one) for one in bids], [])
    return v1.OrderbookUpdate("orderbook", "A", epoch, seq, TS, sides)


def delta(prev: int, seq: int, *bids: tuple[float, float], proof: Any = None) -> v1.OrderbookDelta:
    """Return a delta, whose checksum is that of the book of ``proof``."""
    levels = [v1.BookLevel(*one) for one in bids]
    checksum = Book(tuple(v1.BookLevel(*one) for one in proof or bids), ()).checksum()
    return v1.OrderbookDelta("orderbook", "A", "e", seq, TS, prev, checksum, v1.Sides(levels, []))


def test_a_delta_that_is_proven_is_the_newest() -> None:
    """A whole book begins it."""
    newest = Newest()
    assert newest.receive(delta(1, 2, (1, 1))) == "old"
    assert newest.receive(whole(2, (5, 1))) == "new"
    assert newest.receive(delta(2, 3, (5, 0), (4, 7), proof=[(4, 7)])) == "new"
    assert newest.value.bids == (v1.BookLevel(4, 7),)
    assert newest.position == Position("e", 3)


def test_a_delta_that_doesnt_follow_or_agree_changes_nothing() -> None:
    """The last proven book stays."""
    newest = Newest()
    newest.receive(whole(2, (5, 1)))
    before = newest.value
    assert newest.receive(delta(1, 2, (5, 2))) == "old"
    assert newest.receive(delta(3, 4, (5, 2))) == "broken"
    assert newest.receive(delta(2, 3, (5, 2), proof=[(5, 3)])) == "broken"
    assert newest.receive(delta(2, 3, (5, -2), proof=[(5, 3)])) == "broken"
    assert newest.value is before


def test_a_whole_state_of_before_is_old_and_a_deeper_one_is_new() -> None:
    """A confirmation that was lost leaves no other trace."""
    newest = Newest()
    newest.receive(whole(2, (5, 1)))
    assert newest.receive(whole(1, (5, 9))) == "old"
    assert newest.receive(whole(2, (5, 1))) == "old"
    assert newest.receive(whole(2, (5, 1), (4, 1))) == "new"


def test_an_epoch_of_before_isnt_taken_for_a_new_one() -> None:
    """Unless a whole state is expected: then it may begin anywhere."""
    newest = Newest()
    newest.receive(whole(9, (5, 1), epoch="e"))
    assert newest.receive(whole(1, (5, 1), epoch="f")) == "new"
    assert newest.receive(whole(10, (5, 1), epoch="e")) == "broken"
    newest.expected = True
    assert newest.receive(whole(10, (5, 1), epoch="e")) == "new"


def test_other_states_are_whole_each_time() -> None:
    """A quote takes the place of the one before."""
    newest = Newest()
    assert newest.receive(v1.QuoteUpdate("quote", "A", "e", 1, TS, Quote(last=1))) == "new"
    assert newest.receive(v1.QuoteUpdate("quote", "A", "e", 3, TS, Quote(last=2))) == "new"
    assert newest.value == Quote(last=2)


def test_a_delta_whose_number_was_spoilt_is_noticed_by_the_next_one() -> None:
    """Its checksum doesn't cover the number; else all that follows would pass for old."""
    newest = Newest()
    newest.receive(whole(2, (5, 1)))
    assert newest.receive(delta(2, 3, (5, 2))) == "new"
    assert newest.receive(delta(3, 4_000, (5, 3))) == "new"
    assert newest.receive(delta(2, 3, (5, 2))) == "old"
    assert newest.receive(delta(4, 5, (5, 4))) == "broken"
    newest.expected = True  # by who asks for the whole book
    assert newest.receive(delta(5, 6, (5, 5))) == "old"
    assert newest.receive(whole(6, (5, 5))) == "new"
    assert newest.receive(delta(6, 7, (5, 6))) == "new"
    assert newest.position == Position("e", 7)
