import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from bookcast import limits
from bookcast.errors import ERRORS, InvalidInput
from bookcast.limits import (
    BURST_SECONDS,
    Refusals,
    Seats,
    TokenBucket,
    TokenBuckets,
    Window,
    retry_after,
    too_many_of,
)
from bookcast.observability.exporter import registry_of
from bookcast.observability.throttle import REPORT_SECONDS

RATES = st.sampled_from([0.001, 0.05, 0.1, 0.5, 1.0, 3.0, 50.0, 1000.0])

STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 12)), max_size=60)
"""How long somebody waits each time, and how much they want then."""


class Tank:
    """A bucket as everybody draws it: it holds some, and fills up again."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.size = max(rate * BURST_SECONDS, 1)
        self.level = self.size
        self.at = 0.0

    def take(self, now: float) -> float:
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1 - 1e-9:
            return (1 - self.level) / self.rate
        self.level -= 1
        return 0.0


@given(RATES, st.lists(st.floats(0, 30), max_size=80))
def test_a_bucket_is_as_everybody_draws_it(rate: float, waits: list[float]) -> None:
    """Ten seconds' worth at once or at least one, then as many as drip in."""
    bucket, tank, now = TokenBucket(), Tank(rate), 0.0
    for wait in waits:
        now += wait
        late, expected = bucket.take(rate, now), tank.take(now)
        assert late == pytest.approx(expected, abs=1e-6)
        assert (late > 1e-6) == (expected > 1e-6)


@given(RATES, STEPS)
@example(1.0, [(0.0, 12)] * 3)
def test_no_window_has_more_than_the_burst_and_the_rate(
    rate: float, steps: list[tuple[float, int]]
) -> None:
    """Between any two moments; something large goes through once in its own time."""
    bucket, now, taken = TokenBucket(), 0.0, list[tuple[float, int]]()
    for wait, count in steps:
        now += wait
        if not bucket.take(rate, now, count):
            taken.append((now, count))
    burst = max(rate * BURST_SECONDS, *(count for _, count in taken), 1)
    for first, (begin, _) in enumerate(taken):
        total = 0
        for end, count in taken[first:]:
            total += count
            assert total <= burst + rate * (end - begin) + 1e-6


@given(RATES, st.lists(st.floats(0, 5), max_size=60))
def test_nobody_is_refused_who_keeps_to_the_rate(rate: float, more: list[float]) -> None:
    """However the clock stands, and for however long."""
    bucket, now = TokenBucket(), 1e6
    for extra in more:
        assert bucket.take(rate, now) == 0
        now += 1 / rate + extra


@given(RATES, st.integers(1, 100))
def test_who_waits_as_told_is_let_through(rate: float, count: int) -> None:
    """The answer isn't a guess."""
    bucket, now = TokenBucket(), 0.0
    for _ in range(5):
        late = bucket.take(rate, now, count)
        if late:
            now += late
            assert bucket.take(rate, now, count) == 0


def test_a_refusal_costs_nothing() -> None:
    """Who knocks in vain isn't kept out for longer."""
    bucket = TokenBucket()
    for _ in range(10):
        assert bucket.take(1, 0) == 0
    assert {bucket.take(1, 0) for _ in range(100)} == {1.0}
    assert bucket.take(1, 1) == 0


def test_without_a_rate_everything_goes_through() -> None:
    """As much as there is, and nothing is remembered."""
    bucket, buckets = TokenBucket(), TokenBuckets(0)
    assert {bucket.take(0, 0, 1000) for _ in range(1000)} == {0.0}
    assert bucket.is_full(0)
    assert {buckets.take(str(number), 0, 1000) for number in range(1000)} == {0.0}
    assert len(buckets._buckets) == 0


def test_a_low_rate_lets_one_through_now_and_then() -> None:
    """One in a hundred seconds is more than none."""
    bucket = TokenBucket()
    assert bucket.take(0.01, 0) == 0
    assert bucket.take(0.01, 0) == pytest.approx(100)
    assert bucket.take(0.01, 99) == pytest.approx(1)
    assert bucket.take(0.01, 100) == 0


def test_a_bucket_is_full_again_after_a_rest() -> None:
    """As good as new."""
    bucket = TokenBucket()
    bucket.take(2, 0)
    assert not bucket.is_full(0.4)
    assert bucket.is_full(0.5)


def test_each_has_a_bucket_of_their_own() -> None:
    """What one takes, another isn't charged for."""
    buckets = TokenBuckets(1)
    assert buckets.take("a", 0, 10) == 0
    assert buckets.take("a", 0) > 0
    assert buckets.take("b", 0) == 0


def test_buckets_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The full ones go first, then the oldest; who took most of late stays refused."""
    monkeypatch.setattr(limits, "MAX_BUCKETS", 20)
    buckets = TokenBuckets(1)
    for number in range(10):
        buckets.take(f"early {number}", 0)
    for number in range(10):
        buckets.take(f"late {number}", 5, 10)
    buckets.take("new", 5)
    assert len(buckets._buckets) <= 20
    assert all(buckets.take(f"late {number}", 5) > 0 for number in range(10))
    for number in range(100):
        buckets.take(f"many {number}", 5, 10)
        assert len(buckets._buckets) <= 20


def test_a_flood_of_strangers_costs_little_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a look at every bucket there is for each of them."""
    looks = 0

    def is_full(self: TokenBucket, now: float) -> bool:
        nonlocal looks
        looks += 1
        return False

    monkeypatch.setattr(limits, "MAX_BUCKETS", 200)
    monkeypatch.setattr(TokenBucket, "is_full", is_full)
    buckets = TokenBuckets(1)
    for number in range(2000):
        buckets.take(str(number), 0)
    assert len(buckets._buckets) <= 200
    assert looks <= 20 * 2000


def test_seats_are_taken_and_given_back() -> None:
    """Up to the limit, each for themselves."""
    seats = Seats(2)
    assert seats.take("a")
    assert seats.take("a")
    assert not seats.take("a")
    assert seats.take("b")
    assert seats.count("a") == 2
    seats.leave("a")
    assert seats.take("a")


def test_a_few_may_sit_beyond_the_limit() -> None:
    """As many as are said, and no more."""
    seats = Seats(1)
    assert seats.take("a")
    assert not seats.take("a")
    assert seats.take("a", beyond=1)
    assert not seats.take("a", beyond=1)


def test_without_a_limit_there_is_always_a_seat() -> None:
    """They are counted all the same."""
    seats = Seats(0)
    assert all(seats.take("a") for _ in range(1000))
    assert seats.count("a") == 1000


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(0, 3))
def test_seats_count_right(steps: list[tuple[str, bool]], limit: int) -> None:
    """And nothing is kept of those who left."""
    seats, taken = Seats(limit), dict.fromkeys("abc", 0)
    for key, comes in steps:
        if comes:
            free = limit == 0 or taken[key] < limit
            assert seats.take(key) is free
            taken[key] += free
        elif taken[key]:
            seats.leave(key)
            taken[key] -= 1
        assert {one: seats.count(one) for one in "abc"} == taken
    assert set(seats._taken) == {key for key, count in taken.items() if count}


def test_leaving_twice_gives_no_seat_away() -> None:
    """Nobody has less than none."""
    seats = Seats(1)
    seats.leave("a")
    assert seats.count("a") == 0
    assert seats.take("a")
    assert not seats.take("a")


def test_refusals_are_counted_by_their_reason() -> None:
    """For Prometheus, and for /stats."""
    refusals = Refusals()
    registry = registry_of([refusals])
    assert b"bookcast_refusals_total{" not in generate_latest(registry)
    for reason in ("invalid_token", "message_rate", "invalid_token"):
        refusals.add(reason)
    text = generate_latest(registry).decode()
    assert 'bookcast_refusals_total{reason="invalid_token"} 2.0' in text
    assert 'bookcast_refusals_total{reason="message_rate"} 1.0' in text
    assert refusals.counts == {"invalid_token": 2, "message_rate": 1}


def test_an_address_with_enough_is_told_what_to_do() -> None:
    """Which setting that is, and when to come back."""
    error = too_many_of("198.51.100.7", 100)
    assert ERRORS[error.code].status == 429
    assert error.retry_after == limits.RETRY_SECONDS
    for word in ("198.51.100.7", "100", "MAX_CONNECTIONS_PER_ADDRESS", "TRUSTED_PROXIES"):
        assert word in error.message


@given(st.floats(1e-9, 1e9))
@example(0.2)
@example(1.0)
def test_retry_after_is_in_whole_seconds(seconds: float) -> None:
    """At least one, and never too early."""
    written = int(retry_after(seconds))
    assert written >= max(1, seconds)
    assert written <= max(1, math.ceil(seconds))


@given(st.lists(st.floats(0, 4), max_size=200))
def test_a_window_counts_what_happened_lately(pauses: list[float]) -> None:
    """Nothing that is older, and all that is younger by more than a step."""
    window, now, events = Window(10), 1000.0, []
    for pause in pauses:
        now += pause
        events.append(now)
        count = window.add(now)
        assert sum(one > now - 9.5 for one in events) <= count
        assert count <= sum(one > now - 10 for one in events)


def test_refusals_are_told_once_a_minute_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However many there were; nothing is said where there was none."""
    refusals = Refusals()
    with caplog.at_level("INFO", "bookcast.limits"):
        refusals.report(0)
        assert caplog.records == []
        refusals.add("message_rate")
        refusals.report(1)
        for _ in range(23_100):
            refusals.add("message_rate")
        refusals.note(InvalidInput("invalid_json", "No JSON"))
        for second in range(1, 1 + int(REPORT_SECONDS)):
            refusals.report(second)
        assert len(caplog.records) == 1
        refusals.report(1 + REPORT_SECONDS)
        refusals.report(2 + 2 * REPORT_SECONDS)
    first, later = (vars(record) for record in caplog.records)
    assert (first["count"], first["reasons"]) == (1, {"message_rate": 1})
    assert (later["count"], later["reasons"]) == (
        23_101,
        {"message_rate": 23_100, "invalid_json": 1},
    )
