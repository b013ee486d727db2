from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.view import Subscription, View
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor
from tests.support import AAPL, RecordingOutbox, update


def see(view: View, *, received: int, sent: int = 0, unchanged: int = 0) -> None:
    view.received += received
    view.unchanged += unchanged
    view.advance(RenderedStep(b"x", Cursor.at(update(view.received)), sent), now=0.0)


def test_a_client_counts_what_its_view_counts_since_it_came() -> None:
    """What came before is nothing to it."""
    view = View(ViewSpec("v1", "AAPL"), None)
    see(view, received=5, sent=5)
    subscription = Subscription(RecordingOutbox(), AAPL, view)
    see(view, received=3, sent=2, unchanged=1)
    assert subscription.tally(lagging=False) == DeliveryCounts(received=3, sent=2, unchanged=1)


def test_what_comes_while_a_client_is_held_is_decided_when_it_catches_up() -> None:
    """Until then it has come, and nothing of it was sent."""
    view = View(ViewSpec("v1", "AAPL"), None)
    subscription = Subscription(RecordingOutbox(), AAPL, view)
    subscription.catch_up(sent=0, gapped=0)
    see(view, received=2, sent=2)
    subscription.hold()
    see(view, received=4, sent=4)
    assert subscription.tally(lagging=True) == DeliveryCounts(received=6, sent=2)
    subscription.catch_up(sent=1, gapped=2)
    see(view, received=1, sent=1)
    assert subscription.tally(lagging=False) == DeliveryCounts(received=7, sent=4, gapped=2)


def test_what_a_newcomer_is_shown_had_come_before() -> None:
    """It counts as received and sent."""
    view = View(ViewSpec("v1", "AAPL"), None)
    see(view, received=9, sent=9)
    subscription = Subscription(RecordingOutbox(), AAPL, view)
    see(view, received=2, sent=2)
    subscription.catch_up(sent=1, gapped=0)
    assert subscription.tally(lagging=False) == DeliveryCounts(received=1, sent=1)
