from bookcast.observability.throttle import REPORT_SECONDS, WarningThrottle


def test_a_warning_comes_seldom_and_tells_how_often_it_was_due() -> None:
    """The first at once."""
    now = 0.0
    throttle = WarningThrottle(lambda: now)
    assert [throttle.count() for _ in range(4)] == [1, 0, 0, 0]
    now = REPORT_SECONDS
    assert throttle.count() == 4


def test_a_warning_comes_seldom_for_each_key() -> None:
    """And for so many keys at most, of which the oldest is forgotten first."""
    now = 0.0
    throttle = WarningThrottle(lambda: now, keys=2)
    assert (throttle.count("a"), throttle.count("b"), throttle.count("c")) == (1, 1, 0)
    now = REPORT_SECONDS / 2
    assert (throttle.count("a"), throttle.count("b"), throttle.count("c")) == (0, 0, 0)
    now = REPORT_SECONDS
    assert (throttle.count("c"), throttle.count("b"), throttle.count("a")) == (1, 2, 0)
    now = 2 * REPORT_SECONDS
    assert (throttle.count("a"), throttle.count("a"), throttle.count("c")) == (1, 0, 1)
