from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.schedule import PHASES, next_due
from bookcast.hub.view_spec import ViewSpec
from tests.hub.world import V1, World
from tests.support import (
    AAPL,
    TRADES,
    TSLA,
)


def test_a_busy_view_keeps_its_beat() -> None:
    """However late its timer was, within reason."""
    assert next_due(10.27, 0.1, 10.25) == pytest.approx(10.35)
    assert next_due(10.31, 0.1, 10.25) == pytest.approx(10.425)


@given(st.floats(0, 1e6), st.sampled_from([0.01, 0.1, 0.25, 1.0, 60.0]))
def test_a_quiet_view_waits_for_an_interval_and_little_more(now: float, interval: float) -> None:
    """Until a moment that it shares with others."""
    due = next_due(now, interval, None)
    assert interval * 0.999 <= due - now <= interval * (1 + 1 / PHASES) * 1.001
    moments = due / (interval / PHASES)
    assert moments == pytest.approx(round(moments))


def test_a_view_with_an_interval_shows_the_newest_state_once_in_it() -> None:
    """A quiet one at once, a busy one on time, and it always ends on the latest."""
    world = World()
    outbox = world.client(spec=V1._replace(interval_ms=100))
    plain = world.client()
    world.timer.now = 10.035
    world.publish(1)
    world.timer.run_until(10.035)
    assert outbox.writes == [b"<AAPL pending>", b"<AAPL 1>", b"<AAPL live>"]
    for moment in range(1, 60):
        world.timer.run_until(10.035 + moment / 100)
        world.publish(1 + moment)
    world.timer.run()
    assert len(plain.writes) == 60
    # At 10.035, then at a quarter of the interval that all views share: 10.15, 10.25, ...
    assert outbox.writes[3:] == [b"<AAPL %d>" % seq for seq in (12, 22, 32, 42, 52, 60)]
    assert world.hub.word(outbox, AAPL).tally.sent == 7


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60))
def test_two_updates_of_a_view_are_an_interval_apart_and_none_waits_much_longer(
    pauses: list[float],
) -> None:
    """At most a quarter of it."""
    world = World()
    outbox = world.client(spec=ViewSpec("base", "AAPL", interval_ms=100))
    shown: list[float] = []
    outbox.on_write = lambda: shown.append(world.timer.now)
    for number, pause in enumerate(pauses, start=1):
        world.timer.run_until(world.timer.now + pause)
        published = world.timer.now
        world.publish(number)
    world.timer.run()
    assert all(later - earlier > 0.1 - 0.0041 for earlier, later in pairwise(shown))
    assert shown[-1] - published <= 0.1251
    assert outbox.writes[-1] == b"<AAPL %d>" % len(pauses)


def test_views_with_one_interval_share_their_writes() -> None:
    """What is busy comes out together, topic by topic, in one write."""
    world = World()
    spec = ViewSpec("base", "AAPL", interval_ms=100)
    outbox = world.client(spec=spec)
    world.subscribe(outbox, TSLA, spec._replace(requested_symbol="TSLA"))
    for moment in range(40):
        world.timer.run_until(10.004 + moment / 100)
        world.publish(moment + 1, topic=(AAPL, TSLA)[moment % 2])
    world.timer.run()
    assert all(write.count(b"<") == 2 for write in outbox.writes[2:])


def test_a_newcomer_to_a_view_with_an_interval_begins_where_the_others_stand() -> None:
    """It shares their place in the sequence, and what comes next with them."""
    world = World()
    spec = ViewSpec("base", "AAPL", interval_ms=100)
    old = world.client(spec=spec)
    world.timer.now = 10.0
    world.publish(1)
    world.timer.run_until(10.0)
    world.publish(2)
    world.timer.run_until(10.01)
    newcomer = world.client(spec=spec)
    world.timer.run()
    assert newcomer.writes == [b"<AAPL 1>", b"<AAPL 2>"] == old.writes


def test_updates_that_only_an_interval_waits_for_cause_no_flush() -> None:
    """A thousand of them cost no more than the one that is shown."""
    world = World()
    outbox = world.client(spec=V1._replace(interval_ms=100))
    world.timer.now = 10.0
    world.publish(1, 2)
    world.timer.run_until(10.0)
    world.publish(3)
    world.timer.run_until(10.0)
    for seq in range(4, 1000):
        world.publish(seq)
        assert len(world.timer.calls) == 1  # the end of the interval
    world.timer.run()
    assert outbox.writes[-1] == b"<AAPL 999>"
    assert world.hub.word(outbox, AAPL).tally == (999, 2, 0, 0)
    assert world.hub.conflated == 0


def test_a_newcomer_does_not_wait_for_somebody_elses_interval() -> None:
    """It begins with the newest state, or the newest trades, at once."""
    world = World()
    patient = ViewSpec("base", "AAPL", interval_ms=60_000)
    for topic in (AAPL, TRADES):
        world.client(topic, patient)
    for seq in range(1, 5):
        for topic in (AAPL, TRADES):
            world.publish(seq, topic=topic)
        world.timer.run_until(world.timer.now + 0.01)
    assert world.client().writes == [b"<AAPL 4>"]
    assert world.client(TRADES, history=9).writes == [b"<AAPL 1><AAPL 2><AAPL 3><AAPL 4>"]
    interested = world.client(TRADES, patient)
    word = world.hub.word(interested, TRADES)
    assert word.tally.received == word.tally.sent + word.queued
