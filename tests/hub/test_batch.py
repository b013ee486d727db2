from bookcast.hub.batch import Batch
from bookcast.hub.view import Subscription, View
from bookcast.hub.view_spec import ViewSpec
from tests.support import AAPL, RecordingOutbox


def view(*outboxes: RecordingOutbox) -> View:
    made = View(ViewSpec("base", "AAPL"), None)
    for outbox in outboxes:
        subscription = Subscription(outbox, AAPL, made)
        made.hold(subscription, None)
        made.let_go(subscription)
    return made


def test_clients_of_the_same_views_get_the_same_bytes() -> None:
    """Joined once, whatever their number."""
    first, second = RecordingOutbox(), RecordingOutbox()
    batch = Batch()
    for name in (b"a", b"b", b"c"):
        batch.append(view(first, second), name)
    batch.write()
    assert first.writes == second.writes == [b"abc"]
    assert first.writes[0] is second.writes[0]


def test_clients_of_different_views_get_one_write_each_as_well() -> None:
    """With what each of them sees."""
    first, second, third = RecordingOutbox(), RecordingOutbox(), RecordingOutbox()
    batch = Batch()
    batch.append(view(first, second), b"a")
    batch.append(view(second, third), b"b")
    batch.append(view(third), b"c")
    batch.write()
    assert (first.writes, second.writes, third.writes) == ([b"a"], [b"ab"], [b"bc"])


def test_who_falls_behind_meanwhile_still_gets_what_it_counts_as_shown() -> None:
    """Its place in the sequence was decided before."""
    outbox = RecordingOutbox()
    seen = view(outbox)
    batch = Batch()
    batch.append(seen, b"a")
    for subscription in list(seen.live):
        seen.hold(subscription, None)
    batch.write()
    assert outbox.writes == [b"a"]


def test_many_groups_of_clients_are_not_compared_with_each_other() -> None:
    """Past a few, each view is its own group, and a client still gets one write."""
    outboxes = [RecordingOutbox() for _ in range(20)]
    batch = Batch()
    for outbox in outboxes * 2:
        batch.append(view(outbox), b"x")
    batch.write()
    assert [outbox.writes for outbox in outboxes] == [[b"xx"]] * 20
