"""What a client may receive of candles: a history that breaks a promise is caught."""

from __future__ import annotations

import pytest

from tests.history.story import CANDLES, Story

FINAL = 4
"""The first number of a final candle; those before it are of one that is forming."""


def published(story: Story, count: int) -> None:
    """Publish so many states of candles."""
    for number in range(1, count + 1):
        story.published(CANDLES, number)


def test_forming_candles_may_be_left_out_and_final_ones_come(story: Story) -> None:
    """Also over a lost connection."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES, None, None)
    published(story, 12)
    client.candle(1)
    client.candle(3)
    client.candle(FINAL)
    client.candle(7)
    client.returns()
    client.candle(8)
    client.candle(12)
    assert story.judged().violations == []


def test_a_final_candle_that_never_comes_is_caught(story: Story) -> None:
    """Nothing in the numbers shows it."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES)
    published(story, 6)
    client.candle(1)
    client.candle(5)
    assert story.kinds() == ["lost"]


def test_a_newcomer_is_promised_what_comes_after_its_confirmation(story: Story) -> None:
    """Earlier final candles it hasn't asked for."""
    client, late = story.client(CANDLES), story.client(CANDLES)
    published(story, 9)
    client.confirmed(CANDLES, FINAL)
    client.candle(9)
    late.confirmed(CANDLES, 8)
    late.candle(9)
    assert story.kinds() == ["lost"]


def test_a_gap_that_names_a_final_candle_covers_it(story: Story) -> None:
    """And one that names others doesn't."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES)
    published(story, 9)
    client.candle(1)
    story.fault("redis paused")
    client.gap(2, FINAL, topic=CANDLES)
    client.candle(5)
    assert story.kinds() == []
    client.candle(9)
    assert story.kinds() == ["lost"]


def test_a_final_candle_that_comes_twice_is_caught(story: Story) -> None:
    """At its own place, or at another."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES)
    published(story, FINAL)
    client.candle(1)
    client.candle(FINAL)
    client.returns()
    client.candle(FINAL)
    assert story.kinds() == ["duplicate"]
    client.candle(FINAL, seq=5)
    assert sorted(story.kinds()) == ["duplicate", "duplicate", "published twice"]


def test_a_candle_that_goes_back_is_caught(story: Story) -> None:
    """A newer one was shown before."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES)
    published(story, 3)
    client.candle(3)
    client.candle(2)
    assert story.kinds() == ["reordered"]


def test_a_candle_that_was_changed_is_caught(story: Story) -> None:
    """All of it follows from its number."""
    client = story.client(CANDLES)
    client.confirmed(CANDLES)
    published(story, 1)
    client.candle(1, high=999)
    assert story.kinds() == ["content"]


def test_candles_of_another_epoch_need_a_gap(story: Story) -> None:
    """Whether final or forming."""
    client, other = story.client(CANDLES), story.client(CANDLES)
    client.confirmed(CANDLES)
    other.confirmed(CANDLES)
    story.published(CANDLES, 1)
    client.candle(1)
    other.candle(1)
    story.fault("redis killed, empty")
    story.published(CANDLES, 2, epoch="f")
    client.candle(2, epoch="f")
    other.gap(None, None, "f", topic=CANDLES)
    other.candle(2, epoch="f")
    assert story.kinds() == ["hole"]


@pytest.mark.parametrize(("number", "kinds"), [(3, []), (FINAL, ["published twice"])])
def test_a_forming_candle_is_told_again_when_redis_has_lost_it(
    story: Story, number: int, kinds: list[str]
) -> None:
    """A final one isn't: it would come twice."""
    one, other = story.client(CANDLES), story.client(CANDLES)
    story.published(CANDLES, number)
    one.confirmed(CANDLES, number - 1)
    one.candle(number)
    story.fault("redis killed, empty")
    other.confirmed(CANDLES, None, None)
    other.candle(number, epoch="new", seq=1)
    assert story.kinds() == kinds
