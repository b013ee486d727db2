import pytest

from bookcast.hub.status import Feed, status_of
from bookcast.model import Update
from tests.support import update

ALIVE, DEAD = Feed("futu", alive=True), Feed("futu", alive=False, detail="OpenD closed")


@pytest.mark.parametrize(
    ("newest", "age_s", "feed", "state", "word"),
    [
        (None, 0, None, "pending", "nothing has been published"),
        (None, 0, ALIVE, "pending", "nothing has been published"),
        (None, 0, DEAD, "feed_down", "OpenD closed"),
        (update(1), 5, None, "live", None),
        (update(1), 31, None, "stale", "no update for 31 s"),
        (update(1), 31, ALIVE, "stale", "the feed is alive, the market is quiet"),
        (update(1), 31, DEAD, "feed_down", "OpenD closed"),
        (update(1), 2, DEAD, "feed_down", "OpenD closed"),
        (update(1), 0.5, DEAD, "live", None),
    ],
)
def test_a_quiet_market_and_a_dead_feed_are_told_apart(
    newest: Update | None, age_s: float, feed: Feed | None, state: str, word: str | None
) -> None:
    """By the feed's own life; what is fresh is live, wherever it comes from."""
    status = status_of(newest, now_ms=age_s * 1000, stale_after=30, feed=feed)
    assert status.state == state
    assert (status.reason is None) == (word is None)
    assert (word or "") in (status.reason or "")
    assert status.age_ms == (age_s * 1000 if newest else None)
    assert status.source == (feed.name if feed else None)


def test_without_a_threshold_nothing_becomes_stale() -> None:
    """However long it takes."""
    assert status_of(update(1), now_ms=1e12, stale_after=0, feed=None).state == "live"
