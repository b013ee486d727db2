from typing import Any

import pytest

from bookcast.sessions.base import SessionRules
from bookcast.sessions.message_budget import MessageBudget
from tests.support import ManualTimer


def allowance(**rates: Any) -> tuple[MessageBudget, ManualTimer]:
    timer = ManualTimer()
    timer.now = 1000.0
    return MessageBudget(SessionRules(clock=timer.clock, **rates)), timer


def test_messages_and_publications_have_rates_of_their_own() -> None:
    """What is too much is refused with when it may be tried again, under its setting's name."""
    one, timer = allowance(message_rate=2, publish_rate=1)
    assert [one(False) for _ in range(20)] == [None] * 20
    assert [one(True) for _ in range(10)] == [None] * 10
    refusal = one(False)
    assert refusal is not None
    assert (refusal.code, refusal.reason) == ("rate_limited", "message_rate")
    assert refusal.retry_after == 0.5
    assert "MESSAGE_RATE is 2 a second" in refusal.message
    timer.now += 0.5
    assert one(False) is None
    late = one(True)
    assert late is not None
    assert "PUBLISH_RATE" in late.message
    assert late.reason == "publish_rate"


def say(one: MessageBudget, timer: ManualTimer, rate: float, seconds: float, kind: bool) -> None:
    """Send so many messages a second, evenly."""
    for _ in range(round(rate * seconds)):
        timer.now += 1 / rate
        one(kind)


@pytest.mark.parametrize(
    ("kind", "rate", "abused"),
    [
        (False, 10 * 1.9, False),
        (False, 10 * 2.2, True),
        (False, 10 * 60, True),
        (True, 10 * 2.9, False),
        (True, 10 * 3.2, True),
        (True, 10 * 60, True),
    ],
)
def test_a_client_that_goes_on_as_if_nothing_was_refused_abuses_it(
    kind: bool, rate: float, abused: bool
) -> None:
    """More than 10 (of publications 20) times the rate, refused in 10 s; some pass in between."""
    one, timer = allowance(message_rate=10, publish_rate=10)
    say(one, timer, rate, seconds=60, kind=kind)
    assert one.is_abused is abused


def test_many_short_bursts_are_no_abuse() -> None:
    """Only what was refused within ten seconds counts together."""
    one, timer = allowance(message_rate=2)
    for _ in range(40):
        for _ in range(35):
            one(False)
        timer.now += 20
    assert not one.is_abused


def test_refused_messages_and_refused_publications_are_counted_apart() -> None:
    """Neither adds to the other."""
    one, _ = allowance(message_rate=2, publish_rate=2)
    for _ in range(20 + 20):
        one(False)
    for _ in range(20 + 40):
        one(True)
    assert not one.is_abused
    one(True)
    assert one.is_abused


def test_without_rates_everything_goes() -> None:
    """Nobody is told anything."""
    one, _ = allowance()
    assert all(one(kind) is None for kind in (True, False) * 1000)
    assert not one.is_abused
