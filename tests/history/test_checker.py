"""Every promise that the checker looks after: a history that breaks it is caught."""

from __future__ import annotations

import pytest

from tests.history.checker import Verdict
from tests.history.data import book_of, trade_of
from tests.history.history import Fault
from tests.history.story import BOOKS, TRADES, Story

PATIENT = 100.0


def test_nothing_is_wrong_where_all_went_well(story: Story) -> None:
    """Trades, books, deltas and base clients, with a resumption in between."""
    v1, base = story.client(TRADES, BOOKS), story.client(BOOKS, base=True)
    v1.confirmed(TRADES)
    v1.confirmed(BOOKS, None, None)
    for number in (1, 2, 3):
        story.published(BOOKS, number)
        base.base_book(number)
    v1.book(1)
    v1.delta(1, 3)
    for number in (1, 2, 3, 4):
        story.published(TRADES, number, final=number == 4)
    v1.trades(1)
    v1.trades(2, 3)
    v1.returns()
    v1.trades(4)
    base.returns()
    base.base_book(3)
    story.published(BOOKS, 4, final=True)
    v1.delta(3, 4)
    base.base_book(4)
    assert story.judged(converges=True) == Verdict([], {}, [])


def test_a_trade_that_comes_twice_is_caught(story: Story) -> None:
    """Also when the connection was lost in between."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2):
        story.published(TRADES, number)
    client.trades(1)
    client.trades(2)
    client.returns()
    client.trades(2)
    assert story.kinds() == ["duplicate"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [("node killed", ["from before it subscribed"]), ("redis paused", [])]
)
def test_trades_from_before_a_subscription_are_caught(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """It was confirmed without a place, and shown all that there had been."""
    for number in (1, 2):
        story.published(TRADES, number)
    story.fault(fault)
    client = story.client(TRADES)
    client.confirmed(TRADES, None, None)
    story.published(TRADES, 3)
    client.trades(1, 2, 3)
    assert story.kinds() == kinds


def test_a_new_subscription_may_begin_before_what_an_earlier_one_had(story: Story) -> None:
    """At a node that lags behind; the confirmation tells."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2):
        story.published(TRADES, number)
    client.trades(1, 2)
    client.returns()
    client.confirmed(TRADES, 1)
    client.trades(2)
    assert story.kinds() == []


def test_trades_that_overlap_are_caught(story: Story) -> None:
    """A message that begins before where the client is."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2, 3):
        story.published(TRADES, number)
    client.trades(1, 2)
    client.trades(2, 3)
    assert set(story.kinds()) == {"duplicate"}


def test_trades_in_another_order_are_caught(story: Story) -> None:
    """An older one that the client hadn't got comes after a newer one."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2, 3):
        story.published(TRADES, number)
    client.trades(1)
    client.trades(3)
    client.trades(2)
    assert sorted(story.kinds()) == ["hole", "reordered"]


def test_a_hole_without_a_gap_is_caught(story: Story) -> None:
    """What prev_seq shows, or would have to show."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2, 3):
        story.published(TRADES, number)
    client.trades(1)
    client.trades(3)
    assert story.kinds() == ["hole"]


def test_an_acknowledged_trade_that_a_message_leaves_out_is_caught(story: Story) -> None:
    """Though prev_seq says that it is in it."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2, 3):
        story.published(TRADES, number)
    client.trades(1)
    client.trades(3, before=1, seq=3)
    assert sorted(story.kinds()) == ["content", "lost"]


def test_a_gap_covers_what_it_names_and_no_more(story: Story) -> None:
    """The next trade has to follow it."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2, 3, 4, 5):
        story.published(TRADES, number)
    client.trades(1)
    story.fault("redis paused")
    client.gap(2, 3)
    client.trades(5)
    assert story.kinds() == ["hole"]


def test_a_gap_that_begins_elsewhere_is_caught(story: Story) -> None:
    """It must begin right after what the client has."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault("redis paused")
    client.gap(2, 3)
    assert story.kinds() == ["hole"]


def test_another_epoch_without_a_gap_is_caught(story: Story) -> None:
    """Trades of two epochs don't continue each other."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.published(TRADES, 1)
    story.published(TRADES, 2, epoch="f")
    client.trades(1)
    client.trades(2, epoch="f")
    assert story.kinds() == ["hole"]


def test_another_epoch_with_a_gap_is_well_after_a_fault(story: Story) -> None:
    """And is counted, and excused."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.published(TRADES, 1)
    client.trades(1)
    story.fault("redis killed, empty")
    story.published(TRADES, 2, epoch="f")
    client.gap(None, None, "f")
    client.trades(2, epoch="f")
    verdict = story.judged()
    assert verdict.violations == []
    assert verdict.gaps == {"epoch": 1}
    assert [one.kind for one in verdict.excused] == ["gap without a reason"]


def test_a_gap_that_no_fault_explains_is_caught(story: Story) -> None:
    """As in a rolling restart, which loses nothing."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault("node drained")
    client.gap(None, None, "f")
    assert story.kinds() == ["gap without a reason"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [("pub/sub kicked", ["gap without a reason"]), ("link cut", [])]
)
def test_a_gap_is_excused_only_where_redis_may_lack_something(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """What subscribers weren't told, Redis still has."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault(fault)
    client.gap(1, 2)
    assert story.kinds() == kinds


def test_an_epoch_that_comes_back_is_caught(story: Story) -> None:
    """Whoever has left it knows that it is over."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault("redis paused")
    story.published(TRADES, 1)
    story.published(TRADES, 2, epoch="f")
    client.trades(1)
    client.gap(None, None, "f")
    client.trades(2, epoch="f")
    story.published(TRADES, 3, outcome="unknown", ended=PATIENT)
    client.gap(None, None, "e")
    client.trades(3)
    assert story.kinds() == ["epoch went back"]


def test_a_position_that_is_given_twice_is_caught(story: Story) -> None:
    """Two publishers were told the same."""
    story.published(TRADES, 1, seq=1)
    story.published(TRADES, 2, seq=1)
    assert story.kinds() == ["position given twice"]


def test_what_began_later_and_comes_earlier_is_caught(story: Story) -> None:
    """Since the first was acknowledged before the second was sent."""
    story.published(TRADES, 1, seq=2)
    story.published(TRADES, 2, seq=1)
    assert story.kinds() == ["order"]


def test_an_epoch_that_goes_on_after_the_next_has_begun_is_caught(story: Story) -> None:
    """As two nodes would that don't agree."""
    story.published(TRADES, 1)
    story.published(TRADES, 2, epoch="f")
    story.published(TRADES, 3)
    assert story.kinds() == ["epoch went back"]


def test_two_contents_at_one_position_are_caught(story: Story) -> None:
    """Two clients were shown different trades there."""
    one, other = story.client(TRADES), story.client(TRADES)
    for number in (1, 2):
        story.published(TRADES, number, outcome="unknown", ended=PATIENT)
    one.confirmed(TRADES)
    one.trades(1)
    other.confirmed(TRADES)
    other.trades(2, before=0)
    assert story.kinds() == ["two contents"]


def test_a_position_that_holds_something_else_than_was_answered_is_caught(story: Story) -> None:
    """The publisher was told that its trade is there."""
    client = story.client(TRADES)
    story.published(TRADES, 1)
    story.published(TRADES, 2, outcome="unknown", ended=PATIENT)
    client.confirmed(TRADES)
    client.trades(2, before=0)
    assert "two contents" in story.kinds()


def test_a_publication_at_two_positions_is_caught(story: Story) -> None:
    """It was done twice, though sent once."""
    client = story.client(TRADES)
    story.published(TRADES, 1, outcome="unknown", ended=PATIENT)
    client.confirmed(TRADES)
    client.trades(1)
    client.trades(1, before=1)
    assert sorted(story.kinds()) == ["duplicate", "published twice"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [("redis killed, kept", ["published twice"]), ("redis killed, empty", [])]
)
def test_a_book_may_have_another_place_once_redis_had_lost_it(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """Whoever comes then is shown it under the new one; without such a loss it was done twice."""
    one, other = story.client(BOOKS), story.client(BOOKS)
    story.published(BOOKS, 1)
    one.confirmed(BOOKS, None, None)
    one.book(1)
    story.fault(fault)
    other.confirmed(BOOKS, None, None)
    other.book(1, epoch="new", seq=1)
    assert story.kinds() == kinds


def test_a_trade_that_nobody_published_is_caught(story: Story) -> None:
    """Wherever it comes from."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    client.trades(1)
    assert story.kinds() == ["nobody published it"]


def test_a_trade_that_was_refused_and_is_shown_is_caught(story: Story) -> None:
    """Its publisher relies on it that it wasn't published."""
    client = story.client(TRADES)
    story.published(TRADES, 1, outcome="failed")
    client.confirmed(TRADES)
    client.trades(1)
    assert story.kinds() == ["refused, and shown"]


def test_what_nobody_knows_may_come_late_or_never(story: Story) -> None:
    """An attempt without an answer is no promise, either way."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    for number in (1, 2):
        story.published(TRADES, number, outcome="unknown", ended=PATIENT)
    story.published(TRADES, 3, seq=1)
    client.trades(3, before=0)
    client.trades(1, before=1)
    assert story.kinds() == []


def test_a_trade_that_was_changed_is_caught(story: Story) -> None:
    """Its size follows from its id."""
    client = story.client(TRADES)
    story.published(TRADES, 1)
    client.confirmed(TRADES)
    client.trades(1, data={"trades": [{**trade_of("p0-1"), "size": 7}]})
    assert story.kinds() == ["content"]


@pytest.mark.parametrize("depth", [None, 3])
def test_a_book_that_was_changed_is_caught(story: Story, depth: int | None) -> None:
    """All of it follows from its number."""
    client = story.client(BOOKS, depth=depth)
    story.published(BOOKS, 1)
    story.published(BOOKS, 2)
    client.book(1, depth=depth)
    book = book_of("P0", 2)
    sides = {"bids": book["bids"][:depth], "asks": book_of("P0", 3)["asks"][:depth]}
    client.hears("orderbook_update", BOOKS, epoch="e", seq=2, data=sides)
    assert story.kinds() == ["content"]


def test_a_book_that_goes_back_is_caught(story: Story) -> None:
    """Also after a resumption; the same one once more is allowed then, and only then."""
    client = story.client(BOOKS)
    for number in (1, 2):
        story.published(BOOKS, number)
    client.book(2)
    client.returns()
    client.book(2)
    assert story.kinds() == []
    client.book(2)
    assert story.kinds() == ["duplicate"]
    client.returns()
    client.book(1)
    assert story.kinds() == ["duplicate", "went back"]


def test_a_delta_that_continues_something_else_is_caught(story: Story) -> None:
    """Its prev_seq is not what the client was shown last."""
    client = story.client(BOOKS)
    for number in (1, 2, 3):
        story.published(BOOKS, number)
    client.book(1)
    client.delta(2, 3)
    assert story.kinds() == ["hole"]


def test_a_delta_without_a_book_is_caught(story: Story) -> None:
    """After a confirmation comes a whole book first."""
    client = story.client(BOOKS)
    client.confirmed(BOOKS, 1)
    client.delta(1, 2)
    assert story.kinds() == ["hole"]


def test_a_delta_whose_checksum_disagrees_is_caught(story: Story) -> None:
    """The book may be right, and the proof wrong."""
    client = story.client(BOOKS)
    for number in (1, 2):
        story.published(BOOKS, number)
    client.book(1)
    client.delta(1, 2, checksum=7)
    assert story.kinds() == ["checksum"]


def test_a_delta_that_leaves_something_out_is_caught(story: Story) -> None:
    """The book that it makes is none that was published, and doesn't add up."""
    client = story.client(BOOKS)
    for number in (1, 2):
        story.published(BOOKS, number)
    client.book(1)
    best = book_of("P0", 2)["bids"][0]
    client.delta(1, 2, data={"bids": [best], "asks": []})
    assert sorted(story.kinds()) == ["checksum", "content"]


def test_a_base_clients_book_that_goes_back_is_caught(story: Story) -> None:
    """In one epoch; the same one once more is allowed after a reconnection, and only then."""
    client = story.client(BOOKS, base=True)
    for number in (1, 2):
        story.published(BOOKS, number)
    client.base_book(2)
    client.returns()
    client.base_book(2)
    assert story.kinds() == []
    client.base_book(2)
    assert story.kinds() == ["duplicate"]
    client.base_book(1)
    assert story.kinds() == ["duplicate", "went back"]


def test_a_base_clients_book_may_go_back_to_another_epoch(story: Story) -> None:
    """What Redis has lost, clients have seen; it is noted all the same."""
    client = story.client(BOOKS, base=True)
    story.published(BOOKS, 1, outcome="unknown", ended=PATIENT)
    story.published(BOOKS, 2, epoch="e")
    client.base_book(2)
    other = story.client(BOOKS)
    other.book(1, epoch="f")
    client.base_book(1)
    verdict = story.judged()
    assert verdict.violations == []
    assert [one.kind for one in verdict.excused] == ["went back"]


def test_a_base_clients_book_that_was_changed_is_caught(story: Story) -> None:
    """It is the book as published, field for field."""
    client = story.client(BOOKS, base=True)
    story.published(BOOKS, 1)
    client.base_book(1, more="than there was")
    assert story.kinds() == ["content"]


def test_a_base_client_that_finds_nothing_when_it_comes_back_is_caught(story: Story) -> None:
    """It doesn't subscribe again, since it relies on the server."""
    client = story.client(BOOKS, base=True)
    story.published(BOOKS, 1)
    client.base_book(1)
    client.returns()
    story.now += PATIENT
    client.happens("stopped")
    assert story.kinds() == ["no books after coming back"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [("node killed", ["session lost"]), ("redis paused", [])]
)
def test_a_session_that_is_lost_is_caught_unless_redis_was_away(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """A node that is gone is no reason."""
    client = story.client(TRADES)
    story.fault(fault)
    client.returns()
    client.happens("resubscribed", detail=TRADES)
    assert story.kinds() == kinds


@pytest.mark.parametrize(("waits", "kinds"), [(0.0, []), (1.0, ["session lost"])])
def test_what_a_killed_node_had_just_confirmed_may_be_lost(
    story: Story, waits: float, kinds: list[str]
) -> None:
    """It saves what it confirms in the background."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.now += waits
    story.history.faults.append(Fault("node killed", story.now, story.now + 1, client.node))
    client.returns()
    client.happens("resubscribed", detail=TRADES)
    assert story.kinds() == kinds


@pytest.mark.parametrize(("waits", "kinds"), [(0.0, []), (1.0, ["no books after coming back"])])
def test_books_that_a_killed_node_had_just_confirmed_may_stay_away(
    story: Story, waits: float, kinds: list[str]
) -> None:
    """Clients of the base protocol aren't told."""
    client = story.client(BOOKS, base=True)
    client.hears("subscription_confirmed", BOOKS)
    story.published(BOOKS, 1)
    client.base_book(1)
    story.now += waits
    story.history.faults.append(Fault("node killed", story.now, story.now + 1, client.node))
    client.returns()
    story.now += 8.0
    client.happens("lost")
    assert story.kinds() == kinds


@pytest.mark.parametrize(
    ("fault", "kinds"), [("redis paused", ["session lost"]), ("redis killed, empty", [])]
)
def test_a_base_client_finds_its_session_unless_redis_has_lost_it(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """It doesn't know that Redis was away when it came, and says nothing afterwards."""
    client = story.client(BOOKS, base=True)
    story.fault(fault)
    client.returns()
    client.happens("resubscribed")
    assert story.kinds() == kinds


@pytest.mark.parametrize("base", [False, True])
def test_a_connected_client_that_is_told_nothing_is_caught(story: Story, base: bool) -> None:
    """While others publish, and nothing is broken."""
    client = story.client(BOOKS, base=base)
    tell = client.base_book if base else client.book
    for number in (1, 2, 3, 4, 5):
        story.published(BOOKS, number, after=2)
        if number in (1, 5):
            tell(number)
    assert story.kinds() == ["silence"]


def test_a_client_may_be_told_nothing_while_something_is_broken(story: Story) -> None:
    """And for a moment after that."""
    client = story.client(BOOKS)
    story.published(BOOKS, 1)
    client.book(1)
    story.fault("redis paused")
    story.history.faults[0].until += 4
    for number in (2, 3, 4):
        story.published(BOOKS, number, after=2)
    client.book(4)
    assert story.kinds() == []


def test_a_client_that_is_not_connected_is_told_nothing(story: Story) -> None:
    """What it waits for then is no silence."""
    client = story.client(BOOKS)
    client.happens("lost")
    for number in (1, 2, 3, 4):
        story.published(BOOKS, number, after=2)
    client.happens("opened")
    client.book(4)
    assert story.kinds() == []


def test_clients_that_lack_the_last_publication_are_caught(story: Story) -> None:
    """Of trades and of books, in both protocols."""
    v1, base = story.client(TRADES, BOOKS), story.client(BOOKS, base=True)
    v1.confirmed(TRADES)
    story.published(TRADES, 1)
    story.published(TRADES, 2, final=True)
    story.published(BOOKS, 1)
    story.published(BOOKS, 2, final=True)
    v1.trades(1)
    v1.book(1)
    base.base_book(1)
    assert story.kinds(converges=True) == ["not converged"] * 3


def test_an_error_that_nobody_provoked_is_caught(story: Story) -> None:
    """Clients say nothing wrong here."""
    client = story.client(TRADES)
    client.hears("error", TRADES, code="internal_error", message="?")
    assert story.kinds() == ["error"]


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [("redis paused", []), ("node paused", []), ("node killed", ["error"])],
)
def test_a_node_may_not_reach_redis_while_it_is_away_or_hung_itself(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """A node that was paused didn't hear the answer in time."""
    client = story.client(TRADES)
    story.fault(fault)
    client.hears("error", TRADES, code="engine_unavailable", message="?")
    assert story.kinds() == kinds


def test_a_base_client_that_subscribes_again_is_shown_the_newest_again(story: Story) -> None:
    """As a new subscription is."""
    client = story.client(BOOKS, base=True)
    story.published(BOOKS, 1)
    client.base_book(1)
    client.hears("subscription_confirmed", BOOKS)
    client.base_book(1)
    assert story.kinds() == []
    client.base_book(1)
    assert story.kinds() == ["duplicate"]


def test_a_base_client_whose_session_redis_lost_is_silent_until_it_subscribes(story: Story) -> None:
    """Nobody tells it that the session is lost, over several connections."""
    client = story.client(BOOKS, base=True)
    story.published(BOOKS, 1)
    client.base_book(1)
    story.fault("redis killed, empty")
    client.returns()
    for number in (2, 3, 4, 5, 6, 7, 8):
        story.published(BOOKS, number, after=2)
    client.returns()
    client.happens("resubscribed")
    client.hears("subscription_confirmed", BOOKS)
    client.base_book(8)
    assert story.kinds() == []
    for number in (9, 10, 11):
        story.published(BOOKS, number, after=2)
    client.base_book(11)
    assert story.kinds() == ["silence"]
