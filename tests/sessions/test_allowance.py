from typing import Any

from bookcast.limits import Refusals
from bookcast.sessions.allowance import Allowance
from bookcast.sessions.base import SessionRules
from tests.support import ManualTimer


def allowance(**rates: Any) -> tuple[Allowance, ManualTimer, Refusals]:
    timer, refusals = ManualTimer(), Refusals()
    timer.now = 1000.0
    return Allowance(SessionRules(clock=timer.clock, **rates), refusals), timer, refusals


def test_messages_and_publications_have_rates_of_their_own() -> None:
    """What is too much is refused with when it may be tried again, and counted."""
    one, timer, refusals = allowance(message_rate=2, publish_rate=1)
    assert [one(False) for _ in range(20)] == [None] * 20
    assert [one(True) for _ in range(10)] == [None] * 10
    refusal = one(False)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("rate_limited", 0.5)
    assert "MESSAGE_RATE is 2 a second" in refusal.message
    timer.now += 0.5
    assert one(False) is None
    late = one(True)
    assert late is not None
    assert "PUBLISH_RATE" in late.message
    assert refusals.counts == {"message_rate": 1, "publish_rate": 1}


def test_a_client_that_goes_on_as_if_nothing_was_refused_abuses_it() -> None:
    """One that waits as told doesn't."""
    one, timer, _ = allowance(message_rate=2)
    for _ in range(40):
        one(False)
    assert not one.is_abused
    timer.now += 1
    one(False)
    for _ in range(23):
        one(False)
    assert one.is_abused


def test_without_rates_everything_goes() -> None:
    """Nobody is told anything."""
    one, _, refusals = allowance()
    assert all(one(kind) is None for kind in (True, False) * 1000)
    assert not one.is_abused
    assert refusals.counts == {}
