from typing import ClassVar

import pytest

from bookcast.timing import Times, milliseconds


class LockTimes(Times, frozen=True, kw_only=True):
    """A lock and its renewal."""

    LONGER: ClassVar = (("lock", 2, "renewal"),)

    lock: float = 1.5
    renewal: float = 0.4


def test_intervals_that_go_together_are_taken() -> None:
    """As they are given."""
    assert LockTimes(lock=1.0).lock == 1.0
    assert LockTimes(lock=float("inf")).renewal == 0.4


@pytest.mark.parametrize("lock", [0.8, 0.5, float("nan")])
def test_a_relation_that_doesnt_hold_is_refused(lock: float) -> None:
    """The message names both intervals; as long as the limit isn't longer."""
    with pytest.raises(ValueError, match="LockTimes: lock") as caught:
        LockTimes(lock=lock, renewal=0.4)
    if lock == lock:  # noqa: PLR0124 - it may be no number
        assert str(caught.value).endswith("must be longer than 2 times renewal (0.4 s)")


@pytest.mark.parametrize("renewal", [0.0, -1.0])
def test_no_interval_is_nothing(renewal: float) -> None:
    """Or less."""
    with pytest.raises(ValueError, match="LockTimes: renewal must be positive"):
        LockTimes(renewal=renewal)


def test_redis_takes_milliseconds() -> None:
    """Whole ones."""
    assert milliseconds(1.5) == 1500
    assert milliseconds(0.0304) == 30
