"""The circuit breaker."""

import pytest

from bookcast.backplane.breaker import Breaker, BreakerTimes

TIMES = BreakerTimes(first=0.3, most=2.0, steady=7.0)


def test_it_opens_once_and_says_why() -> None:
    """Further failures only change the reason."""
    told: list[str] = []
    breaker = Breaker(lambda: 7.0, lambda: 1.0, told.append)
    assert (breaker.is_open, breaker.reason, breaker.opened) == (False, "", 0)
    breaker.fail("gone")
    breaker.fail("still gone")
    assert told == ["gone"]
    assert (breaker.is_open, breaker.reason, breaker.opened, breaker.since) == (
        True,
        "still gone",
        1,
        7.0,
    )


def test_it_closes_when_somebody_has_looked() -> None:
    """And opens again with the next failure."""
    told: list[str] = []
    breaker = Breaker(lambda: 0.0, lambda: 1.0, told.append)
    breaker.fail("gone")
    breaker.succeed()
    breaker.succeed()
    assert (breaker.is_open, breaker.reason) == (False, "")
    breaker.fail("gone again")
    assert (told, breaker.opened) == (["gone", "gone again"], 2)


def test_it_waits_longer_each_time_but_never_long() -> None:
    """From the beginning with each outage; chance takes away up to half."""
    now = [0.0]
    breaker = Breaker(lambda: now[0], lambda: 1.0, times=TIMES)
    for _ in range(2):
        now[0] += TIMES.steady + 1
        breaker.fail("gone")
        waits = [breaker.wait() for _ in range(10)]
        assert waits[0] == TIMES.first
        assert waits == sorted(waits)
        assert waits[-1] == TIMES.most
        breaker.succeed()
    breaker.fail("gone again at once")
    assert breaker.wait() == TIMES.most
    lucky = Breaker(lambda: 0.0, lambda: 0.0, times=TIMES)
    lucky.fail("gone")
    assert lucky.wait() == TIMES.first / 2


@pytest.mark.parametrize("wrong", [{"first": 1.0}, {"most": 0.1}, {"steady": 1.5}])
def test_waits_grow_and_being_well_takes_longer(wrong: dict[str, float]) -> None:
    """Or the waits would begin anew with each look that goes well for a moment."""
    with pytest.raises(ValueError, match="must be longer than"):
        BreakerTimes(**wrong)
