"""The circuit breaker."""

from bookcast.backplane.breaker import FIRST_SECONDS, MOST_SECONDS, STEADY_SECONDS, Breaker


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
    breaker = Breaker(lambda: now[0], lambda: 1.0)
    for _ in range(2):
        now[0] += STEADY_SECONDS + 1
        breaker.fail("gone")
        waits = [breaker.wait() for _ in range(10)]
        assert waits[0] == FIRST_SECONDS
        assert waits == sorted(waits)
        assert waits[-1] == MOST_SECONDS
        breaker.succeed()
    breaker.fail("gone again at once")
    assert breaker.wait() == MOST_SECONDS
    lucky = Breaker(lambda: 0.0, lambda: 0.0)
    lucky.fail("gone")
    assert lucky.wait() == FIRST_SECONDS / 2
