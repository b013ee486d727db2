from bookcast.hub.topic import MAX_WAITING, LiveTopic
from bookcast.hub.view import ViewSpec
from tests.support import update


def test_updates_wait_in_order_until_taken() -> None:
    """Taking empties the topic and notes the last as emitted."""
    live = LiveTopic()
    assert [live.add(update(seq)) for seq in (1, 2, 3)] == [0, 0, 0]
    assert [waiting.position.seq for waiting in live.take()] == [1, 2, 3]
    assert live.take() == []
    assert live.emitted is not None
    assert live.emitted.position.seq == 3


def test_past_the_bound_the_newest_takes_the_last_place() -> None:
    """What waits is bounded, and always ends on the newest."""
    live = LiveTopic()
    displaced = sum(live.add(update(seq)) for seq in range(1, 101))
    taken = [waiting.position.seq for waiting in live.take()]
    assert len(taken) == MAX_WAITING
    assert taken[-1] == 100
    assert displaced == 100 - MAX_WAITING


def test_equal_specs_share_a_view() -> None:
    """A view is made once per spec."""
    live = LiveTopic()
    views = [live.view(ViewSpec("base", name), lambda _s, _u: b"") for name in ("A", "A", "B")]
    assert views[0] is views[1]
    assert views[0] is not views[2]
