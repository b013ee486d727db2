import functools

import pytest

from bookcast.hub.status import Status, status_of
from bookcast.model import Gone, Position, Quota, Supply, Update
from tests.support import update

ALIVE, DEAD = Supply("futu"), Supply("futu", "feed_down", "OpenD closed")
CLOSED, HALTED = Supply("futu", "closed", "over"), Supply("futu", "halted", "suspended")
REFUSED = Supply("futu", "pending", "no right", refusal="no right")


@pytest.mark.parametrize(
    ("newest", "age_s", "supply", "state", "word"),
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
        (None, 0, CLOSED, "closed", "over"),
        (update(1), 2, CLOSED, "closed", "over"),
        (update(1), 0.5, CLOSED, "live", None),
        (update(1), 0.5, HALTED, "halted", "suspended"),
        (None, 0, REFUSED, "pending", "no right"),
    ],
)
def test_a_quiet_market_and_a_dead_feed_are_told_apart(
    newest: Update | None, age_s: float, supply: Supply | None, state: str, word: str | None
) -> None:
    """By the feed's own life; what is fresh is live, wherever it comes from."""
    status = status_of(newest, now_ms=age_s * 1000, stale_after=30, supply=supply)
    assert status.state == state
    assert (status.reason is None) == (word is None)
    assert (word or "") in (status.reason or "")
    assert status.age_ms == (age_s * 1000 if newest else None)
    assert status.source == (supply.source if supply else None)


def test_without_a_threshold_nothing_becomes_stale() -> None:
    """However long it takes."""
    assert status_of(update(1), now_ms=1e12, stale_after=0, supply=None).state == "live"


def test_what_a_feed_says_is_passed_on() -> None:
    """The quota it waits for, who refuses, and how it gets data otherwise."""
    quota = Quota(100, 100, 5000)
    waiting = Supply("futu", "pending", "the quota is full", quota=quota)
    assert status_of(None, now_ms=0, stale_after=0, supply=waiting).quota == quota
    polled = Supply("snapshot", "live", "no push", 1000, refusal="no right")
    status = status_of(update(1), now_ms=5, stale_after=0, supply=polled)
    assert (status.state, status.source, status.every_ms) == ("live", "snapshot", 1000)
    assert status.refusal == "no right"
    assert not status.goes_without_saying


def test_ages_and_times_left_are_no_news() -> None:
    """They change all the time."""
    one = Status("pending", 5, "full", "futu", quota=Quota(1, 1, 500))
    assert one.news == one._replace(age_ms=7, quota=Quota(1, 1, 400)).news
    assert one.news != one._replace(quota=Quota(1, 2, 400)).news
    assert one.news != one._replace(reason="no right").news
    stale = Status("stale", 5, "no update for 30 s")
    assert stale.news == stale._replace(reason="no update for 31 s").news


def test_a_topic_whose_publisher_is_gone_is_stale() -> None:
    """However fresh it is, unless somebody has published since or its feed says something worse."""
    newest, gone = update(3), Gone(Position("e", 3), "its publisher is gone")
    judge = functools.partial(status_of, newest, now_ms=0, stale_after=0)
    told = judge(supply=None, gone=gone)
    assert (told.state, told.reason) == ("stale", "its publisher is gone")
    assert judge(supply=Supply("futu"), gone=gone).state == "stale"
    assert judge(supply=Supply("futu", "halted"), gone=gone).state == "halted"
    for other in (Position("e", 2), Position("f", 3)):
        assert judge(supply=None, gone=gone._replace(position=other)).state == "live"
