"""Who on this node wants a topic."""

from __future__ import annotations

from bookcast.engine.interests import Interests
from bookcast.model.topic_log import LogRules, StateLog
from bookcast.model.topics import Topic
from tests.support import AAPL, TSLA, update


class World:
    """Interests, and what they tell of whom wants what."""

    def __init__(self) -> None:
        self.told: list[tuple[Topic, str | None]] = []
        self.interests = Interests(
            LogRules().log_of, lambda topic, want: self.told.append((topic, want))
        )


def test_the_first_interest_begins_the_demand_and_the_last_ends_it() -> None:
    """Closing one twice counts once."""
    world = World()
    first, second = world.interests.open(AAPL), world.interests.open(AAPL)
    first.close()
    first.close()
    assert AAPL in world.interests
    assert world.told == [(AAPL, "subscribed")]
    second.close()
    assert world.told == [(AAPL, "subscribed"), (AAPL, None)]
    assert (AAPL in world.interests, world.interests.want(AAPL)) == (False, None)


def test_what_subscribers_and_reads_want_is_the_subscribers() -> None:
    """When the last of them goes, reads alone want it."""
    world = World()
    read = world.interests.open(AAPL, reads=True)
    subscribed = world.interests.open(AAPL)
    assert world.interests.want(AAPL) == "subscribed"
    subscribed.close()
    assert world.interests.want(AAPL) == "read"
    read.close()
    assert [want for _, want in world.told] == ["read", "subscribed", "read", None]


def test_whoever_goes_on_with_a_topic_opens_before_the_other_closes() -> None:
    """So nobody is told that it isn't wanted."""
    world = World()
    old = world.interests.open(AAPL)
    new = old.share()
    old.close()
    assert world.told == [(AAPL, "subscribed")]
    assert new.log is old.log
    reads = world.interests.open(TSLA, reads=True)
    assert reads.share().reads


def test_all_of_a_topic_share_its_log() -> None:
    """Those who want none of it find none."""
    world = World()
    first, second = world.interests.open(AAPL), world.interests.open(AAPL, reads=True)
    assert first.log is second.log is world.interests.log(AAPL)
    assert world.interests.log(TSLA) is None


def test_what_was_kept_for_readers_alone_goes_with_the_last() -> None:
    """A log nobody reads is its newest update."""
    world = World()
    interest = world.interests.open(AAPL)
    assert isinstance(interest.log, StateLog)
    interest.log.keep_all()
    for seq in (1, 2):
        interest.log.append(update(seq))
    assert len(interest.log.past()) == 2
    interest.close()
    assert len(interest.log.past()) == 1
