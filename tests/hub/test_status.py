import functools

import pytest

from bookcast.hub.status import Status, status_of
from bookcast.model.feed_state import FeedState, Quota
from bookcast.model.topics import Symbol
from bookcast.model.updates import Position, PublisherGone, Update
from tests.support import update

ALIVE, DEAD = FeedState("futu"), FeedState("futu", "feed_down", "OpenD closed")
CLOSED, HALTED = FeedState("futu", "closed", "over"), FeedState("futu", "halted", "suspended")
REFUSED = FeedState("futu", "pending", "no right", refusal="no right")


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
    newest: Update | None, age_s: float, supply: FeedState | None, state: str, word: str | None
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
    waiting = FeedState("futu", "pending", "the quota is full", quota=quota)
    assert status_of(None, now_ms=0, stale_after=0, supply=waiting).quota == quota
    polled = FeedState("snapshot", "live", "no push", 1000, refusal="no right")
    status = status_of(update(1), now_ms=5, stale_after=0, supply=polled)
    assert (status.state, status.source, status.every_ms) == ("live", "snapshot", 1000)
    assert status.refusal == "no right"
    assert not status.goes_without_saying
    unknown = REFUSED._replace(did_you_mean=(Symbol("HK.00700"),))
    assert status_of(None, now_ms=0, stale_after=0, supply=unknown).did_you_mean == ("HK.00700",)


def test_what_a_feed_never_gives_stands_as_without_a_feed_once_it_is_published() -> None:
    """Before that, the feed's refusal is told."""
    supply = FeedState("futu", "pending", "never", refusal="never", only_published=True)
    before = status_of(None, now_ms=0, stale_after=30, supply=supply)
    assert (before.state, before.refusal) == ("pending", "never")
    for age_ms in (10, 5000, 60_000):
        after = status_of(update(1), now_ms=age_ms, stale_after=30, supply=supply)
        assert after == status_of(update(1), now_ms=age_ms, stale_after=30, supply=None)
        assert after.refusal is None


def test_ages_and_times_left_are_no_news() -> None:
    """They change all the time."""
    one = Status("pending", 5, "full", "futu", quota=Quota(1, 1, 500))
    assert one.news == one._replace(age_ms=7, quota=Quota(1, 1, 400)).news
    assert one.news != one._replace(quota=Quota(1, 2, 400)).news
    assert one.news != one._replace(quota=Quota(1, 1, None)).news  # nothing will come free
    assert one.news != one._replace(reason="no right").news
    stale = Status("stale", 5, "no update for 30 s")
    assert stale.news == stale._replace(reason="no update for 31 s").news


def test_a_changed_reason_is_news_where_it_tells_something() -> None:
    """A book with fewer levels is live, and its subscribers want to know."""
    live = Status("live", 5, None, "futu")
    fewer = live._replace(reason="books have the best level only")
    assert live.news != fewer.news
    assert live.goes_without_saying
    assert not fewer.goes_without_saying
    halted = Status("halted", 5, "its trading is suspended", "futu")
    assert halted.news != halted._replace(reason="it is delisted").news
    closed = Status("closed", 5, "the market has its lunch break", "futu")
    assert closed.news != closed._replace(reason="the market is closed").news


def test_what_is_polled_is_closed_although_it_is_fresh() -> None:
    """A feed that asks each second gets an answer each second."""
    supply = FeedState("snapshot", "closed", "the market is closed", every_ms=1000)
    status = status_of(update(1), now_ms=500, stale_after=0, supply=supply)
    assert (status.state, status.reason) == ("closed", "the market is closed")
    pushed = status_of(update(1), now_ms=500, stale_after=0, supply=CLOSED)
    assert pushed.state == "live"


def test_a_topic_whose_publisher_is_gone_is_stale() -> None:
    """However fresh it is, unless somebody has published since or its feed says something worse."""
    newest, gone = update(3), PublisherGone(Position("e", 3), "its publisher is gone")
    judge = functools.partial(status_of, newest, now_ms=0, stale_after=0)
    told = judge(supply=None, gone=gone)
    assert (told.state, told.reason) == ("stale", "its publisher is gone")
    assert judge(supply=FeedState("futu"), gone=gone).state == "stale"
    assert judge(supply=FeedState("futu", "halted"), gone=gone).state == "halted"
    for other in (Position("e", 2), Position("f", 3)):
        assert judge(supply=None, gone=gone._replace(position=other)).state == "live"
