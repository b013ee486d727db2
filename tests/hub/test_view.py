from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.view import MAX_CATCH_UPS, Subscription, View
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.updates import Update
from tests.support import AAPL, RecordingOutbox, update

SPEC = ViewSpec("base", "AAPL")
at = Cursor.at


def joined(view: View, outbox: RecordingOutbox | None = None) -> Subscription:
    subscription = Subscription(outbox or RecordingOutbox(), AAPL, view)
    view.hold(subscription, None)
    return subscription


def test_those_who_fell_behind_at_one_place_share_what_brings_them_up_to_date() -> None:
    """It is rendered once, and forgotten when the view goes on."""
    view = View(SPEC, at(update(5)))
    rendered: list[int] = []

    def render(newest: Update) -> RenderedStep:
        rendered.append(newest.position.seq)
        return RenderedStep(b"x", at(newest), 1)

    for last in (at(update(1)), at(update(1)), at(update(2)), None, None):
        assert view.catch_up_from(last, render).frames == b"x"
    assert rendered == [5, 5, 5]
    view.advance(RenderedStep(b"y", at(update(6)), 1), now=1.0)
    view.catch_up_from(at(update(1)), render)
    assert rendered == [5, 5, 5, 6]


def test_what_is_kept_to_catch_up_is_bounded() -> None:
    """However many places clients were left at."""
    view = View(SPEC, at(update(1000)))
    for seq in range(500):
        view.catch_up_from(at(update(seq)), lambda newest: RenderedStep(b"x", at(newest), 1))
        assert len(view._catch_ups) <= MAX_CATCH_UPS


def test_who_was_shown_the_newest_needs_nothing() -> None:
    """Nor does anybody, while there is nothing to show."""
    view = View(SPEC, None)
    assert view.catch_up_from(None, lambda _newest: RenderedStep(b"x", None, 1)).frames == b""
    newest = at(update(1))
    view.advance(RenderedStep(b"y", newest, 1), now=1.0)
    assert view.catch_up_from(newest, lambda _newest: RenderedStep(b"x", None, 1)).frames == b""


def test_only_the_ready_are_written_to() -> None:
    """Those who come, go or fall behind change who that is."""
    view = View(SPEC, None)
    first, second = joined(view), joined(view)
    assert (view.outboxes(), view.writes(), view.appends()) == ((), (), ())
    view.let_go(first)
    view.let_go(second)
    assert view.outboxes() == (first.outbox, second.outbox)
    assert view.writes() == (first.outbox.write, second.outbox.write)
    view.hold(first, None)
    assert view.outboxes() == (second.outbox,)
    assert view.appends() == (second.outbox.append,)
    view.leave(second)
    assert view.outboxes() == ()
    view.leave(first)
    assert not view.lagging


def test_a_step_that_shows_nothing_moves_nobody() -> None:
    """The place in the sequence stays where the last frame left it."""
    first = at(update(1))
    view = View(SPEC, first)
    view.advance(RenderedStep(b"", first, 0), now=9.0)
    assert (view.cursor, view.shown_at, view.tally()) == (first, 0.0, (0, 0, 0, 0))


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
